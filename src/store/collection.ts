/**
 * Collections: keyed values that record who reads them. A source collection is written by a source; a derived one follows another collection and
 * recomputes only the entries whose reads have changed. Indexes are kept up to date with each entry, so that no reader walks a collection.
 */
import type { ObjectKey } from '../apis/object.ts';
import { Cell, Eager, type Graph, Memo, type Pause, type Stage, walkReaders } from './graph.ts';
import type { Trace } from './trace.ts';

/** Told of every key that appears, changes or goes, after the collection shows it. */
export type KeyListener<V> = (key: string, now: V | undefined, before: V | undefined) => void;

/** Something whose keys can be followed. */
export interface KeySource<V> {
  readonly graph: Graph;
  /** Depth in the graph; readers are deeper. */
  readonly level: number;
  /** Recorded read of one entry. */
  get(key: string): V | undefined;
  /** Unrecorded. */
  peek(key: string): V | undefined;
  keysNow(): Iterable<string>;
  listen(listener: KeyListener<V>): () => void;
}

/** Which keys have an index value, as a recorded read. */
export class Index<V> implements KeySource<ReadonlySet<string>> {
  readonly graph: Graph;
  readonly level: number;
  private readonly extract: (value: V, key: string) => Iterable<string>;
  /** Those that have keys, and those that are read. */
  private readonly buckets = new Map<string, Bucket>();
  private readonly listeners = new Map<string, Set<(key: string, present: boolean) => void>>();
  private readonly bucketListeners = new Set<KeyListener<ReadonlySet<string>>>();

  constructor(graph: Graph, level: number, extract: (value: V, key: string) => Iterable<string>) {
    this.graph = graph;
    this.level = level;
    this.extract = extract;
  }

  /** Keys with this index value, in no order. Depends on membership, not on the values. */
  keys(value: string): ReadonlySet<string> {
    if (!this.graph.recording) return this.peek(value) ?? none;
    const bucket = this.bucket(value);
    (bucket.members ??= new BucketCell(bucket, 0)).get();
    return asSet(bucket.keys) ?? none;
  }

  get(value: string): ReadonlySet<string> | undefined {
    const keys = this.keys(value);
    return keys.size === 0 ? undefined : keys;
  }

  peek(value: string): ReadonlySet<string> | undefined {
    return asSet(this.buckets.get(value)?.keys);
  }

  *keysNow(): Iterable<string> {
    for (const [value, bucket] of this.buckets) if (bucket.keys !== undefined) yield value;
  }

  /** Whether any key has this value. Changes only between none and some. */
  has(value: string): boolean {
    if (!this.graph.recording) return this.buckets.get(value)?.keys !== undefined;
    const bucket = this.bucket(value);
    return (bucket.some ??= new BucketCell(bucket, bucket.keys !== undefined)).get();
  }

  /** Index values that come into use or go out of it, and changes of membership. */
  listen(listener: KeyListener<ReadonlySet<string>>): () => void {
    this.bucketListeners.add(listener);
    return () => this.bucketListeners.delete(listener);
  }

  /** Follows the membership of one bucket. */
  listenTo(value: string, listener: (key: string, present: boolean) => void): () => void {
    let set = this.listeners.get(value);
    if (set === undefined) this.listeners.set(value, (set = new Set()));
    set.add(listener);
    return () => {
      set.delete(listener);
      if (set.size === 0) this.listeners.delete(value);
    };
  }

  /** @internal */
  update(key: string, now: V | undefined, before: V | undefined): void {
    const old = before === undefined ? none : new Set(this.extract(before, key));
    const next = now === undefined ? none : new Set(this.extract(now, key));
    for (const value of old) if (!next.has(value)) this.change(value, key, false);
    for (const value of next) if (!old.has(value)) this.change(value, key, true);
  }

  private change(value: string, key: string, present: boolean): void {
    const bucket = this.bucket(value);
    const before = bucket.keys;
    const now = present ? withKey(before, key) : withoutKey(before, key);
    bucket.keys = now;
    bucket.members?.set(bucket.members.peek() + 1);
    bucket.some?.set(now !== undefined);
    for (const listener of this.listeners.get(value) ?? []) listener(key, present);
    for (const listener of this.bucketListeners) listener(value, asSet(now), asSet(before));
    if (now === undefined) bucket.forget();
  }

  private bucket(value: string): Bucket {
    let bucket = this.buckets.get(value);
    if (bucket === undefined) this.buckets.set(value, (bucket = new Bucket(this.graph, this.buckets, value)));
    return bucket;
  }
}

/** None, one, or more: most index values have one key, and a set of one takes 200 bytes. */
type Keys = undefined | string | Set<string>;

function withKey(keys: Keys, key: string): Keys {
  if (keys === undefined || keys === key) return key;
  return typeof keys === 'string' ? new Set([keys, key]) : keys.add(key);
}

