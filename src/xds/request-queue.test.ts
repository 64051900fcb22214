import { expect, test } from 'vitest';
import { Fanout, type Pumped } from './fanout.ts';
import { RequestQueue } from './request-queue.ts';

interface Call {
  readonly queue: RequestQueue;
  readonly served: string[];
  readonly told: string[];
  /** What is served from now on is accepted when the test says so. */
  hold: boolean;
  accept(): void;
}

const text = (message: Uint8Array): string => new TextDecoder().decode(message);
const bytes = (message: string): Uint8Array => new TextEncoder().encode(message);

function callOn(soon: (queue: Pumped) => void, onServed: () => void = () => undefined): Call {
  const served: string[] = [];
  const told: string[] = [];
  let accepted = (): void => undefined;
  const call: Call = { queue: undefined as never, served, told, hold: false, accept: () => accepted() };
  const queue = new RequestQueue({
    source: { pause: () => told.push('pause'), resume: () => told.push('resume') },
    soon,
    serve: (message, done) => {
      served.push(text(message));
      onServed();
      if (call.hold) accepted = done;
      else done();
    },
    ended: () => told.push('ended'),
  });
  return Object.assign(call, { queue });
}

/** An event loop that the test turns. */
function loop(sliceMs = 8): { readonly fanout: Fanout; pass(ms: number): void; turn(): boolean; drain(): number } {
  let nowMs = 0;
  const later: (() => void)[] = [];
  const turn = (): boolean => {
    const task = later.shift();
    task?.();
    return task !== undefined;
  };
  return {
    fanout: new Fanout({ now: () => nowMs, later: (task) => later.push(task), sliceMs }),
    pass: (ms) => (nowMs += ms),
    turn,
    drain: () => {
      let turns = 0;
      while (turn()) turns++;
      return turns;
    },
  };
}

test('of the requests that a hundred calls send in one turn a slice serves what it has time for, each call in its order', () => {
  const { fanout, pass, turn, drain } = loop(8);
  const calls = Array.from({ length: 100 }, () =>
    callOn(
      (queue) => fanout.add(queue),
      () => pass(2),
    ),
  );
  for (const { queue } of calls) for (const message of ['first', 'second']) queue.receive(bytes(message));
  const count = (): number => calls.reduce((sum, { served }) => sum + served.length, 0);
  expect(count()).toBe(0);
  turn();
  // Two milliseconds each.
  expect(count()).toBe(4);
  expect(drain()).toBe(200 / 4 - 1);
  for (const { served } of calls) expect(served).toEqual(['first', 'second']);
});

test('the next request waits until the one before is accepted', () => {
  const { fanout, drain } = loop();
  const call = callOn((queue) => fanout.add(queue));
  call.hold = true;
  for (const message of ['a', 'b', 'c']) call.queue.receive(bytes(message));
  drain();
  expect(call.served).toEqual(['a']);
  call.hold = false;
  call.accept();
  drain();
  expect(call.served).toEqual(['a', 'b', 'c']);
  expect(call.told).toEqual([]);
});

test.each([
  ['messages', 64, 10],
  ['bytes', 4, 256 * 1024],
])('a caller that sends faster than it is served is not read on: %s', (_what, messages, size) => {
  const { fanout, turn, drain } = loop();
  const call = callOn((queue) => fanout.add(queue));
  call.hold = true;
  for (let i = 0; i < messages - 1; i++) call.queue.receive(new Uint8Array(size));
  expect(call.told).toEqual([]);
  // What was on its way still comes.
  for (let i = 0; i < 3; i++) call.queue.receive(new Uint8Array(size));
  expect(call.told).toEqual(['pause']);
  for (let i = 0; i < messages + 1; i++) {
    turn();
    expect(call.told).toEqual(['pause']);
    call.accept();
  }
  turn();
  call.accept();
  expect(call.told).toEqual(['pause', 'resume']);
  drain();
  expect(call.served).toHaveLength(messages + 2);
});

test('the end comes after all that was sent', () => {
  const { fanout, drain } = loop();
  const call = callOn((queue) => fanout.add(queue));
  call.hold = true;
  call.queue.receive(bytes('a'));
  call.queue.receive(bytes('b'));
  call.queue.end();
  drain();
  expect([call.served, call.told]).toEqual([['a'], []]);
  call.hold = false;
  call.accept();
  drain();
  expect([call.served, call.told]).toEqual([['a', 'b'], ['ended']]);
});

test('a call that is gone is served no more', () => {
  const { fanout, drain } = loop();
  const call = callOn((queue) => fanout.add(queue));
  call.queue.receive(bytes('a'));
  call.queue.close();
  call.queue.receive(bytes('b'));
  call.queue.end();
  drain();
  expect([call.served, call.told]).toEqual([[], []]);
});
