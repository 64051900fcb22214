/**
 * The outbound side that workloads share: one public part for all, and over it one part per namespace (and per labels that routes ask for) that holds only
 * what differs there. A proxy's view is the list of both.
 */
import { sameJson } from '../lib/json.ts';
import { hostOfException, labelScope } from '../mesh/visibility.ts';
import { slotsOf, type Slot } from '../mesh/slots.ts';
import { Derived, type Index, type KeySource } from '../store/collection.ts';
import { KeySet } from '../store/keys.ts';
import { clusterType, endpointType, listenerType, routeType, virtualHostType } from '../wire/types.ts';
import { hostClusters, hostEndpoints } from './hosts.ts';
import { buildSlotListener, buildSpecialClusters, buildSharedTable, buildVirtualOutbound } from './outbound-listeners.ts';
import { SnapshotPart, type Touched } from './part.ts';
import type { ResourceLists } from './table.ts';
import { resourceLists, type Scope, type Translation } from './translation.ts';
import { hostTables, hostVirtualHosts } from './virtual-hosts.ts';

const one = new Set(['all']);

/** Ports of HTTP listeners, as a collection so that hosts can follow them. */
interface Ports {
  /** Recorded. */
  all(): Iterable<number>;
  readonly level: number;
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
    this.listeners = lists(
      'listeners',
      listenerKeys,
      [this.slots, covered, ...(below === undefined ? [] : [below.slots])],
      (listener, problems) => [
        buildSlotListener(
          t,
          namespace,
          listener,
          [below, this].filter((p) => p !== undefined),
          problems,
        ),
      ],
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
    if (below === undefined) {
      const fixed = own(new KeySet(mesh.graph, [])).addFixed(one);
      this.follow(
        listenerType,
        lists('virtualOutbound', fixed, [], (_all, problems) => [buildVirtualOutbound(t, problems)]),
      );
      this.follow(
        clusterType,
        lists('specialClusters', fixed, [], (_all, problems) => buildSpecialClusters(t, problems)),
      );
    }
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
