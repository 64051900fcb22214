import { expect, test } from 'vitest';
import { backoffMs, isForTheMoment } from './retry.ts';

test('the wait is some part of a time that doubles up to half a minute', () => {
  expect([0, 1, 2, 6, 20].map((attempt) => backoffMs(attempt, 1))).toEqual([500, 1000, 2000, 30_000, 30_000]);
  expect(backoffMs(1, 0.25)).toBe(250);
});

test('a server that wants no more for the moment is asked again; a wrong token is wrong later, too', () => {
  expect([8, 14, 16, 7, undefined].map(isForTheMoment)).toEqual([true, true, false, false, false]);
});