function withoutKey(keys: Keys, key: string): Keys {
  if (typeof keys !== 'object') return keys === key ? undefined : keys;
  keys.delete(key);
  return keys.size === 0 ? undefined : keys;
}

function asSet(keys: Keys): ReadonlySet<string> | undefined {
  return typeof keys === 'string' ? new Set([keys]) : keys;
}

/** Keys with one index value. A mesh has tens of them for each service, most of them empty and read for one of two questions: all is made when it is needed. */
class Bucket {
  readonly graph: Graph;
  private readonly all: Map<string, Bucket>;
  private readonly value: string;
  keys: Keys = undefined;
  members: BucketCell<number> | undefined = undefined;
  some: BucketCell<boolean> | undefined = undefined;

  constructor(graph: Graph, all: Map<string, Bucket>, value: string) {
    this.graph = graph;
    this.all = all;
    this.value = value;
  }

  /** Drops what nobody reads, and itself where nothing is left. */
  forget(): void {
    if (this.members !== undefined && this.members.subs === undefined) this.members = undefined;
    if (this.some !== undefined && this.some.subs === undefined) this.some = undefined;
    const unused = this.keys === undefined && this.members === undefined && this.some === undefined;
    if (unused && this.all.get(this.value) === this) this.all.delete(this.value);
  }
}

class BucketCell<T> extends Cell<T> {
  private readonly bucket: Bucket;

  constructor(bucket: Bucket, value: T) {
    super(bucket.graph, value);
    this.bucket = bucket;
  }

  override unwatched(): void {
    this.bucket.forget();
  }
}

const none: ReadonlySet<string> = new Set<string>();
const noObjects: ReadonlySet<ObjectKey> = new Set();

abstract class Base<V> implements KeySource<V> {
  readonly graph: Graph;
  readonly name: string;
  readonly level: number;
  private readonly indexes: Index<V>[] = [];
  private readonly listeners = new Set<KeyListener<V>>();

  constructor(graph: Graph, name: string, level: number) {
    this.graph = graph;
    this.name = name;
    this.level = level;
  }

  abstract get(key: string): V | undefined;
  abstract peek(key: string): V | undefined;
  abstract keysNow(): Iterable<string>;

  /** Declares an index; existing entries are entered. `extract` must be pure. */
  index(extract: (value: V, key: string) => Iterable<string>): Index<V> {
    const index = new Index<V>(this.graph, this.level, extract);
    for (const key of this.keysNow()) index.update(key, this.peek(key), undefined);
    this.indexes.push(index);
    return index;
  }

  listen(listener: KeyListener<V>): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  protected emit(key: string, now: V | undefined, before: V | undefined): void {
    for (const index of this.indexes) index.update(key, now, before);
    for (const listener of this.listeners) listener(key, now, before);
  }
}

/** One entry of a derived collection. */
export interface EntryRef {
  readonly collection: object;
  readonly key: string;
}

/** A source collection that is written from the entries of derived ones. */
export interface Fed<V> {
  /** Cells that hold one of the values, as far as they are this object. */
  cellsOf(value: V, object: ObjectKey): Iterable<Cell<unknown>>;
}

/** Values that are written, not computed. */
export class SourceCollection<V> extends Base<V> {
  private readonly cells = new Map<string, SourceCell<V>>();
  /** @internal */
  readonly objectOf: (value: V) => ObjectKey | undefined;

  /** `objectOf` names the object that an entry is, for provenance. The level is 0 for what comes from outside. */
  constructor(graph: Graph, name: string, objectOf: (value: V) => ObjectKey | undefined, level = 0) {
    super(graph, name, level);
    this.objectOf = objectOf;
  }

  get(key: string): V | undefined {
    const cell = this.graph.recording ? this.cell(key) : this.cells.get(key);
    return cell?.get();
  }

  peek(key: string): V | undefined {
    return this.cells.get(key)?.peek();
  }

  *keysNow(): Iterable<string> {
    for (const [key, cell] of this.cells) if (cell.peek() !== undefined) yield key;
  }

  set(key: string, value: V): void {
    const cell = this.cell(key);
    const before = cell.peek();
    if (before === value) return;
    cell.set(value);
    this.emit(key, value, before);
  }

  delete(key: string): void {
    const cell = this.cells.get(key);
    const before = cell?.peek();
    if (cell === undefined || before === undefined) return;
    cell.set(undefined);
    this.emit(key, undefined, before);
    if (cell.subs === undefined) this.cells.delete(key);
  }

