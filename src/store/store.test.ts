import { describe, expect, it } from 'vitest';
import type { ObjectKey } from '../apis/object.ts';
import { Derived, MemoTable, SourceCollection } from './collection.ts';
import { Graph } from './graph.ts';
import { Flat, KeySet } from './keys.ts';

interface Item {
  readonly id: string;
  readonly group: string;
  readonly size: number;
}

function items(graph: Graph): SourceCollection<Item> {
  return new SourceCollection<Item>(graph, 'items', (v) => `Item//${v.id}` as ObjectKey);
}

describe('Derived', () => {
  it('recomputes only the entries that read what changed', () => {
    const graph = new Graph();
    const source = items(graph);
    const other = items(graph);
    const computed: string[] = [];
    const derived = new Derived({
      name: 'sum',
      from: source,
      reads: [other],
      compute: (key, item) => {
        computed.push(key);
        return item.size + (other.get(item.group)?.size ?? 0);
      },
      equals: Object.is,
    });
    source.set('a', { id: 'a', group: 'g1', size: 1 });
    source.set('b', { id: 'b', group: 'g2', size: 2 });
    graph.flush();
    expect([derived.peek('a'), derived.peek('b')]).toEqual([1, 2]);
    computed.length = 0;
    other.set('g2', { id: 'g2', group: '', size: 40 });
    graph.flush();
    expect(computed).toEqual(['b']);
    expect([derived.peek('a'), derived.peek('b')]).toEqual([1, 42]);
    other.delete('g2');
    source.delete('a');
    graph.flush();
    expect([derived.peek('a'), derived.peek('b')]).toEqual([undefined, 2]);
  });

  it('does not wake readers of an equal value', () => {
    const graph = new Graph();
    const source = items(graph);
    const parity = new Derived({ name: 'parity', from: source, compute: (_k, i) => i.size % 2, equals: Object.is });
    let runs = 0;
    const reader = new Derived({ name: 'reader', from: parity, compute: (_k, p) => (runs++, p === 0 ? 'even' : 'odd') });
    source.set('a', { id: 'a', group: '', size: 1 });
    graph.flush();
    source.set('a', { id: 'a', group: '', size: 3 });
    graph.flush();
    expect([runs, reader.peek('a')]).toEqual([1, 'odd']);
    source.set('a', { id: 'a', group: '', size: 4 });
    graph.flush();
    expect([runs, reader.peek('a')]).toEqual([2, 'even']);
  });

  it('tells a reader of a missing key when the key appears, goes and comes back', () => {
    const graph = new Graph();
    const a = items(graph);
    const b = items(graph);
    const mapped = new Derived({ name: 'mapped', from: b, compute: (_k, i) => i.size });
    const reader = new Derived({ name: 'reader', from: a, reads: [mapped], compute: (_k, i) => mapped.get(i.group) ?? -1 });
    a.set('a', { id: 'a', group: 'x', size: 0 });
    graph.flush();
    const seen = [reader.peek('a')];
    for (const size of [7, undefined, 8]) {
      if (size === undefined) b.delete('x');
      else b.set('x', { id: 'x', group: '', size });
      graph.flush();
      seen.push(reader.peek('a'));
    }
    expect(seen).toEqual([-1, 7, -1, 8]);
  });

  it('keeps the last value of an entry whose computation fails and goes on with the others', () => {
    const graph = new Graph();
    const source = items(graph);
    const faults: string[] = [];
    const derived = new Derived({
      name: 'd',
      from: source,
      compute: (_k, i) => {
        if (i.size === 13) throw new Error('thirteen');
        return i.size;
      },
      onFault: (collection, key, error) => faults.push(`${collection} ${key} ${(error as Error).message}`),
    });
    source.set('a', { id: 'a', group: '', size: 1 });
    graph.flush();
    source.set('a', { id: 'a', group: '', size: 13 });
    source.set('b', { id: 'b', group: '', size: 2 });
    graph.flush();
    expect([derived.peek('a'), derived.peek('b'), faults]).toEqual([1, 2, ['d a thirteen']]);
    source.set('a', { id: 'a', group: '', size: 3 });
    graph.flush();
    expect(derived.peek('a')).toBe(3);
  });
});

describe('dispose', () => {
  it('tells listeners and readers that the entries are gone, and that nothing comes any more', () => {
    const graph = new Graph();
    const source = items(graph);
    const derived = new Derived({ name: 'd', from: source, compute: (_k, i) => i.size, equals: Object.is });
    const reader = new Derived({ name: 'r', from: source, reads: [derived], compute: (key) => derived.get(key) ?? -1, equals: Object.is });
    const heard: string[] = [];
    derived.listen((key, now, before) => heard.push(`${key} ${before}>${now}`));
    source.set('a', { id: 'a', group: '', size: 1 });
    graph.flush();
    derived.dispose();
    graph.flush();
    source.set('a', { id: 'a', group: '', size: 2 });
    source.set('b', { id: 'b', group: '', size: 3 });
    graph.flush();
    expect([heard, reader.peek('a'), reader.peek('b')]).toEqual([['a undefined>1', 'a 1>undefined'], -1, -1]);
  });
});

