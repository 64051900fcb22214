import { expect, test } from 'vitest';
import { Heap } from './heap.ts';

test('gives what was put in from the first to the last, also when it is put in meanwhile', () => {
  const heap = new Heap<number>((a, b) => a < b);
  const values = Array.from({ length: 500 }, (_, i) => (i * 7919) % 503);
  for (const value of values.slice(0, 400)) heap.push(value);
  const taken: number[] = [];
  for (let i = 0; i < 100; i++) taken.push(heap.pop() ?? NaN);
  expect(taken).toEqual(
    values
      .slice(0, 400)
      .sort((a, b) => a - b)
      .slice(0, 100),
  );
  for (const value of values.slice(400)) heap.push(value);
  const rest: number[] = [];
  while (heap.size > 0) rest.push(heap.pop() ?? NaN);
  expect([...taken, ...rest].sort((a, b) => a - b)).toEqual(values.toSorted((a, b) => a - b));
  expect(rest).toEqual(rest.toSorted((a, b) => a - b));
  expect([heap.pop(), heap.first]).toEqual([undefined, undefined]);
});

test('costs a logarithm: one value more or less among 1,000 and among 64,000', () => {
  const cost = (size: number): number => {
    const heap = new Heap<number>((a, b) => a < b);
    for (let i = 0; i < size; i++) heap.push(i);
    const before = heap.comparisons;
    heap.push(-1);
    heap.pop();
    return heap.comparisons - before;
  };
  expect(cost(1_000)).toBeGreaterThan(10);
  expect(cost(64_000)).toBeLessThanOrEqual(cost(1_000) + 3 * 6);
});
