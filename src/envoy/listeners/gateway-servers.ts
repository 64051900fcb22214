/** Servers of all Gateways of a proxy, merged by the port at which it listens. */
import type { Server } from '../../apis/gateway.ts';
import type { Problem } from '../../apis/problem.ts';
import type { MeshGateway } from '../../mesh/model.ts';

/** A Gateway that the proxy is selected by. */
export interface BoundGateway {
  readonly gateway: MeshGateway;
  /** Where the proxy listens for a port that the Gateway names: the target port of the Service in front of it, or the port itself. */
  readonly bindPort: (port: number) => number;
}

export interface GatewayServer {
  readonly gateway: MeshGateway;
  readonly server: Server;
  /** Hosts in lower case as `host` or `namespace/host`; the namespace says whose VirtualServices may bind. */
  readonly hosts: readonly string[];
  /** `spec.servers[0]`. */
  readonly path: string;
}

/** A server that ends TLS: a filter chain and a route table of its own. */
export interface TlsServer extends GatewayServer {
  readonly routeName: string;
  /** Empty: any, or none. */
  readonly serverNames: readonly string[];
}

export type GatewayPort = { readonly bind: string; readonly port: number } & (
  | { readonly kind: 'http'; readonly routeName: string; readonly servers: readonly GatewayServer[] }
  | { readonly kind: 'https'; readonly servers: readonly TlsServer[] }
);

export interface MergedGateways {
  /** By port, then by address. */
  readonly ports: readonly GatewayPort[];
  readonly problems: readonly Problem[];
}

const plainProtocols = ['HTTP', 'HTTP2', 'GRPC', 'GRPC-WEB'];

interface MutablePort {
  readonly bind: string;
  readonly port: number;
  readonly kind: 'http' | 'https';
  readonly http: GatewayServer[];
  readonly tls: TlsServer[];
  readonly names: Set<string>;
}

/**
 * The first of two servers that cannot share a port stays: plain HTTP shares with plain HTTP (one route table), TLS with TLS when no host is in both.
 * Gateways come oldest first.
 */
export function mergeGateways(bound: readonly BoundGateway[], wildcard: string): MergedGateways {
  const ports = new Map<string, MutablePort>();
  const routeNames = new Set<string>();
  const problems: Problem[] = [];
  for (const { gateway, bindPort } of bound) {
    for (const [i, server] of (gateway.spec.servers ?? []).entries()) {
      const path = `spec.servers[${i}]`;
      const report = (reason: Problem['reason'], field: string, message: string): void => {
        problems.push({ object: gateway.object, path: field === '' ? path : `${path}.${field}`, reason, severity: 'error', message });
      };
      const kind = kindOf(server, report);
      if (kind === undefined) continue;
      const number = bindPort(server.port.number);
      const bind = server.bind === undefined || server.bind === '' ? wildcard : server.bind;
      const key = `${bind}_${number}`;
      const at = ports.get(key) ?? { bind, port: number, kind, http: [], tls: [], names: new Set<string>() };
      if (at.kind !== kind) {
        report('Conflict', 'port', `port ${number} already serves ${at.kind.toUpperCase()} for an older server; this one has no effect`);
        continue;
      }
      const entry: GatewayServer = { gateway, server, hosts: serverHosts(server, gateway.namespace), path };
      if (kind === 'http') {
        at.http.push(entry);
      } else {
        const routeName = httpsRouteName(server, gateway);
        const hosts = [...new Set(entry.hosts.map(withoutNamespace))].sort();
        const taken = hosts.filter((host) => at.names.has(host));
        const malformed = hosts.filter((host) => host !== '*' && host.replace(/^\*\./, '').includes('*'));
        if (malformed.length > 0) {
          report('Invalid', 'hosts', `${malformed.join(', ')}: with TLS a wildcard has to be a whole label, as in *.example.com`);
          continue;
        }
        if (taken.length > 0) {
          report('Conflict', 'hosts', `an older server of port ${number} has ${taken.join(', ')}; this one has no effect`);
          continue;
        }
        if (routeNames.has(routeName)) {
          report(
            'Conflict',
            'port.name',
            `another server of this Gateway has port name ${JSON.stringify(server.port.name)}; names must differ`,
          );
          continue;
        }
        routeNames.add(routeName);
        for (const host of hosts) at.names.add(host);
        at.tls.push({ ...entry, routeName, serverNames: hosts.includes('*') ? [] : hosts });
      }
      ports.set(key, at);
    }
  }
  const sorted = [...ports.values()].sort((a, b) => a.port - b.port || (a.bind < b.bind ? -1 : 1));
  return { ports: sorted.map((port) => finished(port, wildcard)), problems };
}

type Report = (reason: Problem['reason'], field: string, message: string) => void;

function kindOf(server: Server, report: Report): 'http' | 'https' | undefined {
  const protocol = server.port.protocol.toUpperCase();
  if (plainProtocols.includes(protocol)) return 'http';
  if (protocol !== 'HTTPS') {
    report('NotTranslated', 'port.protocol', `servers of protocol ${protocol} are not translated yet; the server has no effect`);
    return undefined;
  }
  const { tls } = server;
  if (tls === undefined) {
    report('Invalid', 'tls', 'a server of protocol HTTPS needs tls; the server has no effect');
    return undefined;
  }
  // The API's zero value, so what a missing mode means.
  const mode = tls.mode ?? 'PASSTHROUGH';
  if (mode === 'PASSTHROUGH' || mode === 'AUTO_PASSTHROUGH') {
    report('NotTranslated', 'tls.mode', `mode ${mode} is not translated yet; the server has no effect`);
    return undefined;
  }
  if (mode === 'ISTIO_MUTUAL') return 'https';
  if (tls.credentialName === undefined && tls.credentialNames === undefined) {
    const files = tls.serverCertificate !== undefined || tls.tlsCertificates !== undefined;
    if (files) report('NotTranslated', 'tls', 'certificates in files of the proxy are not translated yet; use credentialName and a Secret');
    else report('Invalid', 'tls.credentialName', 'a Secret with the certificate is needed; the server has no effect');
    return undefined;
  }
  return 'https';
}

/** `./host` is the Gateway's own namespace, `x/host` means what it says, a host alone or with `*` any namespace. */
function serverHosts(server: Server, namespace: string): string[] {
  return server.hosts.map((text) => {
    const slash = text.indexOf('/');
    const host = text.slice(slash + 1).toLowerCase();
    const scope = slash < 0 ? '*' : text.slice(0, slash);
    return scope === '*' ? host : `${scope === '.' ? namespace : scope}/${host}`;
  });
}

export function withoutNamespace(host: string): string {
  return host.slice(host.indexOf('/') + 1);
}

function httpsRouteName({ port, bind }: Server, gateway: MeshGateway): string {
  return `https.${port.number}.${port.name}.${gateway.name}.${gateway.namespace}${bind ? `.${bind}` : ''}`;
}

function finished({ bind, port, kind, http, tls }: MutablePort, wildcard: string): GatewayPort {
  if (kind === 'https') return { bind, port, kind, servers: tls };
  return { bind, port, kind, routeName: `http.${port}${bind === wildcard ? '' : `.${bind}`}`, servers: http };
}

/** Route tables by name, with the servers that use them. */
export function serversByRouteName({ ports }: MergedGateways): ReadonlyMap<string, readonly GatewayServer[]> {
  const tables = new Map<string, readonly GatewayServer[]>();
  for (const port of ports) {
    if (port.kind === 'http') tables.set(port.routeName, port.servers);
    else for (const server of port.servers) tables.set(server.routeName, [server]);
  }
  return tables;
}
