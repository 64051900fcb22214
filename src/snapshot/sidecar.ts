/** The outbound side of workloads whose Sidecar narrows what they see or gives listeners of their own. Bytes are those of the namespace's view. */
import { keyOf, type ObjectKey } from '../apis/object.ts';
import type { MeshConfig } from '../apis/mesh-config.ts';
import type { IstioEgressListener, Sidecar } from '../apis/sidecar.ts';
import { egressHosts, seenAtPorts, type EgressHosts } from '../mesh/egress.ts';
import { isHttp, type InterceptionMode } from '../mesh/model.ts';
import { protocolOf } from '../mesh/protocol.ts';
import { slotsOf, wildcard, type Slot } from '../mesh/slots.ts';
import { Derived, type Index, type KeySource } from '../store/collection.ts';
import { KeySet } from '../store/keys.ts';
import type { EncodedResource } from '../wire/resource.ts';
import { clusterType, endpointType, listenerType, routeType, virtualHostType } from '../wire/types.ts';
import { routeOf } from './table.ts';
import type { Encoded } from './hosts.ts';
import { clustersOfChains, type OnDemandLists } from './on-demand.ts';
import type { OutboundPart } from './outbound.ts';
import {
  buildBoundListener,
  buildSharedOnDemandTable,
  buildSharedTable,
  buildSlotListener,
  buildSpecialClusters,
  buildVirtualOutbound,
  type SlotSource,
} from './outbound-listeners.ts';
import type { Feature } from './features.ts';
import { SnapshotPart, type Touched } from './part.ts';
import type { ResourceLists } from './table.ts';
import { resourceLists, type Translation } from './translation.ts';
import type { Problem } from '../apis/problem.ts';

export interface SidecarScope {
  readonly namespace: string;
  /** `namespace/name` of the Sidecar; absent: none, but nothing intercepts, so that the shared listeners would bind ports. */
  readonly sidecar?: string;
  readonly interceptionMode: InterceptionMode;
}

interface Selection {
  readonly hosts: EgressHosts;
  readonly object: Sidecar | undefined;
}

export class SidecarPart extends SnapshotPart implements SlotSource {
  /** All that the Sidecar names. */
  readonly hosts: KeySource<string>;
  readonly clusters: ResourceLists<string>;
  readonly endpoints: ResourceLists<string>;
  readonly slots: Derived<string, readonly Slot[]>;
  readonly slotsByListener: Index<readonly Slot[]>;
  /** By `<port>#<kind>`. */
  readonly slotsByPort: Index<readonly Slot[]>;
  /** The mesh configuration with the Sidecar's own policy for unknown hosts, and the objects that say so. A recorded read. */
  readonly policy: () => { readonly mesh: MeshConfig; readonly objects: ObjectKey[] };
  private readonly disposables: { dispose(): void }[] = [];
  private readonly makeOnDemand: () => OnDemandLists;
  private onDemandLists: OnDemandLists | undefined;

