/**
 * The dependency graph under all collections: which derived value has read which source value. alien-signals keeps the links and decides what is stale;
 * this file adds what a registry needs on top: eager nodes that are refreshed level by level in one flush, and the way back from a derived value to
 * the objects that it was made from (its provenance).
 */
import { createReactiveSystem, type Link, type ReactiveNode } from 'alien-signals/system';
import type { ObjectKey } from '../apis/object.ts';

/* ReactiveFlags of alien-signals, a const enum there, which verbatim modules cannot import. */
const Mutable = 1;
const Watching = 2;
const RecursedCheck = 4;
const Dirty = 16;
const Pending = 32;

abstract class Node implements ReactiveNode {
  deps?: Link;
  depsTail?: Link;
  subs?: Link;
  subsTail?: Link;
  flags: number = 0;
  /** The evaluation that has read it last. */
  readIn = 0;
  abstract refreshValue(): boolean;
  abstract unwatched(): void;
}

/** A set of collections that refresh together: the eager nodes of one depth of the graph. */
export interface Stage {
  /** Every node of it reads only nodes of lower levels. */
  readonly level: number;
  /** What its work counts for. */
  readonly feature?: string | undefined;
  /**
   * Refreshes what was queued, at most until `pause` says so; true when nothing is left. Called by `Graph.flush` in order of levels, possibly several times in
   * one flush.
   */
  drain(pause: Pause): boolean;
}

/** Measures stages in a flush: those of one feature that follow one another as a whole. */
export interface Timing {
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  /** `feature`: of the stages. What an entry reads that has not been computed yet counts for its own. */
  readonly spent: (feature: string | undefined, ms: number) => void;
}

/** Asked between two entries: whether other work is to have its turn. */
export type Pause = () => boolean;

const never: Pause = () => false;

export class Graph {
  private active: Computed<unknown> | undefined = undefined;
  /** Of `active`; its own number. */
  private evaluation = 0;
  private readonly stages: (Set<Stage> | undefined)[] = [];
  private queued = 0;
  private flushing = false;
  private readonly afterFlush = new Set<() => void>();
  timing: Timing | undefined;
  /** Evaluations of derived values since the start: what the cost of a change is counted by. */
  evaluations = 0;

  private readonly system = createReactiveSystem({
    update: (node) => (node as Node).refreshValue(),
    notify: (node) => (node as Eager<unknown>).notified(),
    unwatched: (node) => (node as Node).unwatched(),
  });

  /** @internal True while a value is computed: what is read is recorded. */
  get recording(): boolean {
    return this.active !== undefined;
  }

  /** @internal */
  read(node: Node): void {
    // The system sees a second read only where nothing else was read, or nobody else has read it, in between.
    if (this.active === undefined || node.readIn === this.evaluation) return;
    node.readIn = this.evaluation;
    this.system.link(node, this.active, this.evaluation);
  }

  /** @internal */
  written(node: Node): void {
    if (node.subs !== undefined) this.system.propagate(node.subs, false);
  }

  /** @internal */
  changed(node: Node): void {
    if (node.subs !== undefined) this.system.shallowPropagate(node.subs);
  }

  /** @internal True when a read value has really changed. Clears `Pending` when none has. */
  stale(node: Node): boolean {
    if ((node.flags & Dirty) !== 0) return true;
    if ((node.flags & Pending) === 0) return false;
    if (node.deps !== undefined && this.system.checkDirty(node.deps, node)) return true;
    node.flags &= ~Pending;
    return false;
  }

  /** @internal Runs `compute` with its reads recorded as those of `node`. */
  evaluate<T>(node: Computed<T>, flags: number, compute: () => T): T {
    const previous = this.active;
    const outer = this.evaluation;
    this.active = node as Computed<unknown>;
    this.evaluation = ++this.evaluations;
    node.depsTail = undefined as unknown as Link;
    node.flags = flags | RecursedCheck;
    try {
      return compute();
    } finally {
      this.active = previous;
      this.evaluation = outer;
      node.flags &= ~RecursedCheck;
      this.forgetAfter(node);
    }
  }

  private forgetAfter(node: Node): void {
    let dep = node.depsTail !== undefined ? node.depsTail.nextDep : node.deps;
    while (dep !== undefined) dep = this.system.unlink(dep, node);
  }

  /** @internal */
  disconnect(node: Node): void {
    node.depsTail = undefined as unknown as Link;
    this.forgetAfter(node);
  }

