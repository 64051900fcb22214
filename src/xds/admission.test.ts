import { expect, test } from 'vitest';
import { StreamAdmission, type Closed } from './admission.ts';

test('takes a burst at once, the next ones at the rate, and refuses who would wait too long', () => {
  let now = 5_000;
  const admission = new StreamAdmission({ now: () => now, maxPerSecond: 10, maxWaitMs: 300 });
  const waits = Array.from({ length: 15 }, () => admission.enter());
  expect(waits.slice(0, 10)).toEqual(Array.from({ length: 10 }, () => 0));
  expect(waits.slice(10, 13)).toEqual([100, 200, 300]);
  expect(waits.slice(13)).toMatchObject([
    { code: 'RESOURCE_EXHAUSTED', reason: 'more than 10 new streams a second' },
    { code: 'RESOURCE_EXHAUSTED' },
  ]);
  expect(admission.streams).toBe(13);
  expect(admission.refused).toBe(2);
  now += 400;
  expect(admission.enter()).toBe(0);
  now += 10_000;
  expect(Array.from({ length: 11 }, () => admission.enter())).toEqual([...Array.from({ length: 10 }, () => 0), 100]);
});

test('counts streams that are open, and takes none while it is closed', () => {
  let closed: Closed | undefined;
  const admission = new StreamAdmission({ now: () => 0, maxStreams: 2, closed: () => closed });
  expect([admission.enter(), admission.enter()]).toEqual([0, 0]);
  expect(admission.enter()).toMatchObject({ code: 'RESOURCE_EXHAUSTED', reason: 'there are 2 streams already' });
  admission.leave();
  expect(admission.enter()).toBe(0);
  admission.leave();
  closed = { code: 'UNAVAILABLE', reason: 'stopping', elsewhere: true };
  expect(admission.enter()).toEqual({ code: 'UNAVAILABLE', reason: 'stopping', elsewhere: true });
  expect(admission.streams).toBe(1);
});
