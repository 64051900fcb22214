import { expect, test } from 'vitest';
import { Fanout } from './fanout.ts';

test('thousands of streams are served in slices, each once, the first slice at once', () => {
  let nowMs = 0;
  const later: (() => void)[] = [];
  const fanout = new Fanout({ now: () => nowMs, later: (task) => later.push(task), sliceMs: 8 });
  const served: number[] = [];
  const streams = Array.from({ length: 20 }, (_, i) => ({
    pump: () => {
      served.push(i);
      nowMs += 1;
    },
  }));
  fanout.addAll(streams);
  expect(served).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  // It is due already, and stays so only once.
  if (streams[19] !== undefined) fanout.add(streams[19]);
  expect(later).toHaveLength(1);
  later.shift()?.();
  expect(served).toHaveLength(16);
  if (streams[17] !== undefined) fanout.remove(streams[17]);
  later.shift()?.();
  expect(served.slice(16)).toEqual([16, 18, 19]);
  expect([later.length, fanout.due]).toEqual([0, 0]);
});

test('a slice ends when much is written, however little time that took: the kernel takes it in the same turn', () => {
  const later: (() => void)[] = [];
  const fanout = new Fanout({ now: () => 0, later: (task) => later.push(task), sliceBytes: 1000 });
  const served: number[] = [];
  const streams = [400, 600, 5000, 1, 999].map((bytes) => ({
    pump: () => {
      served.push(bytes);
      fanout.wrote(bytes);
    },
  }));
  fanout.addAll(streams);
  expect(served).toEqual([400, 600]);
  later.shift()?.();
  expect(served.slice(2)).toEqual([5000]);
  later.shift()?.();
  expect(served.slice(3)).toEqual([1, 999]);
  expect([later.length, fanout.due]).toEqual([0, 0]);
});
