import { describe, expect, it } from 'vitest';
import { parseDuration } from './duration.ts';

describe('durations', () => {
  it.each([
    ['90s', 90_000],
    ['12h', 43_200_000],
    ['1h30m', 5_400_000],
    ['7d', 604_800_000],
    ['250ms', 250],
    ['1.5s', 1_500],
  ])('%s is %i ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['', '5', '5q', 's', '-5s', '5s!', '5 s', '1h-30m', '1d-2h', 'd', '1d2'])('%j is none', (text) => {
    expect(() => parseDuration(text)).toThrow(`"${text}" is not a duration such as 90s, 12h or 1h30m`);
  });
});
