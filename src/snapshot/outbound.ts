/**
 * The outbound side that workloads share: one public part for all, and over it one part per namespace (and per labels that routes ask for) that holds only
 * what differs there. A proxy's view is the list of both.
 */
import { sameJson } from '../lib/json.ts';
import { hostOfException, labelScope } from '../mesh/visibility.ts';
import { slotsOf, type Slot } from '../mesh/slots.ts';
import { Derived, type Index, type KeySource } from '../store/collection.ts';
import { KeySet } from '../store/keys.ts';
import type { EncodedResource } from '../wire/resource.ts';
import { clusterType, endpointType, listenerType, routeType, virtualHostType } from '../wire/types.ts';
import { hostClusters, hostEndpoints } from './hosts.ts';
import { clustersOfChains, type OnDemandLists } from './on-demand.ts';
import {
  buildSharedOnDemandTable,
  buildSharedTable,
  buildSlotListener,
  buildSpecialClusters,
  buildVirtualOutbound,
} from './outbound-listeners.ts';
import { SnapshotPart, type Touched } from './part.ts';
import { noResources, type ResourceLists } from './table.ts';
import { resourceLists, type Scope, type Translation } from './translation.ts';
import { hostTables, hostVirtualHosts } from './virtual-hosts.ts';

const one = new Set(['all']);

/** Ports of HTTP listeners, as a collection so that hosts can follow them. */
interface Ports {
  /** Recorded. */
  all(): Iterable<number>;
  readonly level: number;
}

/** What the part of a namespace leaves out where it is the same. */
interface OnDemandLevels {
  readonly listeners: ResourceLists<string>;
  readonly tables: ResourceLists<string>;
  readonly clusters: ResourceLists<string>;
}

export class OutboundPart extends SnapshotPart {
  readonly scope: Scope;
  readonly clusters: ResourceLists<string>;
  readonly endpoints: ResourceLists<string>;
  readonly virtualHosts: ResourceLists<string>;
  readonly hostTables: ResourceLists<string>;
  readonly listeners: ResourceLists<string>;
  readonly sharedTables: ResourceLists<string>;
  readonly slots: Derived<string, readonly Slot[]>;
  /** Hosts by `<listener>#<kind>`, keys as in `slots`. */
  readonly slotsByListener: Index<readonly Slot[]>;
  /** Over a part below: its slots of this part's hosts, which do not count here. */
  readonly coveredByListener: Index<readonly Slot[]>;
  readonly httpPorts: Ports;
  private readonly disposables: { dispose(): void }[] = [];
  private readonly makeOnDemand: () => OnDemandLists & { readonly own: OnDemandLevels };
  private onDemandLists: ReturnType<OutboundPart['makeOnDemand']> | undefined;

