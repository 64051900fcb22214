import { expect, test } from 'vitest';
import { MemoryGauge, type MemoryLevel } from './memory.ts';

test('the fuller of process and heap counts, and a level is left below where it begins', () => {
  let now = 0;
  let use = { rssBytes: 0, heapBytes: 0, heapLimitBytes: 1000 };
  const levels: MemoryLevel[] = [];
  const gauge = new MemoryGauge({ limitBytes: 100, use: () => use, now: () => now, onLevel: (level) => levels.push(level) });
  const at = (rssBytes: number, heapBytes: number): MemoryLevel => {
    use = { rssBytes, heapBytes, heapLimitBytes: 1000 };
    now += 100;
    return gauge.read();
  };
  expect([at(79, 0), at(80, 0), at(76, 0), at(74, 0)]).toEqual(['plenty', 'short', 'short', 'plenty']);
  expect([at(0, 900), at(0, 860), at(0, 840), at(0, 0)]).toEqual(['full', 'full', 'short', 'plenty']);
  expect([at(96, 0), at(91, 0), at(89, 0), at(80, 0)]).toEqual(['exhausted', 'exhausted', 'full', 'short']);
  expect(levels).toEqual(['short', 'plenty', 'full', 'short', 'plenty', 'exhausted', 'full', 'short']);
});

test('without a limit of the process only the heap has one', () => {
  const gauge = new MemoryGauge({
    limitBytes: undefined,
    use: () => ({ rssBytes: 1e12, heapBytes: 1, heapLimitBytes: 10 }),
    now: () => 0,
    onLevel: () => {},
  });
  expect(gauge.read()).toBe('plenty');
});
