/** Brings the parts up to date with the objects and hands each proxy the list of its parts. */
import { originText, type ObjectKey } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import { ProblemIndex, type ProblemSource } from '../apis/problem-index.ts';
import type { Mesh, MeshOptions } from '../mesh/mesh.ts';
import type { Proxy } from '../mesh/model.ts';
import type { Objects } from '../mesh/objects.ts';
import { parseProxy } from '../mesh/proxy.ts';
import type { Visibility } from '../mesh/visibility.ts';
import { Derived, SourceCollection } from '../store/collection.ts';
import { Trace } from '../store/trace.ts';
import type { Validator } from '../wire/validate.ts';
import type { Caller, ClaimedNode, Part, Refusal, ResourceSource, Subscription, TypeUrl } from '../xds/source.ts';
import { Arrivals } from './arrivals.ts';
import { AskedPart } from './asked.ts';
import { Assembly } from './assembly.ts';
import { Connection, type ConnectionSource, type IdentityLease } from './connection.ts';
import type { Flush } from './costs/cost.ts';
import { Encoder } from './encoder.ts';
import type { CredentialReader } from './gateway.ts';
import { InboundPart } from './inbound.ts';
import { Ledger, type EffectChange } from './ledger.ts';
import { MadeFrom } from './made-from.ts';
import { OnDemandHosts } from './on-demand-hosts.ts';
import type { PartChange, SnapshotPart } from './part.ts';
import { Parts } from './parts.ts';
import { planFor, planKey, type Plan } from './plan.ts';
import type { ResourceTable } from './table.ts';
import type { Translation } from './translation.ts';
import type { Turns } from './turns.ts';
import { View } from './view.ts';

export interface SnapshotOptions {
  readonly validator: Validator;
  readonly readCredential: CredentialReader;
  readonly untranslated: MeshOptions['untranslated'];
  /** A fault of ours in a translation: the resource keeps its last state. */
  readonly onFault: (collection: string, key: string, error: unknown) => void;
  /** Why the caller may not be this node; undefined: it may. */
  readonly admit: (node: ClaimedNode, caller: Caller) => string | undefined;
  /** Of the cluster whose configuration is read. Default `Kubernetes`. */
  readonly clusterId?: string;
  /** The remote cluster that a proxy runs in; undefined for the one whose configuration is read. Called again after `clustersChanged`. */
  readonly clusterOf?: (node: ClaimedNode, caller: Caller) => string | undefined;
  /** Milliseconds of a clock that never goes back, for what is kept for a time. Absent: nothing is kept. */
  readonly now?: () => number;
  /** Absent: everything is translated at once. */
  readonly turns?: Turns;
  /** Secrets of the caller's own identity, for the life of one stream. */
  readonly identityPart?: (caller: Caller) => IdentityLease | undefined;
}

type Changed = Map<SnapshotPart, Set<TypeUrl>>;

export class Snapshot implements ResourceSource, ProblemSource, ConnectionSource {
  readonly objects: Objects;
  /** As seen from the cluster whose configuration is read. */
  readonly mesh: Mesh;
  readonly visibility: Visibility;
  readonly encoder: Encoder;
  readonly ledger = new Ledger();
  readonly madeFrom: MadeFrom;
  private readonly options: SnapshotOptions;
  /** By remote cluster; undefined for the one whose configuration is read. */
  private readonly views = new Map<string | undefined, View>();
  /** Clusters that are gone, and have a view yet. */
  private readonly gone = new Set<string>();
  private readonly parts = new Parts();
  private readonly assembly: Assembly;
  private readonly proxies: SourceCollection<Proxy>;
  private readonly plans: Derived<Proxy, Plan>;
  private readonly onDemandHosts = new OnDemandHosts();
  /** What streams in lazy mode have asked for, by the parts that they read. */
  private readonly askedOf = new Map<SnapshotPart, Set<AskedPart>>();
  private readonly connections = new Map<string, Connection>();
  private readonly changedPlans = new Set<string>();
  private touched: [SnapshotPart, TypeUrl, ResourceTable][] = [];
  private readonly lists = new Map<string, WeakRef<readonly SnapshotPart[]>>();
  private readonly handlers = new Set<(changed: ReadonlyMap<Part, ReadonlySet<TypeUrl>>) => void>();
  private readonly problemIndex = new ProblemIndex();
  /** Since the last flush. */
  private changedObjects = new Set<ObjectKey>();
  private readonly objectHandlers = new Set<(objects: ReadonlySet<ObjectKey>) => void>();
  private readonly flushHandlers = new Set<(flush: Flush) => void>();
  /** The graph's count of evaluations at the end of the last translation. */
  private evaluated = 0;
  private readonly spentMs = new Map<string, number>();
  private generation = 0;
  private connected = 0;
  private flushing = false;
  private underWay: Generator<void, void> | undefined;
  private turnEndsAtMs = Infinity;
  /** What came while a translation was under way. */
  private readonly waiting: (() => void)[] = [];
  /** Connections that have no parts yet. */
  /** Absent where there are no turns. */
  private readonly arrivals: Arrivals | undefined;

