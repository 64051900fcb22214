import { expect, test } from 'vitest';
import { median, spreadOf } from './statistics.ts';

test('percentiles are values of the list; what never came is left out', () => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i);
  expect(spreadOf([...values, Number.NaN])).toEqual({ first: 1, p50: 50, p90: 90, p99: 99, max: 100 });
  expect(spreadOf([7])).toEqual({ first: 7, p50: 7, p90: 7, p99: 7, max: 7 });
  expect(() => spreadOf([Number.NaN])).toThrow('nothing');
});

test('the median of an even number is between the middle two', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
});
