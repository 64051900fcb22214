import { expect, test } from 'vitest';
import { parseBytes, parseCount } from './quantity.ts';

test('memory is written as Kubernetes writes it', () => {
  expect([parseBytes('2Gi'), parseBytes('500M'), parseBytes('1.5Ki'), parseBytes('7')]).toEqual([2 ** 31, 5e8, 1536, 7]);
  for (const text of ['', '2GB', '-1', '0', '2 Gi', '1e9', 'Gi'])
    expect(() => parseBytes(text), text).toThrow('is not an amount of memory');
});

test('a number of streams is whole and above 0', () => {
  expect(parseCount('20000')).toBe(20_000);
  for (const text of ['0', '-1', '1.5', '', 'x', '1e3']) expect(() => parseCount(text), text).toThrow('is not a whole number');
});