  /** Runs `f` without recording what it reads. */
  untracked<T>(f: () => T): T {
    const previous = this.active;
    this.active = undefined;
    try {
      return f();
    } finally {
      this.active = previous;
    }
  }

  /** @internal */
  enqueue(stage: Stage): void {
    const set = (this.stages[stage.level] ??= new Set());
    if (set.has(stage)) return;
    set.add(stage);
    this.queued++;
  }

  /** True when something was written that derived values do not show yet. */
  get dirty(): boolean {
    return this.queued > 0;
  }

  /** True while derived values are being refreshed. */
  get busy(): boolean {
    return this.flushing;
  }

  /** Brings every eager value up to date, lowest level first, then calls the `onFlushed` handlers. */
  flush(): void {
    for (const _ of this.flushSteps());
  }

  /** The same with a step where `pause` asks for one, for a caller that lets other work in between. Reads between steps see a mixture: check `busy`. */
  *flushSteps(pause: Pause = never): Generator<void, void> {
    if (this.flushing) throw new Error('flush within a flush');
    if (this.queued === 0) return;
    this.flushing = true;
    const lap = this.timing === undefined ? undefined : new Lap(this.timing);
    try {
      for (let level = 0; level < this.stages.length; level++) {
        const set = this.stages[level];
        if (set === undefined) continue;
        for (const stage of set) {
          set.delete(stage);
          this.queued--;
          try {
            lap?.begin(stage.feature);
            while (!stage.drain(pause)) {
              lap?.end();
              yield;
              lap?.begin(stage.feature);
            }
          } catch (error) {
            // What is left of it is for the next flush.
            this.enqueue(stage);
            throw error;
          }
          if (pause()) {
            lap?.end();
            yield;
          }
        }
      }
    } finally {
      lap?.end();
      this.flushing = false;
    }
    for (const handler of this.afterFlush) handler();
  }

  onFlushed(handler: () => void): () => void {
    this.afterFlush.add(handler);
    return () => this.afterFlush.delete(handler);
  }
}

/** Looks at the clock where the feature changes. */
class Lap {
  private readonly timing: Timing;
  private feature: string | undefined;
  private since: number | undefined;

  constructor(timing: Timing) {
    this.timing = timing;
  }

  begin(feature: string | undefined): void {
    if (this.since !== undefined && feature === this.feature) return;
    const now = this.timing.now();
    if (this.since !== undefined) this.timing.spent(this.feature, now - this.since);
    this.feature = feature;
    this.since = now;
  }

  end(): void {
    if (this.since === undefined) return;
    this.timing.spent(this.feature, this.timing.now() - this.since);
    this.since = undefined;
  }
}

/**
 * Calls `visit` for each value that was computed from this one, through every intermediate value: provenance the other way round. What `visit` returns is
 * followed too.
 */
export function walkReaders(from: Cell<unknown>, visit: (reader: object) => Iterable<Cell<unknown>>): void {
  const seen = new Set<ReactiveNode>([from]);
  const stack: ReactiveNode[] = [from];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    for (let link = node.subs; link !== undefined; link = link.nextSub) {
      if (seen.has(link.sub)) continue;
      seen.add(link.sub);
      stack.push(link.sub);
      for (const cell of visit(link.sub)) {
        if (seen.has(cell)) continue;
        seen.add(cell);
        stack.push(cell);
      }
    }
  }
}

/** A source value. Writing the same value (by `===`) is no change. There are tens of them for each service: a subclass adds what it needs, no closures. */
export class Cell<T> extends Node {
  private readonly graph: Graph;
  private current: T;
  private pending: T;

  constructor(graph: Graph, value: T) {
    super();
    this.graph = graph;
    this.current = value;
    this.pending = value;
    this.flags = Mutable;
  }

  /** The object that this value is, when it is one. */
  get object(): ObjectKey | undefined {
    return undefined;
  }

  get(): T {
    if ((this.flags & Dirty) !== 0 && this.refreshValue()) this.graph.changed(this);
    this.graph.read(this);
    return this.current;
  }

  /** The newest value, unrecorded. */
  peek(): T {
    return this.pending;
  }

  set(value: T): void {
    if (this.pending === value) return;
    this.pending = value;
    this.flags = Mutable | Dirty;
    this.graph.written(this);
  }

  override refreshValue(): boolean {
    this.flags = Mutable;
    const changed = this.current !== this.pending;
    this.current = this.pending;
    return changed;
  }

