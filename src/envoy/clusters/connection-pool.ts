import { create } from '@bufbuild/protobuf';
import { type CircuitBreakers, CircuitBreakersSchema } from '#gen/envoy/config/cluster/v3/circuit_breaker_pb.js';
import { type UpstreamConnectionOptions, UpstreamConnectionOptionsSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import type { MeshConfig } from '../../apis/mesh-config.ts';
import type { ConnectionPoolSettings } from '../../apis/traffic-policy.ts';
import { durationOf } from '../duration.ts';
import type { EffectivePolicy } from './effective-policy.ts';

/** Istio's "no limit". Envoy's own defaults, 1024 connections and requests and 3 retries, would break busy meshes. */
const unlimited = 4_294_967_295;

/** Limits of connections, requests and retries. In Istio zero means "not set". */
export function buildCircuitBreakers(policy: EffectivePolicy): CircuitBreakers {
  const { connectionPool: pool, retryBudget } = policy;
  return create(CircuitBreakersSchema, {
    thresholds: [
      {
        maxConnections: positive(pool?.tcp?.maxConnections) ?? unlimited,
        maxPendingRequests: positive(pool?.http?.http1MaxPendingRequests) ?? unlimited,
        maxRequests: positive(pool?.http?.http2MaxRequests) ?? unlimited,
        maxRetries: positive(pool?.http?.maxRetries) ?? unlimited,
        trackRemaining: true,
        ...(retryBudget && {
          retryBudget: {
            budgetPercent: { value: retryBudget.percent ?? 20 },
            minRetryConcurrency: positive(retryBudget.minRetryConcurrency) ?? 3,
          },
        }),
      },
    ],
  });
}

type TcpKeepalive = NonNullable<NonNullable<ConnectionPoolSettings['tcp']>['tcpKeepalive']>;

/** SO_KEEPALIVE: the mesh's settings, each overridden by the rule's. Undefined where neither speaks of it. */
export function buildKeepalive(mesh: MeshConfig, pool: ConnectionPoolSettings | undefined): UpstreamConnectionOptions | undefined {
  const settings: TcpKeepalive | undefined =
    mesh.tcpKeepalive === undefined ? pool?.tcp?.tcpKeepalive : { ...mesh.tcpKeepalive, ...pool?.tcp?.tcpKeepalive };
  if (settings === undefined) return undefined;
  return create(UpstreamConnectionOptionsSchema, {
    tcpKeepalive: {
      keepaliveProbes: positive(settings.probes),
      keepaliveTime: wholeSeconds(settings.time),
      keepaliveInterval: wholeSeconds(settings.interval),
    },
  });
}

function wholeSeconds(text: string | undefined): number | undefined {
  const duration = durationOf(text);
  return duration === undefined ? undefined : Number(duration.seconds);
}

export function positive(value: number | undefined): number | undefined {
  return value !== undefined && value > 0 ? value : undefined;
}
