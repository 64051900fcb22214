import { create } from '@bufbuild/protobuf';
import type { AccessLog } from '#gen/envoy/config/accesslog/v3/accesslog_pb.js';
import { type Filter, FilterSchema } from '#gen/envoy/config/listener/v3/listener_components_pb.js';
import { TcpProxySchema } from '#gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js';
import { packAny } from '../../wire/encode.ts';
import type { EffectivePolicy } from '../clusters/effective-policy.ts';
import { durationOf } from '../duration.ts';

export interface TcpProxyInput {
  readonly statPrefix: string;
  readonly destination: TcpDestination;
  readonly accessLogs: readonly AccessLog[];
  /** Durations as in Istio's API; absent: Envoy's default of an hour, and no limit. */
  readonly idleTimeout?: string;
  readonly maxConnectionDuration?: string;
  /** The endpoint is chosen by the client's address. */
  readonly hashSourceIp?: boolean;
}

export type TcpDestination =
  { readonly cluster: string } | { readonly weighted: readonly { readonly cluster: string; readonly weight: number }[] };

/** What a DestinationRule says about connections. */
export function tcpProxySettings(policy: EffectivePolicy): Pick<TcpProxyInput, 'idleTimeout' | 'maxConnectionDuration' | 'hashSourceIp'> {
  const { idleTimeout, maxConnectionDuration } = policy.connectionPool?.tcp ?? {};
  return {
    ...(idleTimeout !== undefined && { idleTimeout }),
    ...(maxConnectionDuration !== undefined && { maxConnectionDuration }),
    ...(policy.loadBalancer?.consistentHash?.useSourceIp === true && { hashSourceIp: true }),
  };
}

/** The network filter that passes bytes on. */
export function buildTcpProxyFilter(input: TcpProxyInput): Filter {
  const { destination } = input;
  const idleTimeout = durationOf(input.idleTimeout);
  const maxDownstreamConnectionDuration = durationOf(input.maxConnectionDuration);
  const proxy = create(TcpProxySchema, {
    statPrefix: input.statPrefix,
    clusterSpecifier:
      'cluster' in destination
        ? { case: 'cluster', value: destination.cluster }
        : {
            case: 'weightedClusters',
            value: { clusters: destination.weighted.map(({ cluster, weight }) => ({ name: cluster, weight })) },
          },
    accessLog: [...input.accessLogs],
    hashPolicy: input.hashSourceIp === true ? [{ policySpecifier: { case: 'sourceIp', value: {} } }] : [],
    ...(idleTimeout && { idleTimeout }),
    ...(maxDownstreamConnectionDuration && { maxDownstreamConnectionDuration }),
  });
  return create(FilterSchema, {
    name: 'envoy.filters.network.tcp_proxy',
    configType: { case: 'typedConfig', value: packAny(TcpProxySchema, proxy) },
  });
}
