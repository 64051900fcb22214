import { randomBytes } from 'node:crypto';
import { Envoy } from './envoy.ts';
import { freePort } from './ports.ts';

export interface ProxyOptions {
  readonly port: number;
  readonly protocol?: 'delta' | 'sotw';
  readonly id?: string;
  readonly metadata?: object;
  readonly flags?: readonly string[];
  readonly logLevel?: string;
}

/** An Envoy with nothing but a plaintext ADS stream to 127.0.0.1, which comes again within 50 ms when the stream ends. */
export async function startProxy({ port, protocol = 'delta', id, metadata, flags, logLevel }: ProxyOptions): Promise<Envoy> {
  const admin = { address: '127.0.0.1', port: await freePort() };
  const source = { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' };
  const socket = (to: number): object => ({ socket_address: { address: '127.0.0.1', port_value: to } });
  const bootstrap = {
    node: { id: id ?? `test-${randomBytes(4).toString('hex')}`, cluster: 'test', ...(metadata === undefined ? {} : { metadata }) },
    admin: { address: socket(admin.port) },
    dynamic_resources: {
      ads_config: {
        api_type: protocol === 'delta' ? 'DELTA_GRPC' : 'GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [
          {
            envoy_grpc: {
              cluster_name: 'xds',
              retry_policy: { retry_back_off: { base_interval: '0.01s', max_interval: '0.05s' } },
            },
          },
        ],
      },
      cds_config: source,
      lds_config: source,
    },
    static_resources: {
      clusters: [
        {
          name: 'xds',
          type: 'STATIC',
          connect_timeout: '1s',
          load_assignment: { cluster_name: 'xds', endpoints: [{ lb_endpoints: [{ endpoint: { address: socket(port) } }] }] },
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
        },
      ],
    },
  };
  return Envoy.start({ bootstrap, admin, ...(flags === undefined ? {} : { flags }), ...(logLevel === undefined ? {} : { logLevel }) });
}
