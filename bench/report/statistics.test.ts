import { expect, test } from 'vitest';
import { median, receiptsOf, spreadOf } from './statistics.ts';

test('percentiles are values of the list; what never came is counted', () => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i);
  const spread = { first: 1, p50: 50, p90: 90, p99: 99, max: 100 };
  expect(receiptsOf([...values, Number.NaN])).toEqual({ spread, failures: 1 });
  expect(receiptsOf([Number.NaN])).toEqual({ failures: 1 });
  expect(spreadOf([7])).toEqual({ first: 7, p50: 7, p90: 7, p99: 7, max: 7 });
  expect(spreadOf([])).toBeUndefined();
});

test('the median of an even number is between the middle two', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
});
