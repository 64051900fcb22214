const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3600_000, d: 24 * 3600_000 };

/** Milliseconds of `90s`, `12h`, `1h30m`, `7d`. Throws an Error that says what is expected. */
export function parseDuration(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
  if (parts.length === 0 || parts.map(([whole]) => whole).join('') !== text) {
    throw new Error(`"${text}" is not a duration such as 90s, 12h or 1h30m`);
  }
  return parts.reduce((sum, [, amount = '', unit = '']) => sum + Number(amount) * (unitMs[unit] ?? 0), 0);
}