  constructor(objects: Objects, options: SnapshotOptions) {
    this.objects = objects;
    this.options = options;
    this.encoder = new Encoder(options.validator);
    this.assembly = new Assembly(this.parts, this.partTouched.bind(this), options.readCredential);
    const { turns, onFault } = options;
    this.arrivals =
      turns &&
      new Arrivals({
        turns,
        translate: () => this.flushInTurns(),
        isTranslating: () => this.flushing,
        onFault: (cause) => onFault('proxies', '', cause),
        onUnplaced: (connection) => connection.failed(unplaced(connection.node)),
      });
    const view = this.viewFrom(undefined);
    this.mesh = view.mesh;
    this.visibility = view.visibility;
    this.madeFrom = new MadeFrom(objects, this.parts);
    if (options.now !== undefined) {
      objects.listen((object) => this.changedObjects.add(object));
      const spent = (feature: string = 'model', ms: number): void => void this.spentMs.set(feature, (this.spentMs.get(feature) ?? 0) + ms);
      objects.graph.timing = { now: options.now, spent };
    }
    this.proxies = new SourceCollection<Proxy>(objects.graph, 'proxies', () => undefined);
    this.plans = new Derived<Proxy, Plan>({
      name: 'plans',
      feature: 'plans',
      from: this.proxies,
      reads: [this.mesh.workloads, this.mesh.pods, this.mesh.services, this.mesh.virtualServices, this.mesh.endpoints],
      compute: (_id, proxy) => {
        const { mesh } = this.views.get(proxy.cluster) ?? view;
        return planFor(mesh, proxy);
      },
      equals: (a, b) => planKey(a) === planKey(b),
      onFault: options.onFault,
    });
    this.plans.listen((id, now) => {
      if (now !== undefined) this.changedPlans.add(id);
    });
  }

  get settled(): boolean {
    return !this.flushing;
  }

  get version(): string {
    return String(this.generation);
  }

  /** Milliseconds of translation since the start by `Feature`, if the snapshot has a clock. */
  get translationMs(): ReadonlyMap<string, number> {
    return this.spentMs;
  }

  /** True when objects have changed since the last flush. */
  get dirty(): boolean {
    return this.objects.graph.dirty;
  }

  onSettled(handler: (changed: ReadonlyMap<Part, ReadonlySet<TypeUrl>>) => void): () => void {
    this.handlers.add(handler);
    return () => this.handlers.delete(handler);
  }

  /** Called after a flush with the objects that had changed before it, if the snapshot has a clock. Returns the function that ends it. */
  onObjects(handler: (objects: ReadonlySet<ObjectKey>) => void): () => void {
    this.objectHandlers.add(handler);
    return () => this.objectHandlers.delete(handler);
  }

  /** Called after a flush, before the streams hear of it, if the snapshot has a clock. Returns the function that ends it. */
  onFlush(handler: (flush: Flush) => void): () => void {
    this.flushHandlers.add(handler);
    return () => this.flushHandlers.delete(handler);
  }

