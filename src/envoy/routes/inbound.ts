import { create } from '@bufbuild/protobuf';
import { type RouteConfiguration, RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.js';
import type { Protocol } from '../../mesh/model.ts';
import { noDuration } from '../duration.ts';

export interface InboundRoute {
  /** Of the chain; also the name of the table. */
  readonly cluster: string;
  /** What the virtual host is named by: the service's port, 0 for ports that nothing names. */
  readonly port: number;
  /** Host of the service, for the name of the trace's spans; absent: ports that nothing names. */
  readonly host?: string;
  readonly protocol: Protocol;
}

/** The table that sends every request to the workload; it travels inside of the listener. */
export function buildInboundRoute({ cluster, port, host, protocol }: InboundRoute): RouteConfiguration {
  const grpc = protocol === 'grpc' || protocol === 'grpc-web';
  return create(RouteConfigurationSchema, {
    name: cluster,
    validateClusters: false,
    virtualHosts: [
      {
        name: `inbound|http|${port}`,
        domains: ['*'],
        routes: [
          {
            name: 'default',
            match: { pathSpecifier: { case: 'prefix', value: '/' } },
            decorator: { operation: `${host ?? ''}:${port}/*` },
            action: {
              case: 'route',
              value: {
                clusterSpecifier: { case: 'cluster', value: cluster },
                // The client's proxy sets the limits; without the second, Envoy would still take the request's grpc-timeout for one.
                timeout: noDuration(),
                maxStreamDuration: { maxStreamDuration: noDuration(), grpcTimeoutHeaderMax: noDuration() },
                // A workload that closes idle connections may close one just as a request goes out. Streams of gRPC cannot be sent again.
                ...(!grpc && { retryPolicy: { retryOn: 'reset-before-request', numRetries: 2 } }),
              },
            },
          },
        ],
      },
    ],
  });
}
