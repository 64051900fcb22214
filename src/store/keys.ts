/** Sets of keys that are made of others, as inputs of derived collections. */
import type { ObjectKey } from '../apis/object.ts';
import { Derived, SourceCollection, type Fed, type Index, type KeyListener, type KeySource } from './collection.ts';
import type { Cell, Graph, Pause, Stage } from './graph.ts';

/**
 * The union of key lists: of buckets of indexes, of lists that are the entries of other collections, of fixed keys. Each contribution counts, so a key
 * goes only when the last one has gone. Its values are the keys themselves.
 */
export class KeySet implements KeySource<string>, Stage {
  readonly graph: Graph;
  readonly level: number;
  private readonly counts = new Map<string, number>();
  private readonly shown = new Set<string>();
  private readonly touched = new Set<string>();
  private readonly listeners = new Set<KeyListener<string>>();
  private readonly ends: (() => void)[] = [];

  /** `level`: that of the deepest contribution. */
  constructor(graph: Graph, contributions: readonly { readonly level: number }[]) {
    this.graph = graph;
    this.level = 1 + Math.max(0, ...contributions.map((c) => c.level));
  }

  /** All keys of one bucket, as `map` changes them. */
  addBucket<V>(index: Index<V>, bucket: string, map: (key: string) => string = same): this {
    for (const key of index.peek(bucket) ?? []) this.count(map(key), 1);
    this.ends.push(index.listenTo(bucket, (key, present) => this.count(map(key), present ? 1 : -1)));
    return this;
  }

  /** The keys of a collection. */
  addKeys(source: KeySource<unknown>): this {
    for (const key of source.keysNow()) this.count(key, 1);
    this.ends.push(
      source.listen((key, now, before) => {
        if (now !== undefined && before === undefined) this.count(key, 1);
        if (now === undefined && before !== undefined) this.count(key, -1);
      }),
    );
    return this;
  }

  /** All keys in the lists that are the collection's entries. */
  addLists<V>(source: KeySource<V>, list: (value: V) => Iterable<string>): this {
    const add = (value: V | undefined, by: number): void => {
      if (value !== undefined) for (const key of list(value)) this.count(key, by);
    };
    for (const key of source.keysNow()) add(source.peek(key), 1);
    this.ends.push(
      source.listen((_key, now, before) => {
        add(now, 1);
        add(before, -1);
      }),
    );
    return this;
  }

  addFixed(keys: Iterable<string>): this {
    for (const key of keys) this.count(key, 1);
    return this;
  }

  get(key: string): string | undefined {
    return this.shown.has(key) ? key : undefined;
  }

  peek(key: string): string | undefined {
    return this.get(key);
  }

  keysNow(): Iterable<string> {
    return this.shown;
  }

  get size(): number {
    return this.shown.size;
  }

  listen(listener: KeyListener<string>): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  dispose(): void {
    for (const end of this.ends) end();
    this.ends.length = 0;
  }

  private count(key: string, by: number): void {
    this.counts.set(key, (this.counts.get(key) ?? 0) + by);
    this.touched.add(key);
    this.graph.enqueue(this);
  }

  drain(pause: Pause): boolean {
    for (const key of this.touched) {
      this.touched.delete(key);
      const count = this.counts.get(key) ?? 0;
      if (count === 0) this.counts.delete(key);
      const was = this.shown.has(key);
      if (count > 0 && !was) {
        this.shown.add(key);
        for (const listener of this.listeners) listener(key, key, undefined);
      } else if (count <= 0 && was) {
        this.shown.delete(key);
        for (const listener of this.listeners) listener(key, undefined, key);
      }
      if (this.touched.size > 0 && pause()) return false;
    }
    return true;
  }
}

function same(key: string): string {
  return key;
}

/** Splits collections whose entries are lists into one value per key; of several owners of a key the one that `better` puts first shows. */
export class Flat<V> extends SourceCollection<V> implements Stage, Fed<readonly V[]> {
  private readonly keyOf: (value: V) => string;
  private readonly better: (a: V, b: V) => number;
  private readonly owners = new Map<string, V[]>();
  private readonly touched = new Set<string>();
  private readonly ends: (() => void)[] = [];

  constructor(options: {
    readonly name: string;
    readonly from: readonly KeySource<readonly V[]>[];
    readonly keyOf: (value: V) => string;
    readonly better: (a: V, b: V) => number;
    readonly objectOf: (value: V) => ObjectKey | undefined;
    readonly graph: Graph;
  }) {
    super(options.graph, options.name, options.objectOf, 1 + Math.max(0, ...options.from.map((s) => s.level)));
    this.keyOf = options.keyOf;
    this.better = options.better;
    for (const source of options.from) {
      for (const key of source.keysNow()) this.change(source.peek(key), undefined);
      this.ends.push(source.listen((_key, now, before) => this.change(now, before)));
      if (source instanceof Derived) {
        source.feed(this);
        this.ends.push(() => source.unfeed(this));
      }
    }
  }

  /** Ends it: it follows nothing from now on. Whatever reads it is to be ended before. */
  dispose(): void {
    for (const end of this.ends.splice(0)) end();
    this.owners.clear();
    this.touched.clear();
  }

  /** @internal */
  *cellsOf(values: readonly V[], object: ObjectKey): Iterable<Cell<unknown>> {
    for (const value of values) {
      const cell = this.cellOf(this.keyOf(value), object);
      if (cell !== undefined) yield cell;
    }
  }

  private change(now: readonly V[] | undefined, before: readonly V[] | undefined): void {
    for (const value of before ?? []) {
      const key = this.keyOf(value);
      const list = this.owners.get(key);
      const at = list?.indexOf(value) ?? -1;
      if (list !== undefined && at >= 0) list.splice(at, 1);
      if (list?.length === 0) this.owners.delete(key);
      this.touched.add(key);
    }
    for (const value of now ?? []) {
      const key = this.keyOf(value);
      const list = this.owners.get(key);
      if (list === undefined) this.owners.set(key, [value]);
      else {
        list.push(value);
        list.sort(this.better);
      }
      this.touched.add(key);
    }
    this.graph.enqueue(this);
  }

  drain(pause: Pause): boolean {
    for (const key of this.touched) {
      this.touched.delete(key);
      const winner = this.owners.get(key)?.[0];
      if (winner === undefined) this.delete(key);
      else this.set(key, winner);
      if (this.touched.size > 0 && pause()) return false;
    }
    return true;
  }
}
