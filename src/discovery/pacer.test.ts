import { describe, expect, it } from 'vitest';
import { Pacer } from './pacer.ts';

/** A clock that is turned by hand. */
function harness(): { pacer: Pacer; flushes: number[]; advance: (ms: number) => void } {
  let now = 1000;
  let timer: { at: number; task: () => void } | undefined;
  const flushes: number[] = [];
  const pacer = new Pacer({
    flush: () => void flushes.push(now - 1000),
    now: () => now,
    after: (ms, task) => {
      const mine = { at: now + ms, task };
      timer = mine;
      return () => {
        if (timer === mine) timer = undefined;
      };
    },
  });
  const advance = (ms: number): void => {
    const end = now + ms;
    while (timer !== undefined && timer.at <= end) {
      const due = timer;
      now = Math.max(now, due.at);
      timer = undefined;
      due.task();
    }
    now = end;
  };
  return { pacer, flushes, advance };
}

describe('Pacer', () => {
  it('lets the first change after a quiet time leave at once', () => {
    const { pacer, flushes, advance } = harness();
    pacer.changed();
    advance(0);
    advance(500);
    pacer.changed();
    advance(0);
    expect(flushes).toEqual([0, 500]);
  });

  it('batches a storm, and no change waits more than a second', () => {
    const { pacer, flushes, advance } = harness();
    for (let i = 0; i < 3000; i++) {
      pacer.changed();
      advance(1);
    }
    advance(1000);
    expect(flushes[0]).toBe(0);
    expect(flushes.length).toBeGreaterThanOrEqual(4);
    expect(flushes.length).toBeLessThan(12);
    const gaps = flushes.slice(1).map((at, i) => at - (flushes[i] ?? 0));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(1002);
  });

  it('flushes nothing after it was stopped', () => {
    const { pacer, flushes, advance } = harness();
    pacer.changed();
    pacer.stop();
    pacer.changed();
    advance(2000);
    expect(flushes).toEqual([]);
  });
});
