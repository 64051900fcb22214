import type { LocalityLoadBalancerSetting } from '../../apis/traffic-policy.ts';
import type { Locality } from '../../mesh/model.ts';
import type { LocalityGroup } from './group.ts';

type Distribute = NonNullable<LocalityLoadBalancerSetting['distribute']>;

/**
 * Weights by the first entry whose `from` is the proxy's locality. A target's weight is divided among the localities that it matches, by their own
 * weights; a locality that no target names gets nothing. Without such an entry nothing changes.
 */
export function distributeWeights(groups: readonly LocalityGroup[], proxy: Locality, distribute: Distribute): LocalityGroup[] {
  const entry = distribute.find(({ from }) => from !== undefined && matchesLocality(proxy, from));
  if (entry === undefined) return [...groups];
  const weights = new Map<LocalityGroup, number>();
  // The most specific target first, so that `region/zone/*` is not swallowed by `region/*`, whatever the order of the map.
  for (const [target, weight] of Object.entries(entry.to ?? {}).sort(bySpecificTarget)) {
    const members = groups.filter((group) => !weights.has(group) && matchesLocality(group.locality, target));
    const total = members.reduce((sum, group) => sum + group.weight, 0);
    for (const group of members) weights.set(group, total === 0 ? 0 : Math.ceil((group.weight * weight) / total));
  }
  return groups.flatMap((group) => {
    const weight = weights.get(group) ?? 0;
    return weight === 0 ? [] : [{ ...group, weight }];
  });
}

function bySpecificTarget([a]: readonly [string, number], [b]: readonly [string, number]): number {
  const depth = (target: string) => target.split('/').filter((part) => part !== '' && part !== '*').length;
  return depth(b) - depth(a) || (a < b ? -1 : 1);
}

/** `region`, `region/zone` or `region/zone/subZone`; `*` and a missing part match everything. */
export function matchesLocality(locality: Locality, rule: string): boolean {
  const [region = '', zone = '', subZone = ''] = rule.split('/');
  const matches = (pattern: string, value: string) => pattern === '*' || pattern === value;
  return (
    matches(region, locality.region) &&
    (zone === '' || matches(zone, locality.zone)) &&
    (subZone === '' || matches(subZone, locality.subZone))
  );
}