  /** The object has changed and its change is yet to be translated. */
  isPending(object: ObjectKey): boolean {
    return this.changedObjects.has(object);
  }

  /** Translates what has changed, or the rest of it, and tells whoever listens. */
  flush(): void {
    this.turnEndsAtMs = Infinity;
    this.underWay ??= this.translate();
    while (this.underWay?.next().done === false);
  }

  /** The same in turns, if there are any: what comes meanwhile waits, see `whenSettled`. Rejects with a fault of ours; what was translated stays in force. */
  async flushInTurns(): Promise<void> {
    const { turns } = this.options;
    if (turns === undefined) {
      this.flush();
      return;
    }
    const { longestMs = 10 } = turns;
    this.underWay ??= this.translate();
    const mine = this.underWay;
    // Ended by whoever joined it first, or by a flush at once.
    while (this.underWay === mine) {
      this.turnEndsAtMs = turns.now() + longestMs;
      if (mine.next().done === true) return;
      await new Promise<void>((resolve) => turns.later(resolve));
    }
  }

  /** Now, or at the end of the translation that is under way: nothing that it reads may change meanwhile. */
  whenSettled(task: () => void): void {
    if (this.flushing) this.waiting.push(task);
    else task();
  }

  private readonly pause = (): boolean =>
    this.turnEndsAtMs !== Infinity && this.options.turns !== undefined && this.options.turns.now() >= this.turnEndsAtMs;

  private *translate(): Generator<void, void> {
    try {
      const objects = this.changedObjects;
      const now = this.options.now ?? timeless;
      const beganAtMs = now();
      let turnBeganAtMs = beganAtMs;
      let ms = 0;
      const settling = this.settle(objects.size > 1 ? objects : undefined);
      let step = settling.next();
      for (; step.done !== true; step = settling.next()) {
        ms += now() - turnBeganAtMs;
        yield;
        turnBeganAtMs = now();
      }
      const { changed, asked, replanned, created, trace } = step.value;
      this.changedObjects = new Set();
      this.evaluated = this.objects.graph.evaluations;
      this.record(objects, changed, replanned, created, trace);
      const atMs = now();
      this.report({ beganAtMs, atMs, ms: ms + atMs - turnBeganAtMs, objects, replanned, trace }, changed, created);
      const all = asked.size === 0 ? changed : new Map<SnapshotPart, ReadonlySet<TypeUrl>>([...changed, ...asked]);
      // Also with nothing: streams wait for the end of what places a proxy.
      for (const handler of this.handlers) handler(all);
      if (objects.size > 0) for (const handler of this.objectHandlers) handler(objects);
      this.endViews();
    } finally {
      this.underWay = undefined;
      for (const task of this.waiting.splice(0)) task();
    }
  }

  private record(
    objects: ReadonlySet<ObjectKey>,
    changed: Changed,
    replanned: readonly Connection[],
    created: ReadonlySet<SnapshotPart>,
    trace: Trace | undefined,
  ): void {
    if (objects.size === 0 || this.options.now === undefined) return;
    const changes: EffectChange[] = [];
    for (const [part, types] of changed) {
      // Of a new part everything is new: the proxies that have it are replanned, or new themselves. Certificates are made from no object.
      if (created.has(part) || !this.parts.has(part)) continue;
      for (const type of types) {
        const table = part.table(type);
        if (table === undefined) continue;
        const names = table.lastStep;
        const ownerless = trace === undefined ? names : ownerlessOf(table, names, trace);
        changes.push({ part, type, version: table.version, names, ownerless });
      }
    }
    // What nobody sees leads to nothing, as a first load.
    if (changes.length + replanned.length === 0) return;
    this.ledger.add({ generation: this.generation, atMs: this.options.now(), objects, changes, replanned: new WeakSet(replanned) });
  }

