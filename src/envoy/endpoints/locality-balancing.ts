import type { MeshConfig } from '../../apis/mesh-config.ts';
import type { LocalityLoadBalancerSetting } from '../../apis/traffic-policy.ts';
import type { Labels } from '../../lib/labels.ts';
import type { Locality, Service } from '../../mesh/model.ts';
import type { EffectivePolicy } from '../clusters/effective-policy.ts';

/** What of a proxy decides how its traffic is spread over localities. */
export interface ProxyLocation {
  readonly locality: Locality;
  /** Read by failoverPriority only. */
  readonly labels: Labels;
  /** Name of its node; absent: nothing depends on it, or nobody knows it. */
  readonly node?: string;
  readonly network?: string;
  /** Id of its cluster. */
  readonly cluster?: string;
}

const zoneLabels = ['topology.istio.io/network', 'topology.kubernetes.io/region', 'topology.kubernetes.io/zone'];

/** What a service says of its endpoints, in the words of `failoverPriority`. */
const distributions = {
  PreferSameZone: zoneLabels,
  PreferSameNode: [...zoneLabels, 'topology.istio.io/subzone', 'kubernetes.io/hostname'],
} as const;

type Distributed = Pick<Service, 'trafficDistribution'>;

/** How endpoints of other localities are used. */
export type LocalityBalancing =
  | { readonly kind: 'distribute'; readonly distribute: NonNullable<LocalityLoadBalancerSetting['distribute']> }
  | {
      readonly kind: 'failover';
      readonly failover: NonNullable<LocalityLoadBalancerSetting['failover']>;
      readonly failoverPriority: readonly string[];
    };

/**
 * The balancing of one cluster: the rule's setting, else what the service says, else the mesh's. Failover needs outlier detection, without which Envoy would
 * never notice that a locality is down; so without it, and where the setting is switched off, there is none. For what a service says the readiness of its
 * endpoints is enough.
 */
export function localityBalancing(policy: EffectivePolicy, mesh: MeshConfig, service: Distributed): LocalityBalancing | undefined {
  const priorities = ofService(policy, service);
  if (priorities !== undefined) return { kind: 'failover', failover: [], failoverPriority: priorities };
  const setting = localitySetting(policy, mesh);
  if (setting === undefined) return undefined;
  if (setting.distribute !== undefined && setting.distribute.length > 0) return { kind: 'distribute', distribute: setting.distribute };
  if (policy.outlierDetection === undefined) return undefined;
  return { kind: 'failover', failover: setting.failover ?? [], failoverPriority: setting.failoverPriority ?? [] };
}

function ofService(policy: EffectivePolicy, { trafficDistribution }: Distributed): readonly string[] | undefined {
  if (trafficDistribution === undefined || policy.loadBalancer?.localityLbSetting !== undefined) return undefined;
  return distributions[trafficDistribution];
}

/** Weights of localities are sent always, but count only where somebody asked for a split or a failover of his own. */
export function weighsLocalities(policy: EffectivePolicy, mesh: MeshConfig, service: Distributed): boolean {
  if (ofService(policy, service) !== undefined) return true;
  const setting = localitySetting(policy, mesh);
  if (setting?.distribute !== undefined) return true;
  return policy.outlierDetection !== undefined && (setting?.failover !== undefined || setting?.failoverPriority !== undefined);
}

/** The rule's setting, else the mesh's; undefined where that one is switched off. */
function localitySetting(policy: EffectivePolicy, mesh: MeshConfig): LocalityLoadBalancerSetting | undefined {
  const setting = policy.loadBalancer?.localityLbSetting ?? mesh.localityLbSetting;
  return setting.enabled === false ? undefined : setting;
}
