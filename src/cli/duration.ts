import { durationMs } from '../lib/duration.ts';

const dayMs = 24 * 3600_000;

/** Milliseconds of `90s`, `12h`, `1h30m`, and with days, which the APIs do not have: `7d`, `1d12h`. Throws an Error that says what is expected. */
export function parseDuration(text: string): number {
  const [, days, rest = ''] = /^(?:(\d{1,6})d)?(.*)$/s.exec(text) ?? [];
  const ms = rest === '' && days !== undefined ? 0 : durationMs(rest);
  if (ms === undefined || text.includes('-')) throw new Error(`"${text}" is not a duration such as 90s, 12h or 1h30m`);
  return Number(days ?? 0) * dayMs + ms;
}
