import { hostCovers, hostsOverlap } from '../../lib/host.ts';
import { indexPath } from '../../lib/path.ts';
import { quote, type Report } from '../structure.ts';
import type { RouteDestination, TCPRoute, TLSRoute, VirtualService } from '../virtual-service.ts';
import { checkExportTo, checkFqdn, checkLabels, checkPort, isDnsLabel, isFqdn, isIpAddress, isIpRange, isWildcardDomain } from './check.ts';
import { checkDestination, checkHttpRoute, checkWeights } from './http-route.ts';

export function validateVirtualService({ spec, namespace }: VirtualService, report: Report): void {
  const { hosts = [], gateways = [], http = [], tls = [], tcp = [] } = spec;
  const inMesh = gateways.length === 0 || gateways.includes('mesh');
  const delegate = hosts.length === 0;
  if (delegate) {
    if (gateways.length > 0) report('spec.gateways', 'must not be set without hosts: a delegate is reached through its root');
    if (tls.length > 0) report('spec.tls', 'must not be set without hosts: only HTTP routes can be delegated to');
    if (tcp.length > 0) report('spec.tcp', 'must not be set without hosts: only HTTP routes can be delegated to');
  }
  hosts.forEach((host, index) => checkHost(host, inMesh, indexPath('spec.hosts', index), report));
  hosts.forEach((host, index) => {
    const other = hosts.slice(0, index).find((before) => hostsOverlap(before, host));
    if (other !== undefined) report(indexPath('spec.hosts', index), `${quote(host)} overlaps ${quote(other)}; leave one of them out`);
  });
  gateways.forEach((gateway, index) => checkGatewayName(gateway, indexPath('spec.gateways', index), report));
  if (http.length + tls.length + tcp.length === 0) report('spec', 'must have http, tls or tcp routes');
  http.forEach((route, index) => {
    const kind = delegate ? 'delegate' : route.delegate === undefined ? 'plain' : 'root';
    checkHttpRoute(route, { kind, inGateway: gateways.some((name) => name !== 'mesh') }, indexPath('spec.http', index), report);
  });
  tls.forEach((route, index) => checkTlsRoute(route, hosts, indexPath('spec.tls', index), report));
  tcp.forEach((route, index) => checkTcpRoute(route, indexPath('spec.tcp', index), report));
  checkExportTo(spec.exportTo, 'spec.exportTo', namespace, report);
}

/** SNI names that Istio's proxies make of a service and its port pass too: `outbound_.80_._.host`. */
const sniName = /^outbound_\.\d+_\.[^.]*_\.(.+)$/;

function checkHost(host: string, inMesh: boolean, path: string, report: Report): void {
  const sni = sniName.exec(host)?.[1];
  if (!isIpAddress(host) && !(sni === undefined ? isWildcardDomain(host) : isFqdn(sni))) report(path, `is no valid host: ${quote(host)}`);
  else if (host === '*' && inMesh) report(path, '"*" is not allowed on the mesh gateway: it would take all traffic; name the gateways');
}

function checkGatewayName(name: string, path: string, report: Report): void {
  const parts = name.split('/');
  const [namespace = '', gateway = ''] = parts;
  if (parts.length === 1 && isFqdn(name)) return;
  if (parts.length === 2 && isDnsLabel(namespace) && isFqdn(gateway)) return;
  report(path, `must be a gateway's name, namespace/name or "mesh"; found ${quote(name)}`);
}

interface L4Match {
  readonly destinationSubnets?: readonly string[];
  readonly gateways?: readonly string[];
  readonly port?: number;
  readonly sourceLabels?: Readonly<Record<string, string>>;
}

function checkL4Match({ destinationSubnets = [], gateways = [], port, sourceLabels }: L4Match, path: string, report: Report): void {
  destinationSubnets.forEach((subnet, index) => {
    if (!isIpRange(subnet)) report(indexPath(`${path}.destinationSubnets`, index), `must be an IP address or CIDR; found ${quote(subnet)}`);
  });
  if (port !== undefined) checkPort(port, `${path}.port`, report);
  checkLabels(sourceLabels, `${path}.sourceLabels`, report);
  gateways.forEach((gateway, index) => checkGatewayName(gateway, indexPath(`${path}.gateways`, index), report));
}

function checkRoutes(routes: readonly RouteDestination[], path: string, report: Report): void {
  if (routes.length === 0) report(path, 'must have at least one destination');
  routes.forEach(({ destination }, index) => checkDestination(destination, `${indexPath(path, index)}.destination`, report));
  checkWeights(routes, path, report);
}

function checkTlsRoute({ match, route = [] }: TLSRoute, hosts: readonly string[], path: string, report: Report): void {
  if (match.length === 0) report(`${path}.match`, 'must have at least one match');
  match.forEach((attributes, index) => {
    const at = indexPath(`${path}.match`, index);
    checkL4Match(attributes, at, report);
    if (attributes.sniHosts.length === 0) report(`${at}.sniHosts`, 'must name at least one host');
    attributes.sniHosts.forEach((name, position) => {
      const host = indexPath(`${at}.sniHosts`, position);
      if (isIpAddress(name)) report(host, 'never matches: clients send no SNI for an IP address', 'Invalid', 'warning');
      else if (!isWildcardDomain(name)) report(host, `is no valid host: ${quote(name)}`);
      else if (!hosts.some((outer) => hostCovers(outer, name))) report(host, `${quote(name)} is not among the hosts of spec.hosts`);
    });
  });
  checkRoutes(route, `${path}.route`, report);
}

function checkTcpRoute({ match = [], route = [] }: TCPRoute, path: string, report: Report): void {
  match.forEach((attributes, index) => {
    const at = indexPath(`${path}.match`, index);
    checkL4Match(attributes, at, report);
    const { sourceSubnet, sourceNamespace } = attributes;
    if (sourceSubnet !== undefined && !isIpRange(sourceSubnet))
      report(`${at}.sourceSubnet`, `must be an IP address or CIDR; found ${quote(sourceSubnet)}`);
    if (sourceNamespace !== undefined && sourceNamespace !== '') checkFqdn(sourceNamespace, `${at}.sourceNamespace`, report);
  });
  checkRoutes(route, `${path}.route`, report);
}
