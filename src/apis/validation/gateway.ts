import { indexPath } from '../../lib/path.ts';
import type { Gateway, Server } from '../gateway.ts';
import { quote, type Report } from '../structure.ts';
import {
  checkLabels,
  checkPort,
  checkPortName,
  checkProtocol,
  isDnsLabel,
  isIpAddress,
  isProtocol,
  isTlsProtocol,
  isWildcardDomain,
} from './check.ts';
import { checkServerTls } from './server-tls.ts';

export function validateGateway({ spec }: Gateway, report: Report): void {
  const { servers = [], selector } = spec;
  checkLabels(selector, 'spec.selector', report);
  if (servers.length === 0) report('spec.servers', 'must have at least one server');
  const names = new Set<string>();
  servers.forEach((server, index) => {
    const path = indexPath('spec.servers', index);
    checkServer(server, path, report);
    const { name } = server.port;
    if (names.has(name)) report(`${path}.port.name`, `port names must differ; found ${quote(name)} twice`);
    names.add(name);
  });
}

function checkServer({ hosts, port, tls, bind = '' }: Server, path: string, report: Report): void {
  if (hosts.length === 0) report(`${path}.hosts`, 'must name at least one host; "*" stands for all');
  const secure = isTlsProtocol(port.protocol);
  hosts.forEach((host, index) => checkHost(host, secure, indexPath(`${path}.hosts`, index), report));
  const socket = bind.startsWith('unix://');
  if (bind !== '' && !socket && !isIpAddress(bind)) report(`${path}.bind`, `must be an IP address or unix://PATH; found ${quote(bind)}`);
  checkProtocol(port.protocol, `${path}.port.protocol`, report);
  checkPortName(port.name, `${path}.port.name`, report);
  if (!socket) checkPort(port.number, `${path}.port.number`, report);
  else if (port.number !== 0) report(`${path}.port.number`, 'must be 0 for a Unix socket');
  if (tls === undefined) {
    if (secure) report(`${path}.tls`, `is required for protocol ${port.protocol}`);
    return;
  }
  if (tls.httpsRedirect === true && port.protocol.toLowerCase() !== 'http') {
    report(`${path}.tls.httpsRedirect`, 'has no effect on a server of another protocol than HTTP', 'Invalid', 'warning');
  }
  if (!secure && isProtocol(port.protocol) && Object.keys(tls).some((field) => field !== 'httpsRedirect')) {
    report(`${path}.tls`, `must not be set for protocol ${port.protocol}, except httpsRedirect; use HTTPS or TLS`);
  }
  if (secure) checkServerTls(tls, `${path}.tls`, report);
}

/** `host`, or `namespace/host` with `*` and `.` for the namespace. */
function checkHost(host: string, secure: boolean, path: string, report: Report): void {
  const slash = host.indexOf('/');
  const namespace = slash < 0 ? '*' : host.slice(0, slash);
  const name = host.slice(slash + 1);
  if (namespace !== '*' && namespace !== '.' && !isDnsLabel(namespace)) {
    report(path, `must begin with "*", "." or a namespace before the "/"; found ${quote(host)}`);
  }
  if (name === '*') return;
  if (!isWildcardDomain(name) && !isIpAddress(name)) report(path, `is no valid domain: ${quote(name)}`);
  else if (!name.includes('.') && !isIpAddress(name))
    report(path, `short names are not allowed here: ${quote(name)}; write the whole domain`);
  else if (secure && name.startsWith('*') && !name.startsWith('*.')) {
    report(path, `partial wildcard ${quote(name)} is not allowed with TLS: SNI is matched by whole labels`);
  }
}