  /** Entries of derived collections that were made from the object of this key, through every collection in between. */
  madeFrom(key: string): EntryRef[] {
    const cell = this.cells.get(key);
    const object = cell?.object;
    if (cell === undefined || object === undefined) return [];
    const found: EntryRef[] = [];
    walkReaders(cell, (reader) => {
      if (!(reader instanceof Entry)) return [];
      const entry = reader as Entry<unknown, unknown>;
      found.push({ collection: entry.owner, key: entry.key });
      return entry.owner.fedBy(entry.shown, object);
    });
    return found;
  }

  /** The cell of a key, if it is this object. */
  protected cellOf(key: string, object: ObjectKey): Cell<unknown> | undefined {
    const cell = this.cells.get(key);
    return cell?.object === object ? cell : undefined;
  }

  private cell(key: string): SourceCell<V> {
    let cell = this.cells.get(key);
    if (cell === undefined) this.cells.set(key, (cell = new SourceCell(this, key)));
    return cell;
  }

  /** @internal An absent key is known only while it is read. */
  unread(key: string, cell: SourceCell<V>): void {
    if (cell.peek() === undefined && this.cells.get(key) === cell) this.cells.delete(key);
  }
}

class SourceCell<V> extends Cell<V | undefined> {
  private readonly owner: SourceCollection<V>;
  private readonly key: string;

  constructor(owner: SourceCollection<V>, key: string) {
    super(owner.graph, undefined);
    this.owner = owner;
    this.key = key;
  }

  override get object(): ObjectKey | undefined {
    const value = this.peek();
    return value === undefined ? undefined : this.owner.objectOf(value);
  }

  override unwatched(): void {
    this.owner.unread(this.key, this);
  }
}

class Entry<I, V> extends Eager<V> {
  readonly key: string;
  /** The value that listeners were told of. */
  shown: V | undefined = undefined;
  readonly owner: Derived<I, V>;

  constructor(owner: Derived<I, V>, key: string) {
    super(owner.graph);
    this.owner = owner;
    this.key = key;
  }

  protected override compute(): V | undefined {
    return this.owner.computeEntry(this.key);
  }

  protected override equals(a: V, b: V): boolean {
    return this.owner.same(a, b);
  }

  protected override enqueue(): void {
    this.owner.queue(this);
  }

  override refreshValue(): boolean {
    try {
      return super.refreshValue();
    } catch (error) {
      this.owner.failed(this.key, error);
      return false;
    }
  }
}

/** A key that was read and has no entry. Its value is whether one has come. */
class AbsentCell extends Cell<boolean> {
  private readonly all: Map<string, AbsentCell>;
  private readonly key: string;

  constructor(graph: Graph, all: Map<string, AbsentCell>, key: string) {
    super(graph, false);
    this.all = all;
    this.key = key;
  }

  override unwatched(): void {
    if (this.all.get(this.key) === this) this.all.delete(this.key);
  }
}

export interface DerivedOptions<I, V> {
  readonly name: string;
  /** See `Stage`. */
  readonly feature?: string;
  /** One entry per key of it. */
  readonly from: KeySource<I>;
  /** Further collections that `compute` reads: they must be refreshed before this one. */
  readonly reads?: readonly { readonly level: number }[];
  /** The entry's value, or undefined for none. What it reads is recorded. */
  readonly compute: (key: string, input: I) => V | undefined;
  /** Values that are equal are no change. */
  readonly equals?: (a: V, b: V) => boolean;
  /** A fault of ours in `compute`: the entry keeps its last value. */
  readonly onFault?: (collection: string, key: string, error: unknown) => void;
}

/** One value per key of another collection. */
export class Derived<I, V> extends Base<V> implements Stage {
  private readonly entries = new Map<string, Entry<I, V>>();
  private readonly absent = new Map<string, AbsentCell>();
  private queueNow: Entry<I, V>[] = [];
  private removed = new Set<string>();
  private readonly options: DerivedOptions<I, V>;
  private readonly unlisten: () => void;
  private feeds: Fed<V>[] | undefined;
  feature: string | undefined;

  constructor(options: DerivedOptions<I, V>) {
    super(options.from.graph, options.name, 1 + Math.max(options.from.level, ...(options.reads ?? []).map((r) => r.level)));
    this.options = options;
    this.feature = options.feature;
    this.unlisten = options.from.listen((key, now, before) => this.inputChanged(key, now !== undefined, before !== undefined));
    for (const key of options.from.keysNow()) this.inputChanged(key, true, false);
  }

  get(key: string): V | undefined {
    const entry = this.entries.get(key);
    if (entry !== undefined) return entry.get();
    if (!this.graph.recording) return undefined;
    let cell = this.absent.get(key);
    if (cell === undefined) this.absent.set(key, (cell = new AbsentCell(this.graph, this.absent, key)));
    cell.get();
    return undefined;
  }

  peek(key: string): V | undefined {
    return this.entries.get(key)?.shown;
  }

