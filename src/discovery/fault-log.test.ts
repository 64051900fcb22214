import { expect, test } from 'vitest';
import { faultLog } from './fault-log.ts';

test('tells the first fault and then one a minute', () => {
  let now = 0;
  const told: unknown[] = [];
  const log = faultLog({ warn: (fields: unknown) => void told.push(fields) }, 'away', () => now);
  log(new Error('refused'));
  for (let n = 0; n < 5; n++) log(new Error('refused'));
  now = 60_000;
  log(new Error('reset'));
  log(new Error('reset'));
  expect(told).toEqual([{ reason: 'refused' }, { reason: 'reset', since: 5 }]);
});