  /** Nothing reads it any more. */
  override unwatched(): void {}
}

/** A value computed from others. */
export abstract class Computed<T> extends Node {
  protected readonly graph: Graph;
  protected value: T | undefined = undefined;

  constructor(graph: Graph) {
    super();
    this.graph = graph;
  }

  /** Whether it was computed after the graph had made so many evaluations. False for what reads nothing. */
  evaluatedSince(evaluations: number): boolean {
    // Each evaluation leaves its number on what it has read.
    return this.deps !== undefined && this.deps.version > evaluations;
  }

  /** The keys of all objects that the value was made from, through every intermediate value. Sorted. */
  provenance(): ObjectKey[] {
    const objects = new Set<ObjectKey>();
    const seen = new Set<ReactiveNode>([this]);
    const stack: ReactiveNode[] = [this];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      for (let link = node.deps; link !== undefined; link = link.nextDep) {
        const dep = link.dep;
        if (seen.has(dep)) continue;
        seen.add(dep);
        if (dep instanceof Cell) {
          if (dep.object !== undefined) objects.add(dep.object);
        } else stack.push(dep);
      }
    }
    return [...objects].sort();
  }
}

/** A computed value that is refreshed when it is read, and forgotten when nothing reads it any more. */
export class Memo<T> extends Computed<T> {
  private readonly compute: () => T;
  private readonly equals: (a: T, b: T) => boolean;
  private readonly dropped: (() => void) | undefined;
  private failure: { readonly error: unknown } | undefined = undefined;

  constructor(graph: Graph, compute: () => T, equals: (a: T, b: T) => boolean = Object.is, dropped?: () => void) {
    super(graph);
    this.compute = compute;
    this.equals = equals;
    this.dropped = dropped;
    this.flags = Mutable | Dirty;
  }

  /** Throws what the computation has thrown, to each reader, until something changes that it had read. */
  get(): T {
    if (this.graph.stale(this) && this.refreshValue()) this.graph.changed(this);
    this.graph.read(this);
    if (this.failure !== undefined) throw this.failure.error;
    return this.value as T;
  }

  override refreshValue(): boolean {
    const old = this.failure === undefined ? this.value : undefined;
    try {
      const value = this.graph.evaluate(this as Memo<T>, Mutable, this.compute);
      this.failure = undefined;
      if (old !== undefined && this.equals(old, value)) return false;
      this.value = value;
    } catch (error) {
      this.failure = { error };
    }
    return true;
  }

  override unwatched(): void {
    this.value = undefined;
    this.failure = undefined;
    this.flags = Mutable | Dirty;
    this.graph.disconnect(this);
    this.dropped?.();
  }
}

/** A computed value that its owner refreshes during the flush; a read between flushes gives the value of the last one. */
export abstract class Eager<T> extends Computed<T> {
  private waiting = false;

  constructor(graph: Graph) {
    super(graph);
    this.flags = Mutable | Watching | Dirty;
  }

  /** A computation that reads it before its turn in a flush has it refreshed first; its owner hears of the change when the turn comes. */
  get(): T | undefined {
    if (this.graph.recording && this.graph.stale(this) && this.refreshValue()) this.graph.changed(this);
    this.graph.read(this);
    return this.value;
  }

  peek(): T | undefined {
    return this.value;
  }

  protected abstract compute(): T | undefined;
  protected abstract equals(a: T, b: T): boolean;
  /** Puts this node into its stage's queue. */
  protected abstract enqueue(): void;

  notified(): void {
    if (this.waiting) return;
    this.waiting = true;
    this.enqueue();
  }

  /** True when the value has changed. */
  refresh(): boolean {
    this.waiting = false;
    if (!this.graph.stale(this)) return false;
    const changed = this.refreshValue();
    if (changed) this.graph.changed(this);
    return changed;
  }

  override refreshValue(): boolean {
    const old = this.value;
    const value = this.graph.evaluate(this as Eager<T>, Mutable | Watching, () => this.compute());
    if (old === value || (old !== undefined && value !== undefined && this.equals(old, value))) return false;
    this.value = value;
    return true;
  }

  /** Ends it: readers see `undefined`. */
  dispose(): void {
    this.graph.disconnect(this);
    this.value = undefined;
    this.flags = Mutable;
    if (this.subs !== undefined) {
      this.graph.written(this);
      this.graph.changed(this);
    }
  }

  override unwatched(): void {
    /* It lives as long as its key, read or not. */
  }
}
