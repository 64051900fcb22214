/**
 * What proxies in lazy mode get of a part without asking: its listeners with the filter that asks, its tables without a host, the clusters that listeners name
 * themselves, and all that is subscribed to by name anyway. Its virtual hosts and other clusters come through the part of what was asked, see asked.ts.
 */
import { clusterName } from '../mesh/names.ts';
import { wildcard, type Slot } from '../mesh/slots.ts';
import { clusterType, endpointType, listenerType, routeType } from '../wire/types.ts';
import { SnapshotPart, type Touched } from './part.ts';
import type { ResourceLists } from './table.ts';

export interface OnDemandLists {
  readonly listeners: readonly ResourceLists<string>[];
  readonly routes: readonly ResourceLists<string>[];
  /** In advance: nobody asks for a cluster that a TCP proxy names. */
  readonly clusters: readonly ResourceLists<string>[];
  readonly endpoints: readonly ResourceLists<string>[];
}

export class OnDemandPart extends SnapshotPart {
  constructor(id: string, touched: Touched, { listeners, routes, clusters, endpoints }: OnDemandLists) {
    super(id, touched);
    for (const lists of listeners) this.follow(listenerType, lists);
    for (const lists of routes) this.follow(routeType, lists);
    for (const lists of clusters) this.follow(clusterType, lists);
    for (const lists of endpoints) this.follow(endpointType, lists);
  }
}

/** Clusters of a host that filter chains name. */
export function clustersOfChains(slots: readonly Slot[]): ReadonlySet<string> {
  const chained = slots.filter(({ kind, address }) => kind === 'tcp' || kind === 'tls' || (kind === 'auto' && address !== wildcard));
  return new Set(chained.map(({ port, host }) => clusterName('outbound', port, '', host)));
}
