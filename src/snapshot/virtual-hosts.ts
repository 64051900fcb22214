/** Virtual hosts of one host as one scope sees it, and the tables that are its alone. */
import { VirtualHostSchema } from '#gen/envoy/config/route/v3/route_components_pb.js';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.js';
import type { ObjectKey } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import type { RouteContext } from '../envoy/routes/context.ts';
import { virtualHostDomains } from '../envoy/routes/domains.ts';
import { buildSniffedTable } from '../envoy/routes/table.ts';
import { buildVirtualHost } from '../envoy/routes/virtual-host.ts';
import { isHttp, type MeshVirtualService, type Service, type ServicePort } from '../mesh/model.ts';
import { clusterDomain, visibleFrom } from '../mesh/services.ts';
import { routeTable, slotsOf } from '../mesh/slots.ts';
import { objectsOf, type Encoded } from './hosts.ts';
import type { Scope, Translation } from './translation.ts';

export interface TableSelection {
  /** Ports of shared route tables that the scope has, for hosts that only a VirtualService names. A recorded read. */
  readonly httpPorts: () => Iterable<number>;
}

/** Resources `<table>/<host>:<port>` of the tables that HTTP ports share. */
export function hostVirtualHosts(t: Translation, scope: Scope, host: string, tables: TableSelection, problems: Problem[]): Encoded[] {
  const service = t.mesh.serviceAt(host, scope.namespace);
  const virtualService = t.mesh.meshRoutesAt(host, scope.namespace);
  const add = (port: number, domains: readonly string[]): Encoded => {
    const built = buildVirtualHost({
      context: routeContext(t, scope, port),
      domains,
      ...(service === undefined ? {} : { service: { host, port } }),
      ...(virtualService === undefined ? {} : { virtualService }),
    });
    if (built === undefined) return undefined;
    return t.encoder.encode(VirtualHostSchema, `${port}/${host}:${port}`, built, objectsIn(t, scope, service, virtualService), problems, {
      ignore: ['name'],
    });
  };
  if (service === undefined) {
    if (virtualService === undefined || !virtualService.hosts.includes(host) || host === '*') return [];
    const ports = [...tables.httpPorts()].filter((port) => servesUnknownHost(t, scope, virtualService, host, port));
    return ports.sort((a, b) => a - b).map((port) => add(port, [host]));
  }
  const shared = slotsOf(t.mesh, service).filter(
    (slot) => (slot.kind === 'http' || slot.kind === 'auto') && routeTable(slot) === String(slot.port),
  );
  if (shared.length === 0) return [];
  return [...new Set(shared.map((slot) => slot.port))].map((port) => add(port, domainsOf(t, scope, service, port)));
}

/**
 * Whether a host that no service has is in the table of a port, by Istio's rules: where another host of the VirtualService is a service with that HTTP
 * port, and on port 80 always. A wildcard that covers a service of the table stands for its services alone.
 */
function servesUnknownHost(t: Translation, scope: Scope, virtualService: MeshVirtualService, host: string, port: number): boolean {
  if (host.startsWith('*') && servicesUnder(t, scope, host).some((s) => s.ports.some((p) => p.number === port))) return false;
  if (port === 80) return true;
  const isHttpPort = (p: ServicePort): boolean => p.number === port && (isHttp(p.protocol) || p.protocol === 'auto');
  return virtualService.hosts.some((other) => servicesUnder(t, scope, other).some((s) => s.ports.some(isHttpPort)));
}

function servicesUnder(t: Translation, scope: Scope, host: string): Service[] {
  const hosts = host.startsWith('*') ? [...t.mesh.servicesByPattern.keys(host)].map((key) => key.slice(key.indexOf('/') + 1)) : [host];
  return [...new Set(hosts)].flatMap((name) => t.mesh.serviceAt(name, scope.namespace) ?? []);
}

/** Route tables `<host>:<port>` of sniffed ports: one virtual host, inline. */
export function hostTables(t: Translation, scope: Scope, host: string, problems: Problem[]): Encoded[] {
  const service = t.mesh.serviceAt(host, scope.namespace);
  if (service === undefined) return [];
  const own = slotsOf(t.mesh, service).filter((slot) => slot.kind === 'auto' && routeTable(slot) !== String(slot.port));
  const virtualService = own.length === 0 ? undefined : t.mesh.meshRoutesAt(host, scope.namespace);
  return [...new Set(own.map((slot) => slot.port))].map((port) => {
    const built = buildVirtualHost({
      context: routeContext(t, scope, port),
      domains: [host],
      service: { host, port },
      ...(virtualService === undefined ? {} : { virtualService }),
    });
    const name = `${host}:${port}`;
    if (built === undefined) return undefined;
    const table = buildSniffedTable(name, built);
    return t.encoder.encode(RouteConfigurationSchema, name, table, objectsIn(t, scope, service, virtualService), problems);
  });
}

/**
 * Envoy refuses a table in which two hosts claim one domain. So a short name gives way to an object that names it outright, and an address that several
 * services have goes to the first of them by host.
 */
export function domainsOf(t: Translation, scope: Scope, service: Service, port: number, withPort = false): string[] {
  const dnsDomain = `${scope.namespace ?? ''}.svc.${clusterDomain}`;
  const aliases = t.mesh.aliases.of(service.host).filter((alias) => visibleFrom(alias.exportTo, scope.namespace));
  const others = aliases.flatMap(({ host }) =>
    virtualHostDomains({ service: { ...service, host, addresses: [] }, port, dnsDomain, withPort }),
  );
  return [...virtualHostDomains({ service, port, dnsDomain, withPort }), ...others].filter((written) => {
    const domain = withPort ? written.replace(/:\d+$/, '') : written;
    if (domain === service.host) return true;
    const address = service.addresses.find((a) => domain === a || domain === `[${a}]`);
    if (address === undefined) return !t.mesh.servicesByHost.has(domain) && !t.mesh.meshRoutesByHost.has(domain);
    const keys = [...t.mesh.servicesByAddress.keys(address)];
    if (keys.length < 2) return true;
    const rivals = keys.filter((key) => {
      const other = t.mesh.services.get(key);
      return other !== undefined && t.mesh.hasAddress(other, address);
    });
    return rivals.map((key) => key.slice(key.indexOf('/') + 1)).sort()[0] === service.host;
  });
}

export function routeContext(t: Translation, scope: Scope, listenerPort: number): RouteContext {
  const service = (host: string): Service | undefined => t.mesh.serviceAt(host, scope.namespace);
  return {
    mesh: t.mesh.objects.meshConfig(),
    gateways: ['mesh'],
    source: { labels: scope.labels, namespace: scope.namespace ?? '' },
    listenerPort,
    service,
    rule: (host) => {
      const found = service(host);
      return found === undefined ? undefined : t.mesh.ruleAt(found, scope.namespace);
    },
  };
}

export function objectsIn(
  t: Translation,
  scope: Scope,
  service: Service | undefined,
  virtualService: MeshVirtualService | undefined,
): ObjectKey[] {
  const objects = service === undefined ? [] : objectsOf(service, t.mesh.ruleAt(service, scope.namespace));
  return virtualService === undefined ? objects : [virtualService.object, ...objects];
}
