/** Small resources for tests of the protocol. */
import type { Resource } from './ads.ts';

const ads = { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' } as const;
const router = { name: 'router', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' } };

export interface ListenerOptions {
  readonly version?: string;
  /** HTTP filters before the router. */
  readonly filters?: readonly object[];
  /** Any change of it makes another listener. */
  readonly serverName?: string;
  /** Answers with this text itself, without RDS. */
  readonly inline?: string;
  readonly tls?: object;
}

/** An HTTP listener on a port of this machine, by RDS `route`. */
export function listener(name: string, port: number, route: string, options: ListenerOptions = {}): Resource {
  const { version = '1', filters = [], serverName, inline, tls } = options;
  const hcm = {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    stat_prefix: name,
    ...(inline === undefined ? { rds: { config_source: ads, route_config_name: route } } : { route_config: routes(route, inline).json }),
    ...(serverName === undefined ? {} : { server_name: serverName }),
    http_filters: [...filters, router],
  };
  return {
    name,
    version,
    json: {
      name,
      address: { socket_address: { address: '127.0.0.1', port_value: port } },
      filter_chains: [
        {
          filters: [{ name: 'hcm', typed_config: hcm }],
          ...(tls === undefined ? {} : { transport_socket: { name: 'tls', typed_config: tls } }),
        },
      ],
    },
  };
}

const answering = (text: string, status = 200): object => ({
  match: { prefix: '/' },
  direct_response: { status, body: { inline_string: text } },
});

/** A whole route table: every host answers `text`. */
export function routes(
  name: string,
  text: string,
  version = '1',
): { readonly name: string; readonly version: string; readonly json: object } {
  return { name, version, json: { name, virtual_hosts: [{ name: 'all', domains: ['*'], routes: [answering(text)] }] } };
}

/** A route table whose prefixes `/<cluster>` go to that cluster. */
export function routesTo(name: string, ...clusters: readonly string[]): Resource {
  const list = clusters.map((cluster) => ({ match: { prefix: `/${cluster}` }, route: { cluster } }));
  return { name, json: { name, virtual_hosts: [{ name: 'all', domains: ['*'], routes: list }] } };
}

export interface TableOptions {
  readonly version?: string;
  /** An inline virtual host `*` beside those by VHDS, that answers so. */
  readonly star?: string;
  readonly ignorePort?: boolean;
  readonly fetchTimeout?: string;
}

/** A route table whose virtual hosts come by VHDS. */
export function table(name: string, { version = '1', star, ignorePort, fetchTimeout = '0s' }: TableOptions = {}): Resource {
  return {
    name,
    version,
    json: {
      name,
      vhds: { config_source: { ...ads, initial_fetch_timeout: fetchTimeout } },
      ...(star === undefined ? {} : { virtual_hosts: [{ name: 'star', domains: ['*'], routes: [answering(star, 502)] }] }),
      ...(ignorePort === undefined ? {} : { ignore_port_in_host_matching: ignorePort }),
    },
  };
}

/** The virtual host `<table>/<host>`, which answers `text`. */
export function host(table: string, domain: string, text: string, version = '1'): Resource & { readonly json: { readonly name: string } } {
  const name = `${table}/${domain}`;
  return { name, version, json: { name, domains: [domain], routes: [answering(text)] } as { readonly name: string } };
}

/** An EDS cluster; another connect timeout makes it another cluster. */
export function edsCluster(name: string, version = '1', connectTimeout = '1s', extra: object = {}): Resource {
  return { name, version, json: { name, type: 'EDS', eds_cluster_config: { eds_config: ads }, connect_timeout: connectTimeout, ...extra } };
}

export function staticCluster(name: string, version = '1', extra: object = {}): Resource {
  return { name, version, json: { name, type: 'STATIC', connect_timeout: '1s', load_assignment: { cluster_name: name }, ...extra } };
}

/** Endpoints 127.0.0.1:port. */
export function endpoints(cluster: string, ports: readonly number[], version = '1'): Resource {
  const address = (port: number): object => ({ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } });
  return {
    name: cluster,
    version,
    json: { cluster_name: cluster, endpoints: ports.length === 0 ? [] : [{ lb_endpoints: ports.map(address) }] },
  };
}

/** A TLS context that takes the named secret over ADS. */
export function tlsContext(side: 'Upstream' | 'Downstream', certificate: string | undefined, root?: object): object {
  return {
    '@type': `type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.${side}TlsContext`,
    ...(side === 'Downstream' && root !== undefined ? { require_client_certificate: true } : {}),
    common_tls_context: {
      ...(certificate === undefined ? {} : { tls_certificate_sds_secret_configs: [{ name: certificate, sds_config: ads }] }),
      ...(root === undefined ? {} : root),
    },
  };
}

export function certificate(name: string, chain: string, key: string, version = '1'): Resource {
  return {
    name,
    version,
    json: { name, tls_certificate: { certificate_chain: { inline_string: chain }, private_key: { inline_string: key } } },
  };
}