  *keysNow(): Iterable<string> {
    for (const [key, entry] of this.entries) if (entry.shown !== undefined) yield key;
  }

  /** Keys of the objects that an entry was made from. */
  provenance(key: string): ObjectKey[] {
    return this.entries.get(key)?.provenance() ?? [];
  }

  /** Those of the changed objects that led to an entry. */
  trace(key: string, trace: Trace): ReadonlySet<ObjectKey> {
    const entry = this.entries.get(key);
    return entry === undefined ? noObjects : trace.of(entry);
  }

  /** Ends it and its entries: what reads them sees `undefined`, and whoever listens is told. */
  dispose(): void {
    this.unlisten();
    this.queueNow = [];
    this.removed.clear();
    for (const [key, entry] of this.entries) {
      const before = entry.shown;
      this.entries.delete(key);
      entry.dispose();
      if (before !== undefined) this.emit(key, undefined, before);
    }
  }

  /** @internal From now on the collection is written from this one's entries. */
  feed(fed: Fed<V>): void {
    (this.feeds ??= []).push(fed);
  }

  /** @internal No longer. */
  unfeed(fed: Fed<V>): void {
    this.feeds = this.feeds?.filter((other) => other !== fed);
  }

  /** @internal */
  fedBy(value: V | undefined, object: ObjectKey): Cell<unknown>[] {
    return value === undefined || this.feeds === undefined ? [] : this.feeds.flatMap((fed) => [...fed.cellsOf(value, object)]);
  }

  private inputChanged(key: string, present: boolean, wasPresent: boolean): void {
    if (present === wasPresent && this.entries.has(key) === present) return;
    if (present) {
      this.removed.delete(key);
      if (!this.entries.has(key)) {
        const entry = new Entry(this, key);
        this.entries.set(key, entry);
        const absent = this.absent.get(key);
        this.absent.delete(key);
        absent?.set(true);
        entry.notified();
      }
    } else {
      this.removed.add(key);
      this.graph.enqueue(this);
    }
  }

  /** @internal */
  queue(entry: Entry<I, V>): void {
    this.queueNow.push(entry);
    this.graph.enqueue(this);
  }

  /** @internal */
  computeEntry(key: string): V | undefined {
    const input = this.options.from.get(key);
    return input === undefined ? undefined : this.options.compute(key, input);
  }

  /** @internal */
  failed(key: string, error: unknown): void {
    if (this.options.onFault === undefined) throw error;
    this.options.onFault(this.name, key, error);
  }

  /** @internal */
  same(a: V, b: V): boolean {
    return this.options.equals?.(a, b) ?? false;
  }

  drain(pause: Pause): boolean {
    for (const key of this.removed) {
      this.removed.delete(key);
      const entry = this.entries.get(key);
      if (entry === undefined) continue;
      const before = entry.shown;
      this.entries.delete(key);
      entry.dispose();
      if (before !== undefined) this.emit(key, undefined, before);
    }
    while (this.queueNow.length > 0) {
      const batch = this.queueNow;
      this.queueNow = [];
      for (let i = 0; i < batch.length; i++) {
        if (i > 0 && pause()) {
          this.queueNow = [...batch.slice(i), ...this.queueNow];
          return false;
        }
        const entry = batch[i] as Entry<I, V>;
        if (this.entries.get(entry.key) !== entry) continue;
        try {
          entry.refresh();
          const before = entry.shown;
          entry.shown = entry.peek();
          if (entry.shown !== before) this.emit(entry.key, entry.shown, before);
        } catch (error) {
          this.queueNow = [...batch.slice(i + 1), ...this.queueNow];
          throw error;
        }
      }
    }
    return true;
  }
}

/** Values by key, computed when first read and forgotten when nothing reads them any more. */
export class MemoTable<V> {
  private readonly memos = new Map<string, Memo<V>>();
  private readonly graph: Graph;
  /** Level of the deepest collection that `compute` reads. */
  readonly level: number;
  private readonly compute: (key: string) => V;
  private readonly equals: ((a: V, b: V) => boolean) | undefined;

  constructor(graph: Graph, reads: readonly { readonly level: number }[], compute: (key: string) => V, equals?: (a: V, b: V) => boolean) {
    this.graph = graph;
    this.level = Math.max(0, ...reads.map((r) => r.level));
    this.compute = compute;
    this.equals = equals;
  }

  get(key: string): V {
    let memo = this.memos.get(key);
    if (memo === undefined) {
      const created: Memo<V> = new Memo<V>(
        this.graph,
        () => this.compute(key),
        this.equals,
        () => {
          if (this.memos.get(key) === created) this.memos.delete(key);
        },
      );
      this.memos.set(key, (memo = created));
    }
    return memo.get();
  }

  get size(): number {
    return this.memos.size;
  }
}