  /** `views`: the parts of the namespace, lowest first. */
  constructor(t: Translation, id: string, scope: SidecarScope, touched: Touched, views: readonly OutboundPart[]) {
    super(id, touched);
    const { mesh } = t;
    const own = <D extends { dispose(): void }>(d: D): D => {
      this.disposables.push(d);
      return d;
    };
    const levels = views.flatMap((v) => [v.clusters, v.endpoints, v.virtualHosts, v.hostTables, v.slots]);
    const only = own(new KeySet(mesh.graph, []).addFixed(['sidecar']));
    /** Recorded: its entries are made from the object itself, not from all that it names. */
    const sidecar = (): Sidecar | undefined => (scope.sidecar === undefined ? undefined : mesh.objects.kinds.Sidecar.get(scope.sidecar));
    this.policy = () => {
      const object = sidecar();
      return { mesh: meshOf(t, object), objects: object === undefined ? [] : [keyOf(object)] };
    };
    const selection = own(
      new Derived<string, Selection>({
        name: `${id} hosts`,
        feature: 'sidecar',
        from: only,
        reads: [mesh.services, mesh.virtualServices],
        compute: () => {
          const object = sidecar();
          return { object, hosts: egressHosts(mesh, object, scope.namespace) };
        },
        onFault: t.onFault,
      }),
    );
    const hosts = own(new KeySet(mesh.graph, [selection])).addLists(selection, (s) => s.hosts.all);
    this.hosts = hosts;
    const lists = (
      name: string,
      from: KeySet,
      reads: readonly { readonly level: number }[],
      translate: (key: string, problems: Problem[]) => readonly (EncodedResource | undefined)[],
    ): ResourceLists<string> => own(resourceLists<string>(t, `${id} ${name}`, from, [selection, ...levels, ...reads], translate));
    const merged = (of: (view: OutboundPart) => ResourceLists<string>, host: string): EncodedResource[] => {
      const byName = new Map<string, EncodedResource>();
      for (const view of views) {
        const entry = of(view).get(host);
        for (const name of entry?.hidden ?? []) byName.delete(name);
        for (const resource of entry?.resources ?? []) byName.set(resource.name, resource);
      }
      return [...byName.values()];
    };

    this.clusters = lists('clusters', hosts, [], (host) => merged((v) => v.clusters, host));
    this.follow(clusterType, this.clusters);
    this.endpoints = lists('endpoints', hosts, [], (host) => merged((v) => v.endpoints, host));
    this.follow(endpointType, this.endpoints);
    const hostTables = lists('hostTables', hosts, [], (host) => merged((v) => v.hostTables, host));
    this.follow(routeType, hostTables);
    // Membership only: what a host's resources are made from is the host's own, and the Sidecar, not all that the Sidecar names.
    const seenKeys = own(new KeySet(mesh.graph, [selection])).addLists(selection, (s) => seenAtPorts(s.hosts));
    const seen = own(
      new Derived<string, true>({ name: `${id} seen`, feature: 'sidecar', from: seenKeys, compute: () => true, onFault: t.onFault }),
    );
    const seenAt = (port: number, host: string): boolean => {
      sidecar();
      return seen.get(`${seen.get(`${port}|`) === true ? port : '*'}|${host}`) === true;
    };
    this.follow(
      virtualHostType,
      lists('virtualHosts', hosts, [seen], (host) =>
        merged((v) => v.virtualHosts, host).filter((r) => seenAt(Number(routeOf(r.name)), host)),
      ),
    );

    const captured = scope.interceptionMode !== 'NONE';
    this.slots = own(
      new Derived<string, readonly Slot[]>({
        name: `${id} slots`,
        feature: 'sidecar',
        from: hosts,
        reads: [seen, mesh.endpoints],
        compute: (host) => {
          const service = mesh.serviceAt(host, scope.namespace);
          return service === undefined ? undefined : slotsOf(mesh, service).filter((slot) => seenAt(slot.port, host));
        },
        equals: (a, b) => JSON.stringify(a) === JSON.stringify(b),
        onFault: t.onFault,
      }),
    );
    this.slotsByListener = this.slots.index((slots) => new Set(slots.flatMap((s) => [s.listener, `${s.listener}#${s.kind}`])));
    this.slotsByPort = this.slots.index((slots) => new Set(slots.map((s) => `${s.port}#${s.kind}`)));
    const bound = new KeySet(mesh.graph, [selection]).addLists(selection, (s) => boundListeners(s.object, scope).map(([i]) => String(i)));
    own(bound);
    const egressListener = (index: string, problems: Problem[], onDemand: boolean): Encoded[] => {
      const object = sidecar();
      const listener = object?.spec.egress?.[Number(index)];
      if (object === undefined || listener === undefined) return [];
      return [buildBoundListener(t, listener, Number(index), object, this, problems, this.policy(), onDemand)];
    };
    this.follow(
      listenerType,
      lists('egressListeners', bound, [this.slots], (index, problems) => egressListener(index, problems, false)),
    );
    const tables = own(new KeySet(mesh.graph, [selection, this.slots]))
      .addLists(selection, (s) =>
        boundListeners(s.object, scope).flatMap(([, l]) => (isHttpListener(l) ? [String(l.port?.number ?? 0)] : [])),
      )
      .addLists(this.slots, (slots) => (captured ? sharedPorts(slots) : []));
    this.follow(
      routeType,
      lists('tables', tables, [], (port, problems) => [buildSharedTable(t, port, problems, this.policy())]),
    );
    const specialClusters = lists('specialClusters', only, [], (_key, problems) => buildSpecialClusters(t, problems));
    this.follow(clusterType, specialClusters);
    const listeners = captured
      ? own(new KeySet(mesh.graph, [this.slots])).addLists(this.slots, (slots) => new Set(slots.map((s) => s.listener)))
      : undefined;
    const slotListeners = (name: string, onDemand: boolean): ResourceLists<string>[] =>
      listeners === undefined
        ? []
        : [
            lists(name, listeners, [this.slots], (listener, problems) => [
              buildSlotListener(t, scope.namespace, listener, [this], problems, this.policy(), onDemand),
            ]),
          ];
    const virtualOutbound = captured
      ? [lists('virtualOutbound', only, [], (_key, problems) => [buildVirtualOutbound(t, problems, this.policy())])]
      : [];
    for (const list of [...slotListeners('listeners', false), ...virtualOutbound]) this.follow(listenerType, list);
    this.makeOnDemand = () => ({
      listeners: [
        lists('on-demand egressListeners', bound, [this.slots], (index, problems) => egressListener(index, problems, true)),
        ...slotListeners('on-demand listeners', true),
        ...virtualOutbound,
      ],
      routes: [hostTables, lists('on-demand tables', tables, [], (port, problems) => [buildSharedOnDemandTable(t, port, problems)])],
      clusters: [
        lists('clusters of chains', hosts, [this.slots, this.clusters], (host) => {
          const slots = this.slots.get(host) ?? [];
          const names = clustersOfChains(captured || slots.length === 0 ? slots : slotsOfChains(slots, sidecar(), scope));
          return (names.size === 0 ? [] : (this.clusters.get(host)?.resources ?? [])).filter(({ name }) => names.has(name));
        }),
        specialClusters,
      ],
      endpoints: [this.endpoints],
    });
  }

