import { expect, test } from 'vitest';
import type { ObjectKey } from '../apis/object.ts';
import { Derived, MemoTable, SourceCollection } from './collection.ts';
import { Graph } from './graph.ts';
import { KeySet } from './keys.ts';

function numbers(graph: Graph): SourceCollection<number> {
  return new SourceCollection<number>(graph, 'numbers', () => undefined as ObjectKey | undefined);
}

/** `a` and `b` read one memo, which fails for 13. */
function shared() {
  const graph = new Graph();
  const keys = numbers(graph);
  const source = numbers(graph);
  const faults: string[] = [];
  const memo = new MemoTable(graph, [source], (key) => {
    const value = source.get(key) ?? 0;
    if (value === 13) throw new Error('thirteen');
    return value;
  });
  const derived = new Derived({
    name: 'd',
    from: keys,
    reads: [memo],
    compute: (_key, own) => own + memo.get('x'),
    equals: Object.is,
    onFault: (_collection, key, error) => faults.push(`${key} ${(error as Error).message}`),
  });
  keys.set('a', 100);
  keys.set('b', 200);
  const put = (value: number): (number | undefined)[] => {
    source.set('x', value);
    graph.flush();
    return [derived.peek('a'), derived.peek('b')];
  };
  return { graph, keys, faults, put, derived };
}

test('a memo that fails is a fault of each of its readers, and all recover with it', () => {
  const { faults, put } = shared();
  expect(put(1)).toEqual([101, 201]);
  expect(put(13)).toEqual([101, 201]);
  expect(faults.splice(0)).toEqual(['a thirteen', 'b thirteen']);
  expect(put(2)).toEqual([102, 202]);
  expect(put(13)).toEqual([102, 202]);
  expect(put(3)).toEqual([103, 203]);
});

test('likewise when it fails from the first, and for a reader that comes while it fails', () => {
  const { graph, keys, faults, put, derived } = shared();
  expect(put(13)).toEqual([undefined, undefined]);
  keys.set('c', 300);
  graph.flush();
  expect(derived.peek('c')).toBeUndefined();
  expect(faults).toEqual(['a thirteen', 'b thirteen', 'c thirteen']);
  expect(put(4)).toEqual([104, 204]);
  expect(derived.peek('c')).toBe(304);
});

test('what is read without being declared is late by a flush at most, and no listener misses it', () => {
  const graph = new Graph();
  const source = numbers(graph);
  const early = new Derived({ name: 'early', from: source, compute: (key) => (late?.get(key) ?? 0) + 1, equals: Object.is });
  const set = new KeySet(graph, [source]).addKeys(source);
  const middle = new Derived({ name: 'middle', from: set, compute: (key) => source.get(key) ?? 0, equals: Object.is });
  const late: Derived<number, number> = new Derived({
    name: 'late',
    from: middle,
    compute: (_key, value) => value * 10,
    equals: Object.is,
  });
  const heard: (number | undefined)[] = [];
  late.listen((_key, now) => heard.push(now));
  for (const value of [1, 2, 3]) {
    source.set('a', value);
    while (graph.dirty) graph.flush();
    expect([late.peek('a'), early.peek('a')]).toEqual([value * 10, value * 10 + 1]);
  }
  expect(heard).toEqual([10, 20, 30]);
});

test('what stands behind a fault of a listener in a flush is refreshed with the next one', () => {
  const graph = new Graph();
  const source = numbers(graph);
  const derived = new Derived({ name: 'd', from: source, compute: (_key, own) => own + 1, equals: Object.is });
  let faults = 1;
  derived.listen((key) => {
    if (key === 'b' && faults-- > 0) throw new Error('a fault of ours');
  });
  for (const [i, key] of ['a', 'b', 'c'].entries()) source.set(key, i);
  expect(() => graph.flush()).toThrow('a fault of ours');
  expect(graph.dirty).toBe(true);
  graph.flush();
  expect(['a', 'b', 'c'].map((key) => derived.peek(key))).toEqual([1, 2, 3]);
});
