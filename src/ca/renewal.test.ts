import { describe, expect, it } from 'vitest';
import { Renewal, type Expiring, type RenewalOptions } from './renewal.ts';
import { FakeClock } from './testing/clock.ts';

interface Item extends Expiring {
  readonly number: number;
}
const second = 1_000;
const hour = 3600_000;

function setUp(lifeMs: number, options: Partial<RenewalOptions<Item>> = {}) {
  const clock = new FakeClock();
  const log: string[] = [];
  const began = clock.now();
  let number = 0;
  const make = (): Item => ({ number: ++number, issuedAt: new Date(clock.now()), notAfter: new Date(clock.now() + lifeMs) });
  const at = (): string => `${(clock.now() - began) / second}`;
  const renewal = new Renewal<Item>({
    issue: make,
    clock,
    random: () => 0,
    fraction: 0.5,
    jitter: 0.1,
    onRenewed: () => log.push(`${at()}: ${renewal.current?.number}`),
    onError: (error, retryInMs) => log.push(`${at()}: ${(error as Error).message}, again in ${retryInMs / second}`),
    ...options,
  });
  return { clock, renewal, log, make };
}

describe('renewal', () => {
  it('comes at a fraction of the life, again and again', () => {
    const { clock, renewal, log } = setUp(20 * second);
    renewal.renew();
    clock.advance(35 * second);
    expect(log).toEqual(['0: 1', '10: 2', '20: 3', '30: 4']);
  });

  it('comes earlier by the jitter, never later', () => {
    const { clock, renewal, log } = setUp(20 * second, { random: () => 1 });
    renewal.renew();
    clock.advance(10 * second);
    expect(log).toEqual(['0: 1', '9: 2']);
  });

  it('keeps the old value and tries again with growing waits after failures', () => {
    let broken = false;
    const { clock, renewal, log } = setUp(40 * second, {
      issue: () => {
        if (broken) throw new Error('no');
        return made.make();
      },
    });
    const made = setUp(40 * second);
    renewal.renew();
    broken = true;
    clock.advance(27 * second);
    broken = false;
    expect(renewal.current?.number).toBe(1);
    clock.advance(8 * second);
    expect(log).toEqual(['0: 1', '20: no, again in 1', '21: no, again in 2', '23: no, again in 4', '27: no, again in 8', '35: 2']);
  });

  it('survives lives longer than a timer can wait', () => {
    const { clock, renewal, log } = setUp(90 * 24 * hour);
    renewal.renew();
    clock.advance(45 * 24 * hour - second);
    expect(log).toHaveLength(1);
    clock.advance(second);
    expect(log).toHaveLength(2);
    expect(clock.timers).toBe(1);
  });

  it('notices within an hour that the machine has slept', () => {
    const { clock, renewal, log } = setUp(48 * hour);
    renewal.renew();
    clock.jump(30 * hour);
    clock.advance(hour);
    expect(log).toHaveLength(2);
  });

  it('can be hurried, but is not delayed by that', () => {
    const { clock, renewal, log } = setUp(20 * second, { random: () => 0.5, jitter: 0 });
    renewal.renew();
    renewal.renewWithin(hour);
    clock.advance(10 * second);
    expect(log).toEqual(['0: 1', '10: 2']);
    renewal.renewWithin(4 * second);
    clock.advance(2 * second);
    expect(log).toEqual(['0: 1', '10: 2', '12: 3']);
  });

  it('takes values that come later, but none after it was stopped', async () => {
    const answers: ((item: Item) => void)[] = [];
    const { clock, renewal, log, make } = setUp(20 * second, { issue: () => new Promise((resolve) => answers.push(resolve)) });
    renewal.renew();
    expect(renewal.current).toBeUndefined();
    answers[0]?.(make());
    await Promise.resolve();
    expect(log).toEqual(['0: 1']);
    clock.advance(10 * second);
    expect(answers).toHaveLength(2);
    renewal.stop();
    answers[1]?.(make());
    await Promise.resolve();
    expect(log).toEqual(['0: 1']);
    expect(clock.timers).toBe(0);
  });
});
