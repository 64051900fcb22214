import { expect, test } from 'vitest';
import type { CostsAnswer } from '../admin/costs.ts';
import { inPlace, topText } from './top.ts';

const answer: CostsAnswer = {
  windowSeconds: 600,
  by: 'bytes',
  objects: 12,
  forgotten: 3,
  other: { translationMs: 1234, bytesSent: 1_500_000 },
  costs: [
    {
      object: 'Service/shop/reviews',
      changes: 3,
      translationMs: 2.345,
      resources: 6,
      bytesEncoded: 999,
      bytesSent: 999_700,
      proxies: 200,
      lastAckMs: 61_234,
      refusals: 1,
      lastChange: '2026-01-01T00:00:00.000Z',
    },
    {
      object: '(first load)',
      changes: 10_000,
      translationMs: 1500,
      resources: 0,
      bytesEncoded: 0,
      bytesSent: 0,
      proxies: 0,
      refusals: 0,
      lastChange: '2026-01-01T00:00:00.000Z',
    },
  ],
};

test('the table has units, and what is not in it below', () => {
  expect(topText(answer, 'table').split('\n')).toEqual([
    'OBJECT                CHANGES  TIME   RESOURCES  ENCODED  SENT   PROXIES  LAST ACK  REFUSED',
    'Service/shop/reviews  3        2.3ms  6          999B     1.0MB  200      61s       1',
    '(first load)          10000    1.5s   0          0B       0B     0        -         0',
    '13 more objects have changed in the last 10 minutes.',
    'Not for a change: 1.5MB sent and 1.2s of translation, for new streams and renewed certificates.',
    '',
  ]);
});

test('JSON is the whole answer', () => {
  expect(JSON.parse(topText(answer, 'json'))).toEqual(answer);
});

test('a picture in place fits the terminal and leaves nothing of the one before', () => {
  const picture = inPlace('one\ntwo is long\nthree\nfour\n', { rows: 4, columns: 5 });
  expect(picture).toBe('\u001b[Hone\u001b[K\ntwo i\u001b[K\nthree\u001b[K\n\u001b[J');
});