  /** For proxies in lazy mode; made when the first of them comes. */
  onDemand(): OnDemandLists {
    return (this.onDemandLists ??= this.makeOnDemand());
  }

  protected override featureOf(): Feature {
    return 'sidecar';
  }

  override dispose(): void {
    super.dispose();
    for (const d of this.disposables) d.dispose();
  }
}

/** Egress listeners that have a port, and so a listener of their own, by their place in the Sidecar. */
function boundListeners(sidecar: Sidecar | undefined, scope: SidecarScope): [number, IstioEgressListener][] {
  return (sidecar?.spec.egress ?? [])
    .map((listener, i): [number, IstioEgressListener] => [i, listener])
    .filter(
      ([, listener]) =>
        listener.port?.number !== undefined &&
        (scope.interceptionMode === 'NONE' || listener.captureMode === 'NONE' || (listener.bind ?? '') !== ''),
    );
}

/** Without interception only the ports that the Sidecar binds have filter chains. */
function slotsOfChains(slots: readonly Slot[], sidecar: Sidecar | undefined, scope: SidecarScope): readonly Slot[] {
  const ports = new Set(boundListeners(sidecar, scope).flatMap(([, l]) => (isHttpListener(l) ? [] : [l.port?.number])));
  return slots.filter(({ kind, port }) => (kind === 'tcp' || kind === 'tls') && ports.has(port));
}

function isHttpListener(listener: IstioEgressListener): boolean {
  const protocol = protocolOf(listener.port?.protocol);
  return isHttp(protocol) || protocol === 'auto';
}

function sharedPorts(slots: readonly Slot[]): Set<string> {
  return new Set(slots.filter((s) => s.kind === 'http' || (s.kind === 'auto' && s.address === wildcard)).map((s) => String(s.port)));
}

function meshOf(t: Translation, sidecar: Sidecar | undefined): MeshConfig {
  const config = t.mesh.objects.meshConfig();
  const mode = sidecar?.spec.outboundTrafficPolicy?.mode;
  return mode === undefined ? config : { ...config, outboundTrafficPolicy: { mode } };
}
