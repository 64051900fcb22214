import type { Endpoint, Locality } from '../../mesh/model.ts';

/** Endpoints of one locality and priority. */
export interface LocalityGroup {
  readonly locality: Locality;
  readonly endpoints: readonly Endpoint[];
  /** What the locality gets among those of its priority. */
  readonly weight: number;
  /** 0 is tried first; without gaps. */
  readonly priority: number;
}

const maximumWeight = 4_294_967_295;

/** One group a locality, in order of region, zone and sub-zone; its weight is the sum of its endpoints' weights. */
export function groupByLocality(endpoints: readonly Endpoint[]): LocalityGroup[] {
  const groups = new Map<string, Endpoint[]>();
  for (const endpoint of endpoints) {
    const key = localityText(endpoint.locality);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [endpoint]);
    else group.push(endpoint);
  }
  return [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, members]) => (members[0] === undefined ? [] : [newGroup(members[0].locality, members, 0)]));
}

export function newGroup(locality: Locality, endpoints: readonly Endpoint[], priority: number): LocalityGroup {
  const sum = endpoints.reduce((total, endpoint) => total + endpoint.weight, 0);
  return { locality, endpoints, weight: Math.min(sum, maximumWeight), priority };
}

/** `region/zone/subZone`. */
export function localityText(locality: Locality): string {
  return `${locality.region}/${locality.zone}/${locality.subZone}`;
}

/** By address, then port. */
export function bySlot(a: Endpoint, b: Endpoint): number {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1;
  return a.port - b.port;
}

/** Priorities of Envoy have no gaps: 0, 3, 5 become 0, 1, 2. Groups keep their order. */
export function closeGaps(groups: readonly LocalityGroup[]): LocalityGroup[] {
  const used = [...new Set(groups.map((group) => group.priority))].sort((a, b) => a - b);
  return groups.map((group) => ({ ...group, priority: used.indexOf(group.priority) }));
}
