import { expect, test } from 'vitest';
import type { CostReport, CostRow } from '../snapshot/costs/cost-ledger.ts';
import { costsAnswer, type CostsAnswer } from './costs.ts';

function row(object: string, more: Partial<CostRow>): CostRow {
  return {
    object,
    changes: 1,
    translationMs: 1,
    resources: 1.5,
    bytesEncoded: 10,
    bytesSent: 10.4,
    proxies: 1,
    refusals: 0,
    changedAtMs: 0,
    ...more,
  };
}

const report: CostReport = {
  windowMs: 600_000,
  rows: [
    row('Service/shop/a', { bytesSent: 5_000, proxies: 3 }),
    row('Service/shop/b', { translationMs: 7.00049, changes: 4, ackMs: 12 }),
    row('Service/shop/c', { proxies: 9, bytesSent: 4_999 }),
  ],
  forgotten: 2,
  other: { translationMs: 3, bytesSent: 100 },
};

const order = (query: string): string[] =>
  (costsAnswer(report, new URLSearchParams(query)).body as CostsAnswer).costs.map(({ object }) => object.slice(-1));

test('the costliest come first, by what is asked for', () => {
  expect([order(''), order('by=bytes'), order('by=time'), order('by=proxies'), order('by=changes')]).toEqual([
    ['a', 'c', 'b'],
    ['a', 'c', 'b'],
    ['b', 'a', 'c'],
    ['c', 'a', 'b'],
    ['b', 'a', 'c'],
  ]);
});

test('as many as are asked for, and how many there are', () => {
  expect(costsAnswer(report, new URLSearchParams('by=time&n=1'))).toEqual({
    status: 200,
    body: {
      windowSeconds: 600,
      by: 'time',
      objects: 3,
      forgotten: 2,
      other: { translationMs: 3, bytesSent: 100 },
      costs: [
        {
          object: 'Service/shop/b',
          changes: 4,
          translationMs: 7,
          resources: 2,
          bytesEncoded: 10,
          bytesSent: 10,
          proxies: 1,
          lastAckMs: 12,
          refusals: 0,
          lastChange: '1970-01-01T00:00:00.000Z',
        },
      ],
    },
  });
});

test.each(['by=cpu', 'by=', 'n=0', 'n=-1', 'n=x', 'n=1e9'])('?%s is refused', (query) => {
  expect(costsAnswer(report, new URLSearchParams(query)).status).toBe(400);
});
