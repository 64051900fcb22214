import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  Cluster_LbPolicy,
  type ClusterSchema,
  Cluster_SlowStartConfigSchema,
  type Cluster_SlowStartConfig,
} from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import type { ConsistentHash, LoadBalancerSettings } from '../../apis/traffic-policy.ts';
import { durationOf } from '../duration.ts';

export type LoadBalancer = Required<Pick<MessageInitShape<typeof ClusterSchema>, 'lbPolicy'>> &
  Pick<MessageInitShape<typeof ClusterSchema>, 'lbConfig'>;

/** Policy and its settings for a cluster with endpoints; the default is LEAST_REQUEST. */
export function buildLoadBalancer(settings: LoadBalancerSettings | undefined): LoadBalancer {
  if (settings?.consistentHash !== undefined) return hashing(settings.consistentHash);
  const slowStartConfig = warmup(settings);
  switch (settings?.simple) {
    case 'RANDOM':
      return { lbPolicy: Cluster_LbPolicy.RANDOM };
    case 'ROUND_ROBIN':
      return {
        lbPolicy: Cluster_LbPolicy.ROUND_ROBIN,
        ...(slowStartConfig && { lbConfig: { case: 'roundRobinLbConfig', value: { slowStartConfig } } }),
      };
    default:
      return {
        lbPolicy: Cluster_LbPolicy.LEAST_REQUEST,
        ...(slowStartConfig && { lbConfig: { case: 'leastRequestLbConfig', value: { slowStartConfig } } }),
      };
  }
}

const defaultRingSize = 1024;

function hashing({ maglev, ringHash, minimumRingSize }: ConsistentHash): LoadBalancer {
  if (maglev !== undefined) {
    return {
      lbPolicy: Cluster_LbPolicy.MAGLEV,
      ...(maglev.tableSize && { lbConfig: { case: 'maglevLbConfig', value: { tableSize: BigInt(maglev.tableSize) } } }),
    };
  }
  // `minimumRingSize` beside the key is the old form; only it has Istio's default.
  const size = ringHash === undefined ? minimumRingSize || defaultRingSize : ringHash.minimumRingSize;
  return {
    lbPolicy: Cluster_LbPolicy.RING_HASH,
    ...(size && { lbConfig: { case: 'ringHashLbConfig', value: { minimumRingSize: BigInt(size) } } }),
  };
}

/** New endpoints get their share by and by. `warmupDurationSecs` is the old form, without aggression and minimum. */
function warmup(settings: LoadBalancerSettings | undefined): Cluster_SlowStartConfig | undefined {
  const slowStartWindow = durationOf(settings?.warmup?.duration ?? settings?.warmupDurationSecs);
  if (slowStartWindow === undefined) return undefined;
  if (settings?.warmup === undefined) return create(Cluster_SlowStartConfigSchema, { slowStartWindow });
  return create(Cluster_SlowStartConfigSchema, {
    slowStartWindow,
    // The runtime key is required; this one exists nowhere.
    aggression: { defaultValue: settings.warmup.aggression ?? 1, runtimeKey: 'mizzen.slow_start_aggression' },
    minWeightPercent: { value: settings.warmup.minimumPercent ?? 10 },
  });
}
