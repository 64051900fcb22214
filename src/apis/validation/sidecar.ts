import { indexPath } from '../../lib/path.ts';
import type { IstioEgressListener, IstioIngressListener, Sidecar, SidecarPort } from '../sidecar.ts';
import { quote, type Report } from '../structure.ts';
import { checkFqdn, checkLabels, checkPort, checkProtocol, isDnsLabel, isIpAddress, isTlsProtocol, isWildcardDomain } from './check.ts';
import { checkServerTls } from './server-tls.ts';
import { checkConnectionPool } from './traffic-policy.ts';

export function validateSidecar({ spec }: Sidecar, report: Report): void {
  const { egress = [], ingress = [] } = spec;
  checkLabels(spec.workloadSelector?.labels, 'spec.workloadSelector.labels', report);
  if (egress.length === 0 && ingress.length === 0 && spec.outboundTrafficPolicy === undefined && spec.inboundConnectionPool === undefined) {
    report('spec', 'must have egress, ingress, outboundTrafficPolicy or inboundConnectionPool');
  }
  checkIngress(ingress, report);
  checkEgress(egress, report);
  checkConnectionPool(spec.inboundConnectionPool, 'spec.inboundConnectionPool', report);
  const proxy = spec.outboundTrafficPolicy?.egressProxy;
  if (proxy !== undefined) {
    const path = 'spec.outboundTrafficPolicy.egressProxy';
    if (spec.outboundTrafficPolicy?.mode !== 'ALLOW_ANY') report(path, 'must only be set with mode ALLOW_ANY');
    checkFqdn(proxy.host, `${path}.host`, report);
    checkPort(proxy.port?.number, `${path}.port.number`, report);
  }
}

function checkIngress(ingress: readonly IstioIngressListener[], report: Report): void {
  const numbers = new Set<number>();
  ingress.forEach((listener, index) => {
    const path = indexPath('spec.ingress', index);
    const { port, bind = '', defaultEndpoint = '', tls } = listener;
    checkPort(port.number, `${path}.port.number`, report);
    checkPortProtocol(port, `${path}.port`, report);
    if (port.number !== undefined && numbers.has(port.number)) report(`${path}.port.number`, `repeats port ${port.number}`);
    numbers.add(port.number ?? 0);
    if (bind !== '' && !isIpAddress(bind)) report(`${path}.bind`, `must be an IP address; found ${quote(bind)}`);
    if (defaultEndpoint !== '') checkDefaultEndpoint(defaultEndpoint, `${path}.defaultEndpoint`, report);
    checkConnectionPool(listener.connectionPool, `${path}.connectionPool`, report);
    if (listener.connectionPool?.http !== undefined && /^(tcp|tls|mongo|redis|mysql)$/i.test(port.protocol ?? '')) {
      report(`${path}.connectionPool.http`, `has no effect on a port of protocol ${port.protocol ?? ''}`, 'Invalid', 'warning');
    }
    if (tls === undefined) return;
    if (!isTlsProtocol(port.protocol ?? '')) report(`${path}.tls`, 'must only be set for protocol HTTPS or TLS');
    if (tls.mode !== 'SIMPLE' && tls.mode !== 'MUTUAL' && tls.mode !== 'OPTIONAL_MUTUAL') {
      report(`${path}.tls.mode`, 'must be SIMPLE, MUTUAL or OPTIONAL_MUTUAL');
    }
    if (tls.credentialName !== undefined) report(`${path}.tls.credentialName`, 'is not supported on a sidecar; use files');
    if (tls.httpsRedirect === true) report(`${path}.tls.httpsRedirect`, 'is not supported on a sidecar');
    checkServerTls(tls, `${path}.tls`, report);
  });
}

/** Where the application listens: its own machine, or the address that was called. */
function checkDefaultEndpoint(endpoint: string, path: string, report: Report): void {
  if (endpoint.startsWith('unix://')) {
    if (endpoint[7] !== '/' && endpoint[7] !== '@') report(path, 'must have an absolute path or an abstract socket after unix://');
    return;
  }
  const [, address, port] = /^(127\.0\.0\.1|0\.0\.0\.0|\[::1?\]):(\d{1,5})$/.exec(endpoint) ?? [];
  if (address === undefined) {
    report(path, `must be 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix://PATH; found ${quote(endpoint)}`);
  } else checkPort(Number(port), path, report);
}

function checkEgress(egress: readonly IstioEgressListener[], report: Report): void {
  const numbers = new Set<number>();
  const sockets = new Set<string>();
  egress.forEach((listener, index) => {
    const path = indexPath('spec.egress', index);
    const { port, bind = '', captureMode = 'DEFAULT', hosts } = listener;
    const socket = bind.startsWith('unix://');
    if (port === undefined) {
      if (index < egress.length - 1) report(path, 'without a port takes the rest of the traffic and must be the last one');
      if (bind !== '') report(`${path}.bind`, 'needs a port');
    } else {
      checkPortProtocol(port, `${path}.port`, report);
      if (socket) {
        if ((port.number ?? 0) !== 0) report(`${path}.port.number`, 'must not be set for a Unix socket');
        if (sockets.has(bind)) report(`${path}.bind`, `repeats ${bind}`);
        sockets.add(bind);
      } else {
        checkPort(port.number, `${path}.port.number`, report);
        if (numbers.has(port.number ?? 0)) report(`${path}.port.number`, `repeats port ${port.number ?? 0}`);
        numbers.add(port.number ?? 0);
      }
    }
    if (bind !== '' && !socket && !isIpAddress(bind)) report(`${path}.bind`, `must be an IP address or unix://PATH; found ${quote(bind)}`);
    if (socket && captureMode === 'IPTABLES') report(`${path}.captureMode`, 'must not be IPTABLES for a Unix socket');
    if (hosts.length === 0) report(`${path}.hosts`, 'must name at least one host; "*/*" stands for all');
    hosts.forEach((host, at) => checkEgressHost(host, indexPath(`${path}.hosts`, at), report));
  });
}

/** `namespace/host`: `*`, `.` (own namespace), `~` (nothing) or a namespace, and a name, wildcard or `*`. */
function checkEgressHost(host: string, path: string, report: Report): void {
  const [namespace = '', name, ...rest] = host.split('/');
  if (name === undefined || rest.length > 0 || namespace === '' || name === '') {
    report(path, `must be namespace/host; found ${quote(host)}`);
    return;
  }
  if (!['*', '.', '~'].includes(namespace) && !isDnsLabel(namespace)) {
    report(path, `must begin with "*", ".", "~" or a namespace; found ${quote(host)}`);
  }
  if (!isWildcardDomain(name) && !isIpAddress(name)) report(path, `is no valid host: ${quote(name)}`);
}

function checkPortProtocol({ protocol = '', name = '' }: SidecarPort, path: string, report: Report): void {
  if (protocol !== '') checkProtocol(protocol, `${path}.protocol`, report);
  if (name !== '' && !isDnsLabel(name)) report(`${path}.name`, `must be letters, digits and "-" (at most 63); found ${quote(name)}`);
}
