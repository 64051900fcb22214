import { expect, test } from 'vitest';
import { ManualClock } from '../kubernetes/testing/manual-clock.ts';
import type { MovableStream } from '../xds/hub.ts';
import { drain } from './drain.ts';

function streamsOf(count: number, clock: ManualClock): { open: Set<MovableStream>; endedAt: number[] } {
  const open = new Set<MovableStream>();
  const endedAt: number[] = [];
  for (let n = 0; n < count; n++) {
    const stream: MovableStream = {
      ...({} as MovableStream),
      quiet: false,
      leave: () => {
        open.delete(stream);
        endedAt.push(clock.now());
      },
    };
    open.add(stream);
  }
  return { open, endedAt };
}

test('ends all streams, spread over the time and not at once', async () => {
  const clock = new ManualClock();
  clock.chance = 0.5;
  const { open, endedAt } = streamsOf(8, clock);
  const drained = drain({ streams: () => open, durationMs: 5_000, clock }, new AbortController().signal);
  await clock.advance(5_000);
  await drained;
  expect(endedAt).toEqual([1250, 1750, 2250, 2750, 3250, 3750, 4250, 4750]);
});

test('waits for nobody: without streams, or when the last one has gone by itself', async () => {
  const clock = new ManualClock();
  await drain({ streams: () => [], durationMs: 5_000, clock }, new AbortController().signal);
  const { open, endedAt } = streamsOf(3, clock);
  const drained = drain({ streams: () => open, durationMs: 5_000, clock }, new AbortController().signal);
  const [, second, third] = open;
  if (second !== undefined) open.delete(second);
  if (third !== undefined) open.delete(third);
  await clock.advance(4_000);
  await drained;
  expect(endedAt.length).toBeGreaterThan(0);
  expect(clock.now()).toBe(4_000);
});

test('ends them at once when there is no time', async () => {
  const clock = new ManualClock();
  const { open, endedAt } = streamsOf(3, clock);
  const drained = drain({ streams: () => open, durationMs: 0, clock }, new AbortController().signal);
  await clock.advance(0);
  await drained;
  expect(endedAt).toEqual([0, 0, 0]);
});
