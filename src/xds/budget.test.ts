import { expect, test } from 'vitest';
import { FlightBudget } from './budget.ts';

class Stream {
  readonly name: string;
  readonly #resumed: string[];
  constructor(name: string, resumed: string[]) {
    this.name = name;
    this.#resumed = resumed;
  }
  resume(): void {
    this.#resumed.push(this.name);
  }
}

test('who finds no room waits in line and is resumed in turn', () => {
  const resumed: string[] = [];
  const [a, b, c] = ['a', 'b', 'c'].map((name) => new Stream(name, resumed)) as [Stream, Stream, Stream];
  const budget = new FlightBudget(10);
  expect(budget.take(8, a)).toBe(true);
  expect(budget.take(8, b)).toBe(false);
  // Though there is room for it: it would pass by one that waits for more.
  expect(budget.take(1, c)).toBe(false);
  budget.give(8);
  expect(resumed).toEqual(['b']);
  expect(budget.take(8, b)).toBe(true);
  expect(resumed).toEqual(['b', 'c']);
  expect(budget.take(1, c)).toBe(true);
  expect([budget.bytesInFlight, budget.waiting]).toEqual([9, 0]);
});

test('an answer larger than everything flies alone', () => {
  const resumed: string[] = [];
  const a = new Stream('a', resumed);
  const budget = new FlightBudget(10);
  expect(budget.take(100, a)).toBe(true);
  expect(budget.take(1, new Stream('b', resumed))).toBe(false);
});

test('one that leaves the line makes way for the next', () => {
  const resumed: string[] = [];
  const [a, b, c] = ['a', 'b', 'c'].map((name) => new Stream(name, resumed)) as [Stream, Stream, Stream];
  const budget = new FlightBudget(10);
  budget.take(5, a);
  budget.take(8, b);
  budget.take(2, c);
  budget.leave(b);
  expect(resumed).toEqual(['c']);
});

test('while memory is short one flies at a time', () => {
  const resumed: string[] = [];
  const [a, b, c] = ['a', 'b', 'c'].map((name) => new Stream(name, resumed)) as [Stream, Stream, Stream];
  const budget = new FlightBudget(10);
  budget.short = true;
  expect([budget.take(2, a), budget.take(2, b), budget.take(2, c)]).toEqual([true, false, false]);
  budget.give(2);
  expect(resumed).toEqual(['b']);
  expect(budget.take(2, b)).toBe(true);
  expect(resumed).toEqual(['b']);
  budget.short = false;
  expect(resumed).toEqual(['b', 'c']);
  expect(budget.take(2, c)).toBe(true);
});
