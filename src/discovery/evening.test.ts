import { expect, test } from 'vitest';
import type { Replica } from '../controllers/replicas.ts';
import type { MovableStream } from '../xds/hub.ts';
import { Evening, eveningMs, toGive } from './evening.ts';

interface Held {
  readonly connectedAtMs: number;
}

/** Replicas of which each sees the counts of the others late, and proxies that come back to a random one of those that take streams. */
class Fleet {
  readonly held: Set<Held>[];
  readonly ready: boolean[];
  now = 1_000_000;
  moved = 0;
  current = true;
  readonly #evenings: Evening[];
  #seen: number[] = [];
  #next = 1;

  constructor(counts: readonly number[]) {
    this.held = counts.map((count) => new Set(Array.from({ length: count }, () => ({ connectedAtMs: this.now - 600_000 }))));
    this.ready = counts.map(() => true);
    this.#seen = [...counts];
    this.#evenings = counts.map(
      (_, self) =>
        new Evening({
          replicas: this.#replicasOf(self),
          now: () => this.now,
          streams: () => [...(this.held[self] ?? [])].map((stream) => this.#movable(self, stream)),
          onGiven: (count) => (this.moved += count),
        }),
    );
  }

  get counts(): number[] {
    return this.held.map(({ size }) => size);
  }

  get mean(): number {
    return this.counts.reduce((sum, count) => sum + count, 0) / this.counts.length;
  }

  /** What the fullest has more than the emptiest, as a part of the mean. */
  get skew(): number {
    return (Math.max(...this.counts) - Math.min(...this.counts)) / this.mean;
  }

  run(seconds: number): void {
    for (const end = this.now + seconds * 1_000; this.now < end; this.now += eveningMs) {
      // As of before: nobody sees what the others do in this round.
      const counts = this.counts;
      for (const evening of this.#evenings) evening.tick();
      this.#seen = counts;
    }
  }

  #replicasOf(self: number): { self: string; current: boolean; list: () => Replica[] } {
    const isCurrent = (): boolean => this.current;
    return {
      self: String(self),
      get current() {
        return isCurrent();
      },
      list: () =>
        this.#seen.map((streams, index) => ({
          name: String(index),
          version: '',
          startedAt: '',
          monitoringAddress: '',
          ready: this.ready[index] === true,
          live: true,
          streams,
          data: {},
        })),
    };
  }

  #movable(self: number, stream: Held): MovableStream {
    return {
      ...({} as MovableStream),
      connectedAtMs: stream.connectedAtMs,
      quiet: true,
      leave: () => {
        this.held[self]?.delete(stream);
        const open = this.ready.flatMap((ready, index) => (ready ? [index] : []));
        this.held[open[this.#random(open.length)] ?? self]?.add({ connectedAtMs: this.now });
      },
    };
  }

  /** xorshift32: the same fleet in each run. */
  #random(below: number): number {
    let x = this.#next + 0x9e3779b9;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#next = x >>> 0;
    return this.#next % below;
  }
}

test.each([[[30, 30, 0]], [[250, 250, 0]], [[600, 0]], [[1000, 1000, 1000, 0]], [[100, 100, 100, 100, 0]], [[12, 12, 0]]])(
  '%j even out within a minute and then stay',
  (counts) => {
    const fleet = new Fleet(counts);
    fleet.run(60);
    expect(fleet.skew).toBeLessThan(0.2 + 4 / (counts.reduce((sum, count) => sum + count, 0) / counts.length));
    expect(fleet.moved).toBeLessThan(2.5 * counts.reduce((sum, count) => sum + count, 0));
    fleet.run(60);
    const { moved } = fleet;
    fleet.run(1_800);
    expect(fleet.moved).toBe(moved);
  },
);

test('what is even enough is left alone', () => {
  for (const counts of [[3], [0, 0], [2, 1, 0], [105, 100, 95], [5, 3, 4], [1, 1, 1]]) {
    const fleet = new Fleet(counts);
    fleet.run(600);
    expect(fleet.counts).toEqual(counts);
  }
});

test('a replica that takes no streams is not counted', () => {
  const fleet = new Fleet([40, 40, 0]);
  fleet.ready[2] = false;
  fleet.run(60);
  expect(fleet.counts).toEqual([40, 40, 0]);
  fleet.ready[2] = true;
  fleet.run(60);
  expect(fleet.counts[2]).toBeGreaterThan(15);
});

test('nothing moves while the counts of the others are old', () => {
  const fleet = new Fleet([40, 0]);
  fleet.current = false;
  fleet.run(600);
  expect(fleet.counts).toEqual([40, 0]);
});

test('gives a part of the surplus at a time, and goes on below where it began', () => {
  expect(toGive({ own: 30, others: [30, 0], giving: false })).toBe(5);
  expect(toGive({ own: 5000, others: [0], giving: false })).toBe(40);
  expect(toGive({ own: 107, others: [100, 93], giving: false })).toBe(0);
  expect(toGive({ own: 107, others: [100, 93], giving: true })).toBe(4);
  expect(toGive({ own: 100, others: [107, 50, 150], giving: true })).toBe(0);
  expect(toGive({ own: 10, others: [], giving: false })).toBe(0);
});