  private report(flush: Omit<Flush, 'changes'>, changed: Changed, created: ReadonlySet<SnapshotPart>): void {
    if (this.flushHandlers.size === 0 || this.options.now === undefined) return;
    const changes: PartChange[] = [];
    if (flush.objects.size > 0) {
      // A part that is new for a proxy that has come is what it costs to connect, not the doing of an object.
      const moved = new Set(created.size === 0 ? [] : flush.replanned.flatMap(({ parts }) => parts));
      for (const [part, types] of changed) {
        if (!this.parts.has(part) || (created.has(part) && !moved.has(part))) continue;
        for (const type of types) {
          const table = part.table(type);
          if (table !== undefined) changes.push({ part, type, table, version: table.version, names: table.lastStep });
        }
      }
    }
    for (const handler of this.flushHandlers) handler({ ...flush, changes });
  }

  /** Also for changes that come from outside the collections, such as renewed certificates. */
  partTouched(part: SnapshotPart, type: TypeUrl, table: ResourceTable): void {
    this.touched.push([part, type, table]);
  }

  open(node: ClaimedNode, caller: Caller, protocol: 'delta' | 'sotw' = 'sotw'): Subscription | Refusal {
    const claimed = parseProxy(node);
    if ('invalid' in claimed) return { refused: claimed.invalid };
    const proxy = { ...claimed, onDemand: claimed.onDemand && protocol === 'delta' };
    const refused = this.options.admit(node, caller);
    if (refused !== undefined) return { refused };
    const identity = proxy.capabilities.secrets === 'agent' ? undefined : this.options.identityPart?.(caller);
    const connection = new Connection(this, `${node.id}-${++this.connected}`, node, caller, identity);
    this.connections.set(connection.connectionId, connection);
    const place = (): void => this.place(connection, proxy);
    if (this.arrivals !== undefined) {
      this.arrivals.add({ connection, place });
      return connection;
    }
    place();
    try {
      this.flush();
    } catch (error) {
      connection.close();
      throw error;
    }
    if (!connection.placed) {
      // A fault of ours, told already. An empty view would take from the proxy what it has.
      connection.close();
      return { refused: unplaced(node) };
    }
    return connection;
  }

  /** What follows for the proxy is translated with the next flush. */
  private place(connection: Connection, proxy: Proxy): void {
    this.whenSettled(() => {
      if (this.connections.has(connection.connectionId)) this.proxies.set(connection.connectionId, this.placed(proxy, connection));
    });
  }

  /** Proxies of a remote cluster are known by it from now on, or no longer. What follows is translated with the next flush. `known`: all remote ones. */
  clustersChanged(known: ReadonlySet<string>): void {
    this.whenSettled(() => {
      this.gone.clear();
      for (const cluster of this.views.keys()) if (cluster !== undefined && !known.has(cluster)) this.gone.add(cluster);
      for (const [id, connection] of this.connections) {
        const proxy = this.proxies.peek(id);
        if (proxy !== undefined && proxy.cluster !== this.clusterOf(connection)) this.proxies.set(id, this.placed(proxy, connection));
      }
      this.endViews();
    });
  }

  /** Those of clusters that are gone, once their last proxy has moved or closed its stream. */
  private endViews(): void {
    if (this.gone.size === 0) return;
    const seen = new Set([...this.proxies.keysNow()].map((id) => this.proxies.peek(id)?.cluster));
    for (const cluster of this.gone) {
      const view = this.views.get(cluster);
      if (seen.has(cluster) || (view !== undefined && !this.parts.dropUnused(view))) continue;
      view?.dispose();
      this.views.delete(cluster);
      this.gone.delete(cluster);
    }
  }

  private placed({ cluster: _before, ...proxy }: Proxy, connection: Connection): Proxy {
    const cluster = this.clusterOf(connection);
    this.viewFrom(cluster);
    return cluster === undefined ? proxy : { ...proxy, cluster };
  }

  private clusterOf({ node, caller }: Connection): string | undefined {
    return this.options.clusterOf?.(node, caller);
  }

