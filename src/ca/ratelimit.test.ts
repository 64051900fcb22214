import { describe, expect, it } from 'vitest';
import { RateLimiter } from './ratelimit.ts';

describe('a rate limit', () => {
  it('lets a burst through, then the rate, for each key alone', () => {
    const limiter = new RateLimiter({ burst: 2, perSecond: 2 });
    expect([0, 0, 0, 499, 500, 500].map((at) => limiter.take('a', at))).toEqual([true, true, false, false, true, false]);
    expect(limiter.take('b', 500)).toBe(true);
    expect([60_000, 60_000, 60_000].map((at) => limiter.take('a', at))).toEqual([true, true, false]);
  });

  it('does not run backwards with the clock', () => {
    const limiter = new RateLimiter({ burst: 1, perSecond: 1 });
    expect(limiter.take('a', 10_000)).toBe(true);
    expect(limiter.take('a', 0)).toBe(false);
  });

  it('remembers a bounded number of keys, those used last', () => {
    const limiter = new RateLimiter({ burst: 1, perSecond: 0 }, 2);
    limiter.take('a', 0);
    limiter.take('b', 0);
    limiter.take('a', 0);
    limiter.take('c', 0);
    expect(limiter.take('a', 0)).toBe(false);
    expect(limiter.take('b', 0)).toBe(true);
  });
});
