import type { MeshConfig } from '../../apis/mesh-config.ts';
import type { LocalityLoadBalancerSetting } from '../../apis/traffic-policy.ts';
import type { Labels } from '../../lib/labels.ts';
import type { Locality } from '../../mesh/model.ts';
import type { EffectivePolicy } from '../clusters/effective-policy.ts';

/** What of a proxy decides how its traffic is spread over localities. */
export interface ProxyLocation {
  readonly locality: Locality;
  /** Read by failoverPriority only. */
  readonly labels: Labels;
}

/** How endpoints of other localities are used. */
export type LocalityBalancing =
  | { readonly kind: 'distribute'; readonly distribute: NonNullable<LocalityLoadBalancerSetting['distribute']> }
  | {
      readonly kind: 'failover';
      readonly failover: NonNullable<LocalityLoadBalancerSetting['failover']>;
      readonly failoverPriority: readonly string[];
    };

/**
 * The balancing of one cluster: the rule's setting, else the mesh's. Failover needs outlier detection, without which Envoy would never notice that
 * a locality is down; so without it, and where the setting is switched off, there is none.
 */
export function localityBalancing(policy: EffectivePolicy, mesh: MeshConfig): LocalityBalancing | undefined {
  const setting = localitySetting(policy, mesh);
  if (setting === undefined) return undefined;
  if (setting.distribute !== undefined && setting.distribute.length > 0) return { kind: 'distribute', distribute: setting.distribute };
  if (policy.outlierDetection === undefined) return undefined;
  return { kind: 'failover', failover: setting.failover ?? [], failoverPriority: setting.failoverPriority ?? [] };
}

/** The rule's setting, else the mesh's; undefined where that one is switched off. */
export function localitySetting(policy: EffectivePolicy, mesh: MeshConfig): LocalityLoadBalancerSetting | undefined {
  const setting = policy.loadBalancer?.localityLbSetting ?? mesh.localityLbSetting;
  return setting.enabled === false ? undefined : setting;
}