  private viewFrom(cluster: string | undefined): View {
    let view = this.views.get(cluster);
    if (view === undefined) {
      const { onFault, untranslated, clusterId } = this.options;
      const like = this.views.get(undefined)?.mesh;
      view = new View(this.objects, {
        onFault,
        untranslated,
        ...(clusterId !== undefined && { clusterId }),
        ...(cluster !== undefined && { cluster }),
        ...(like !== undefined && { like }),
        encoder: this.encoder,
        report: (place, problems) => this.problemIndex.set(place, problems),
      });
      this.views.set(cluster, view);
    }
    return view;
  }

  disconnect(connection: Connection): void {
    this.connections.delete(connection.connectionId);
    this.whenSettled(() => {
      this.proxies.delete(connection.connectionId);
      connection.forget();
      for (const part of [...connection.shared, ...connection.kept]) this.parts.release(part);
      this.endViews();
    });
    if (this.lists.size > 2 * this.connections.size + 1000)
      for (const [key, list] of this.lists) if (list.deref() === undefined) this.lists.delete(key);
  }

  /** Problems of all translations, each once. */
  problems(): Problem[] {
    return this.eachOnce(this.problemIndex.problems());
  }

  problemsOf(object: ObjectKey): Problem[] {
    return this.eachOnce(this.problemIndex.problemsOf(object));
  }

  /** See `ProblemIndex.listen`; told while a change is translated. */
  onProblems(listener: (objects: ReadonlySet<ObjectKey>) => void): () => void {
    return this.problemIndex.listen(listener);
  }

  private eachOnce(problems: readonly Problem[]): Problem[] {
    const seen = new Map<string, Problem>();
    for (const problem of problems) seen.set(`${problem.object}|${problem.path}|${problem.message}`, problem);
    return [...seen.values()].map((problem) => this.objects.locate(problem));
  }

  /** Connected sidecars whose workload has no port: no service selects it, and no Sidecar gives it one. */
  get sidecarsWithoutPorts(): number {
    const portless = (part: SnapshotPart): boolean => part instanceof InboundPart && part.portCount === 0;
    let sidecars = 0;
    for (const connection of this.connections.values()) if (connection.shared.some(portless)) sidecars++;
    return sidecars;
  }

  /** Clusters from which the mesh is seen. */
  get viewCount(): number {
    return this.views.size;
  }

  get partCount(): number {
    return this.parts.size;
  }

  /** `Kind/namespace/name (file:line)`. */
  describe(key: ObjectKey): string {
    const object = this.objects.object(key);
    const where = object === undefined ? '' : originText(object.origin);
    return where === '' ? key : `${key} (${where})`;
  }

  /** `replanned`: those that had another list of parts before. `trace`: of what led to the changes, if `traced` are several objects. */
  private *settle(traced: ReadonlySet<ObjectKey> | undefined): Generator<
    void,
    {
      readonly changed: Changed;
      readonly asked: ReadonlyMap<SnapshotPart, ReadonlySet<TypeUrl>>;
      readonly replanned: readonly Connection[];
      readonly created: ReadonlySet<SnapshotPart>;
      readonly trace: Trace | undefined;
    }
  > {
    const changed: Changed = new Map();
    const asked = new Map<SnapshotPart, ReadonlySet<TypeUrl>>();
    const moved: Connection[] = [];
    let created: ReadonlySet<SnapshotPart>;
    let trace: Trace | undefined;
    if (this.flushing) throw new Error('flush within a flush');
    this.flushing = true;
    try {
      const graph = this.objects.graph;
      const replanned: Connection[] = [];
      for (let round = 0; graph.dirty || this.changedPlans.size > 0; round++) {
        if (round > 8) throw new Error('plans and parts do not settle');
        yield* graph.flushSteps(this.pause);
        for (const id of this.changedPlans) {
          if (this.pause()) yield;
          this.changedPlans.delete(id);
          const connection = this.connections.get(id);
          const plan = this.plans.peek(id);
          if (connection === undefined || plan === undefined) continue;
          const proxy = this.proxies.peek(id);
          if (proxy === undefined) continue;
          if (connection.shared.length > 0) moved.push(connection);
          const view = this.viewFrom(plan.cluster);
          this.parts.within(view, () => this.assign(connection, plan, view.translation(proxy.capabilities)));
          replanned.push(connection);
        }
      }
      const touched = this.touched;
      this.touched = [];
      for (const [part, type, table] of touched) {
        table.commit();
        let types = changed.get(part);
        if (types === undefined) changed.set(part, (types = new Set()));
        types.add(type);
      }
      if (changed.size > 0) this.generation++;
      for (const part of this.askedAgain(changed, replanned)) asked.set(part, part.commit());
      created = this.parts.takeCreated();
      if (traced !== undefined && this.options.now !== undefined) {
        trace = new Trace(this.evaluated, traced);
        yield* this.follow(trace, changed, created);
      }
      this.flushing = false;
      for (const connection of replanned) connection.replanned();
    } finally {
      this.flushing = false;
    }
    return { changed, asked, replanned: moved, created, trace };
  }

