import { expect, test } from 'vitest';
import { objectKey, type ObjectKey } from '../apis/object.ts';
import { Derived, MemoTable, SourceCollection } from './collection.ts';
import { Graph } from './graph.ts';
import { Trace } from './trace.ts';

const keyOf = (name: string): ObjectKey => objectKey('Item', '', name);

interface Item {
  readonly id: string;
  readonly size: number;
}

/** Each of the readers reads its own item, and the sum of all items. */
class World {
  readonly graph = new Graph();
  readonly items = new SourceCollection<Item>(this.graph, 'items', ({ id }) => keyOf(id));
  readonly readers: Derived<Item, number>;
  readonly total: MemoTable<number>;

  constructor(names: readonly string[]) {
    for (const id of names) this.items.set(id, { id, size: 1 });
    this.total = new MemoTable(this.graph, [this.items], () => names.reduce((sum, name) => sum + (this.items.get(name)?.size ?? 0), 0));
    this.readers = new Derived({
      name: 'readers',
      from: this.items,
      reads: [this.total],
      compute: (_key, { size }) => size * 1_000 + (this.total.get('') % 2),
      equals: Object.is,
    });
    this.graph.flush();
  }

  /** The items become larger by so much. */
  grow(by: Readonly<Record<string, number>>, most?: number): Trace {
    const since = this.graph.evaluations;
    for (const [id, more] of Object.entries(by)) this.items.set(id, { id, size: (this.items.peek(id)?.size ?? 0) + more });
    this.graph.flush();
    return new Trace(since, new Set(Object.keys(by).map(keyOf)), most);
  }

  of(trace: Trace, ...names: readonly string[]): ObjectKey[][] {
    return names.map((name) => [...this.readers.trace(name, trace)].sort());
  }
}

test('a value is traced to the changed objects that it was computed from anew, and what was not computed to none', () => {
  const world = new World(['a', 'b', 'c']);
  const trace = world.grow({ a: 1, b: 1 });
  // Of all three the sum was made anew.
  expect(world.of(trace, 'a', 'b', 'c', 'none')).toEqual([
    [keyOf('a'), keyOf('b')],
    [keyOf('a'), keyOf('b')],
    [keyOf('a'), keyOf('b')],
    [],
  ]);
  expect(world.readers.provenance('c')).toEqual([keyOf('a'), keyOf('b'), keyOf('c')]);
  const before = new Trace(world.graph.evaluations, new Set([keyOf('a')]));
  expect([world.of(before, 'a'), before.visits]).toEqual([[[]], 0]);
});

test('what many values have in common is looked at once', () => {
  const names = Array.from({ length: 100 }, (_, i) => `i${i}`);
  const world = new World(names);
  const trace = world.grow({ i3: 1, i4: 1 });
  for (const name of names) expect(world.readers.trace(name, trace).size).toBe(2);
  // Each reads its item and the sum; the sum reads the items. Readers beside the two may not have been computed, but for the sum.
  expect(trace.visits).toBeLessThanOrEqual(100 * 2 + 100);
});

test('a value of very many changed objects tells that it has more than it tells', () => {
  const names = Array.from({ length: 100 }, (_, i) => `i${i}`);
  const world = new World(names);
  const trace = world.grow(Object.fromEntries(names.map((name) => [name, 1])), 8);
  expect(world.readers.trace('i5', trace).size).toBe(9);
  expect(trace.visits).toBeLessThan(20);
});
