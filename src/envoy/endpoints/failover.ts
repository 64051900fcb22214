import type { Endpoint, Locality } from '../../mesh/model.ts';
import { closeGaps, type LocalityGroup, newGroup } from './group.ts';
import { labelOf, networkLabel } from './labels.ts';
import type { LocalityBalancing, ProxyLocation } from './locality-balancing.ts';

type Failover = Extract<LocalityBalancing, { kind: 'failover' }>;

/** Priorities by labels (failoverPriority), by distance, or by both: labels first, distance among those of equal labels. */
export function failoverPriorities(groups: readonly LocalityGroup[], proxy: ProxyLocation, balancing: Failover): LocalityGroup[] {
  const { failover, failoverPriority } = balancing;
  if (failoverPriority.length === 0) return byDistance(groups, proxy.locality, failover);
  const byLabels = closeGaps(groups.flatMap((group) => splitByLabels(group, proxy, failoverPriority)));
  return failover.length === 0 ? byLabels : byDistance(byLabels, proxy.locality, failover);
}

function byDistance(groups: readonly LocalityGroup[], from: Locality, failover: Failover['failover']): LocalityGroup[] {
  const target = failover.find((entry) => entry.from === from.region)?.to;
  const distances = 5;
  return closeGaps(groups.map((group) => ({ ...group, priority: group.priority * distances + distance(from, group.locality, target) })));
}

/** 0 the same place, 1 the same zone, 2 the same region, 3 elsewhere, 4 elsewhere but not where `failover` sends traffic of this region. */
function distance(from: Locality, to: Locality, target: string | undefined): 0 | 1 | 2 | 3 | 4 {
  if (from.region !== to.region) return target !== undefined && to.region !== target ? 4 : 3;
  if (from.zone !== to.zone) return 2;
  return from.subZone === to.subZone ? 0 : 1;
}

/** Splits a locality: the more of the leading labels an endpoint shares with the proxy, the earlier it is tried. */
function splitByLabels(group: LocalityGroup, proxy: ProxyLocation, failoverPriority: readonly string[]): LocalityGroup[] {
  const priorities = new Map<number, Endpoint[]>();
  for (const endpoint of group.endpoints) {
    const priority = labelPriority(endpoint, proxy, failoverPriority);
    const members = priorities.get(priority);
    if (members === undefined) priorities.set(priority, [endpoint]);
    else members.push(endpoint);
  }
  return [...priorities].sort(([a], [b]) => a - b).map(([priority, members]) => newGroup(group.locality, members, priority));
}

/**
 * A foreign network as the first label does not end the comparison: it only comes after everything of the own network, which in itself is ordered
 * by the other labels.
 */
function labelPriority(endpoint: Endpoint, proxy: ProxyLocation, failoverPriority: readonly string[]): number {
  let foreignNetwork = 0;
  for (const [index, entry] of failoverPriority.entries()) {
    const [label = '', wanted = labelOf(proxy, label)] = entry.split('=');
    if (labelOf(endpoint, label) === wanted) continue;
    if (index > 0 || label !== networkLabel) return foreignNetwork + failoverPriority.length - index;
    foreignNetwork = failoverPriority.length;
  }
  return foreignNetwork;
}