  /** Asks of the trace what `record` and `report` will, while there are turns: it keeps its answers. */
  private *follow(trace: Trace, changed: Changed, created: ReadonlySet<SnapshotPart>): Generator<void, void> {
    for (const [part, types] of changed) {
      if (created.has(part) || !this.parts.has(part)) continue;
      for (const type of types) {
        const table = part.table(type);
        for (const name of table?.lastStep ?? []) {
          if (this.pause()) yield;
          table?.trace(name, trace);
        }
      }
    }
    if (this.pause()) yield;
  }

  /** Brings what was asked for up to date with what has changed. Returns the parts that may have something to commit. */
  private askedAgain(changed: Changed, replanned: readonly Connection[]): ReadonlySet<AskedPart> {
    const touched = new Set<AskedPart>();
    for (const [part, types] of this.askedOf.size === 0 ? [] : changed) {
      for (const asked of this.askedOf.get(part) ?? []) {
        touched.add(asked);
        for (const type of types) asked.sourceChanged(type, part.table(type)?.lastStep ?? new Set());
      }
    }
    for (const connection of replanned) {
      if (connection.onDemand === undefined) continue;
      touched.add(connection.onDemand);
      connection.askAgain();
    }
    return touched;
  }

  reads(asked: AskedPart, before: readonly SnapshotPart[], now: readonly SnapshotPart[]): void {
    for (const part of before) {
      const parts = this.askedOf.get(part);
      parts?.delete(asked);
      if (parts?.size === 0) this.askedOf.delete(part);
    }
    for (const part of now) {
      const parts = this.askedOf.get(part);
      if (parts === undefined) this.askedOf.set(part, new Set([asked]));
      else parts.add(asked);
    }
  }

  asked(connectionId: string): AskedPart {
    return new AskedPart(`asked ${connectionId}`, this.onDemandHosts);
  }

  private assign(connection: Connection, plan: Plan, t: Translation): void {
    const secrets = plan.type === 'router' && connection.mayHaveSecretsOf(plan.serviceAccount);
    const assembled = this.assembly.assemble(plan, t, secrets);
    for (const part of [...connection.shared, ...connection.kept]) this.parts.release(part);
    connection.assign(assembled, (list) => this.intern(list));
  }

  private intern(parts: readonly SnapshotPart[]): readonly SnapshotPart[] {
    const key = parts.map((part) => part.id).join('\n');
    const known = this.lists.get(key)?.deref();
    if (known !== undefined && known.every((part, i) => part === parts[i])) return known;
    this.lists.set(key, new WeakRef(parts));
    return parts;
  }
}

const timeless = (): number => 0;

/** Names that none of the changed objects is known to have made. */
function ownerlessOf(table: ResourceTable, names: ReadonlySet<string>, trace: Trace): ReadonlySet<string> {
  const ownerless = new Set<string>();
  for (const name of names) if ((table.trace(name, trace)?.size ?? 0) === 0) ownerless.add(name);
  // Kept for minutes: most changes are all owned, or not at all.
  return ownerless.size === names.size ? names : ownerless;
}

function unplaced(node: ClaimedNode): string {
  return `a fault of the control plane: there is no configuration for ${node.id}`;
}