  constructor(t: Translation, id: string, scope: Scope, touched: Touched, below?: OutboundPart) {
    super(id, touched);
    this.scope = scope;
    const { mesh, visibility } = t;
    const namespace = scope.namespace;
    const own = <D extends { dispose(): void }>(d: D): D => {
      this.disposables.push(d);
      return d;
    };
    const hosts = (aspect: 'clusters' | 'routes'): KeySet => {
      if (below === undefined) return own(new KeySet(mesh.graph, [visibility.hosts]).addBucket(visibility.hostsByVisibility, 'public'));
      const set = own(new KeySet(mesh.graph, [visibility.exceptions]));
      return set.addBucket(visibility.exceptionsByScope, `${namespace ?? ''}#${aspect}`, hostOfException);
    };
    const lists = (
      name: string,
      from: KeySource<string>,
      reads: readonly { readonly level: number }[],
      translate: Parameters<typeof resourceLists<string>>[4],
      under?: ResourceLists<string>,
    ): ResourceLists<string> =>
      own(
        resourceLists<string>(
          t,
          `${id} ${name}`,
          from,
          [mesh.endpoints, mesh.destinationRules, mesh.virtualServices, t.identities, ...reads],
          translate,
          under,
        ),
      );

    const clusterHosts = hosts('clusters');
    this.clusters = lists('clusters', clusterHosts, [], (host, problems) => hostClusters(t, namespace, host, problems), below?.clusters);
    this.endpoints = lists(
      'endpoints',
      clusterHosts,
      [],
      (host, problems) => hostEndpoints(t, namespace, host, problems),
      below?.endpoints,
    );

    this.slots = own(
      new Derived<string, readonly Slot[]>({
        name: `${id} slots`,
        feature: 'listeners',
        from: clusterHosts,
        reads: [mesh.endpoints],
        compute: (key) => {
          const service = mesh.serviceAt(key, namespace);
          return service === undefined ? [] : slotsOf(mesh, service);
        },
        equals: sameJson,
        onFault: t.onFault,
      }),
    );
    this.slotsByListener = this.slots.index(listenersOf);
    const covered = own(
      new Derived<string, readonly Slot[]>({
        name: `${id} covered slots`,
        feature: 'listeners',
        from: clusterHosts,
        reads: below === undefined ? [] : [below.slots],
        compute: (host) => below?.slots.get(host),
        equals: sameJson,
        onFault: t.onFault,
      }),
    );
    this.coveredByListener = covered.index(listenersOf);
    this.httpPorts = this.portsOf(t, own, below);

    const routeHosts = hosts('routes');
    if (below === undefined)
      routeHosts.addLists(mesh.virtualServices, (v) => (v.gateways.includes('mesh') && v.exportTo.includes('*') ? v.hosts : []));
    else if (Object.keys(scope.labels).length > 0)
      routeHosts.addBucket(visibility.exceptionsByScope, `${labelScope}#routes`, hostOfException);
    this.virtualHosts = lists(
      'virtualHosts',
      routeHosts,
      [this.httpPorts],
      (host, problems) => hostVirtualHosts(t, scope, host, { httpPorts: () => this.httpPorts.all() }, problems),
      below?.virtualHosts,
    );
    this.hostTables = lists('hostTables', routeHosts, [], (host, problems) => hostTables(t, scope, host, problems), below?.hostTables);

    const names = (slots: readonly Slot[]): Set<string> => new Set(slots.map((s) => s.listener));
    const listenerKeys = own(new KeySet(mesh.graph, [this.slots, covered]))
      .addLists(this.slots, names)
      .addLists(covered, names);
    const sources = below === undefined ? [this] : [below, this];
    const listenerReads = [this.slots, covered, ...(below === undefined ? [] : [below.slots])];
    this.listeners = lists(
      'listeners',
      listenerKeys,
      listenerReads,
      (listener, problems) => [buildSlotListener(t, namespace, listener, sources, problems)],
      below?.listeners,
    );
    const ports = own(new KeySet(mesh.graph, [this.slots])).addLists(this.slots, httpPortsOf);
    this.sharedTables = lists('tables', ports, [], (port, problems) => [buildSharedTable(t, port, problems)], below?.sharedTables);

    this.follow(clusterType, this.clusters)
      .follow(endpointType, this.endpoints)
      .follow(listenerType, this.listeners)
      .follow(routeType, this.hostTables)
      .follow(routeType, this.sharedTables)
      .follow(virtualHostType, this.virtualHosts);
    const forAll: { listeners: ResourceLists<string>[]; clusters: ResourceLists<string>[] } = { listeners: [], clusters: [] };
    if (below === undefined) {
      const fixed = own(new KeySet(mesh.graph, [])).addFixed(one);
      forAll.listeners.push(lists('virtualOutbound', fixed, [], (_all, problems) => [buildVirtualOutbound(t, problems)]));
      forAll.clusters.push(lists('specialClusters', fixed, [], (_all, problems) => buildSpecialClusters(t, problems)));
      for (const list of forAll.listeners) this.follow(listenerType, list);
      for (const list of forAll.clusters) this.follow(clusterType, list);
    }
    this.makeOnDemand = () => {
      const under = below?.onDemand().own;
      const listeners = lists(
        'on-demand listeners',
        listenerKeys,
        listenerReads,
        (listener, problems) => [buildSlotListener(t, namespace, listener, sources, problems, undefined, true)],
        under?.listeners,
      );
      const tables = lists('on-demand tables', ports, [], (port, problems) => [buildSharedOnDemandTable(t, port, problems)], under?.tables);
      const clusters = lists(
        'clusters of chains',
        clusterHosts,
        [this.slots, this.clusters, ...(below === undefined ? [] : [below.clusters])],
        (host) => {
          const names = clustersOfChains(this.slots.get(host) ?? []);
          return names.size === 0 ? [] : this.clustersOf(host, below).filter(({ name }) => names.has(name));
        },
        under?.clusters,
      );
      return {
        own: { listeners, tables, clusters },
        listeners: [listeners, ...forAll.listeners],
        routes: [this.hostTables, tables],
        clusters: [clusters, ...forAll.clusters],
        endpoints: [this.endpoints],
      };
    };
  }

  /** For proxies in lazy mode; made when the first of them comes. */
  onDemand(): ReturnType<OutboundPart['makeOnDemand']> {
    return (this.onDemandLists ??= this.makeOnDemand());
  }

  /** As seen with the part below. Recorded. */
  private clustersOf(host: string, below: OutboundPart | undefined): readonly EncodedResource[] {
    const here = this.clusters.get(host) ?? noResources;
    const lower = below?.clusters.get(host)?.resources ?? [];
    const replaced = new Set([...here.hidden, ...here.resources.map(({ name }) => name)]);
    return [...lower.filter(({ name }) => !replaced.has(name)), ...here.resources];
  }

  private portsOf(t: Translation, own: <D extends { dispose(): void }>(d: D) => D, below: OutboundPart | undefined): Ports {
    const set = own(new KeySet(t.mesh.graph, [this.slots])).addLists(this.slots, httpPortsOf);
    const ports = own(
      new Derived<string, number>({ name: `${this.id} httpPorts`, from: set, compute: (key) => Number(key), onFault: t.onFault }),
    );
    const index = ports.index(() => one);
    return {
      all: () => new Set([...(below?.httpPorts.all() ?? []), ...[...index.keys('all')].map(Number)]),
      level: Math.max(ports.level, below?.httpPorts.level ?? 0),
    };
  }

  override dispose(): void {
    super.dispose();
    for (const d of this.disposables) d.dispose();
  }
}

function listenersOf(slots: readonly Slot[]): Set<string> {
  return new Set(slots.flatMap((s) => [s.listener, `${s.listener}#${s.kind}`]));
}

function httpPortsOf(slots: readonly Slot[]): Set<string> {
  return new Set(
    slots.filter((s) => s.kind === 'http' || (s.kind === 'auto' && s.listener.startsWith('0.0.0.0_'))).map((s) => String(s.port)),
  );
}