describe('Index', () => {
  it('depends on membership and not on values, and `has` only on none or some', () => {
    const graph = new Graph();
    const source = items(graph);
    const byGroup = source.index((i) => [i.group]);
    const asked = items(graph);
    let lists = 0;
    let anys = 0;
    const list = new Derived({
      name: 'list',
      from: asked,
      reads: [byGroup],
      compute: (_k, i) => (lists++, [...byGroup.keys(i.group)].sort().join()),
    });
    const any = new Derived({ name: 'any', from: asked, reads: [byGroup], compute: (_k, i) => (anys++, byGroup.has(i.group)) });
    asked.set('q', { id: 'q', group: 'g', size: 0 });
    graph.flush();
    expect([list.peek('q'), any.peek('q')]).toEqual(['', false]);
    source.set('a', { id: 'a', group: 'g', size: 1 });
    graph.flush();
    source.set('a', { id: 'a', group: 'g', size: 2 });
    graph.flush();
    source.set('b', { id: 'b', group: 'g', size: 2 });
    graph.flush();
    expect([list.peek('q'), lists, any.peek('q'), anys]).toEqual(['a,b', 3, true, 2]);
    source.set('a', { id: 'a', group: 'h', size: 2 });
    source.delete('b');
    graph.flush();
    expect([list.peek('q'), any.peek('q')]).toEqual(['', false]);
  });
});

describe('provenance', () => {
  it('names every object that was read, through memos, and no other', () => {
    const graph = new Graph();
    const source = items(graph);
    const others = items(graph);
    const memo = new MemoTable(graph, [others], (key) => others.get(key)?.size ?? 0);
    const derived = new Derived({ name: 'd', from: source, reads: [memo], compute: (_k, i) => i.size + memo.get(i.group) });
    source.set('a', { id: 'a', group: 'x', size: 1 });
    others.set('x', { id: 'x', group: '', size: 1 });
    others.set('y', { id: 'y', group: '', size: 1 });
    graph.flush();
    expect(derived.provenance('a')).toEqual(['Item//a', 'Item//x']);
    others.set('x', { id: 'x', group: '', size: 5 });
    graph.flush();
    expect(derived.peek('a')).toBe(6);
    source.delete('a');
    graph.flush();
    expect(memo.size).toBe(0);
  });
});

describe('KeySet and Flat', () => {
  it('holds a key while any contribution has it', () => {
    const graph = new Graph();
    const source = items(graph);
    const byGroup = source.index((i) => [i.group]);
    const set = new KeySet(graph, [byGroup]).addBucket(byGroup, 'g').addLists(source, (i) => (i.size > 5 ? [i.id] : []));
    const seen = new Derived({ name: 'seen', from: set, compute: (key) => key });
    source.set('a', { id: 'a', group: 'g', size: 9 });
    source.set('b', { id: 'b', group: 'h', size: 1 });
    graph.flush();
    expect([...seen.keysNow()]).toEqual(['a']);
    source.set('a', { id: 'a', group: 'h', size: 9 });
    graph.flush();
    expect([...seen.keysNow()]).toEqual(['a']);
    source.set('a', { id: 'a', group: 'h', size: 1 });
    graph.flush();
    expect([...seen.keysNow()]).toEqual([]);
  });

  it('shows the best owner of a key and the next when it goes', () => {
    const graph = new Graph();
    const source = items(graph);
    const lists = new Derived({ name: 'lists', from: source, compute: (_k, i) => [{ key: i.group, by: i.id }] });
    const flat = new Flat({
      graph,
      name: 'flat',
      from: [lists],
      keyOf: (v) => v.key,
      better: (a, b) => (a.by < b.by ? -1 : 1),
      objectOf: (v) => `Item//${v.by}` as ObjectKey,
    });
    source.set('b', { id: 'b', group: 'k', size: 0 });
    graph.flush();
    source.set('a', { id: 'a', group: 'k', size: 0 });
    graph.flush();
    expect(flat.peek('k')?.by).toBe('a');
    source.delete('a');
    graph.flush();
    expect(flat.peek('k')?.by).toBe('b');
    source.delete('b');
    graph.flush();
    expect(flat.peek('k')).toBeUndefined();
  });
});

describe('random edits', () => {
  it('give what a computation from scratch gives', () => {
    let seed = 7;
    const random = (n: number): number => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;
    const graph = new Graph();
    const source = items(graph);
    const byGroup = source.index((i) => [i.group]);
    const total = new MemoTable(graph, [source, byGroup], (group) => {
      let sum = 0;
      for (const key of byGroup.keys(group)) sum += source.get(key)?.size ?? 0;
      return sum;
    });
    const derived = new Derived({
      name: 'share',
      from: source,
      reads: [total],
      compute: (_k, i) => `${i.size}/${total.get(i.group)}`,
      equals: Object.is,
    });
    for (let round = 0; round < 3000; round++) {
      for (let n = random(4); n >= 0; n--) {
        const id = `i${random(30)}`;
        if (random(4) === 0) source.delete(id);
        else source.set(id, { id, group: `g${random(5)}`, size: random(10) });
      }
      graph.flush();
      const all = [...source.keysNow()].map((key) => [key, source.peek(key)] as const);
      const expected = all.map(([key, i]) => [
        key,
        `${i?.size}/${all.filter(([, o]) => o?.group === i?.group).reduce((s, [, o]) => s + (o?.size ?? 0), 0)}`,
      ]);
      expect(Object.fromEntries([...derived.keysNow()].map((key) => [key, derived.peek(key)]))).toEqual(Object.fromEntries(expected));
    }
  });
});
