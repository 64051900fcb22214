/**
 * Durations in the form of Go's time.ParseDuration, which Istio's and Kubernetes' APIs take: `10s`, `1.5s`, `1h30m`, `250ms`. Exact: integers of
 * nanoseconds, never floating point.
 */
const nanosecondsOf: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};

/** What an int64 of nanoseconds holds, about 292 years. */
const maximum = 2n ** 63n - 1n;

const whole = /^([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/;
const term = /(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)/g;

/** Nanoseconds, or undefined where the text is no duration. Fractions below a nanosecond are cut off, as Go does. */
export function parseDuration(text: string): bigint | undefined {
  if (text.length > 64) return undefined;
  if (text === '0' || text === '+0' || text === '-0') return 0n;
  const [, sign, terms] = whole.exec(text) ?? [];
  if (terms === undefined) return undefined;
  let total = 0n;
  for (const [, integer = '', fraction = '', unit = ''] of terms.matchAll(term)) {
    const factor = nanosecondsOf[unit] ?? 0n;
    total += BigInt(integer === '' ? '0' : integer) * factor;
    if (fraction !== '') total += (BigInt(fraction) * factor) / 10n ** BigInt(fraction.length);
  }
  if (total > maximum) return undefined;
  return sign === '-' ? -total : total;
}

/** Milliseconds with their fraction, or undefined where the text is no duration. */
export function durationMs(text: string): number | undefined {
  const nanoseconds = parseDuration(text);
  return nanoseconds === undefined ? undefined : Number(nanoseconds) / 1e6;
}

/** The fields of google.protobuf.Duration; both have the sign of the whole. */
export function durationParts(nanoseconds: bigint): { seconds: bigint; nanos: number } {
  return { seconds: nanoseconds / 1_000_000_000n, nanos: Number(nanoseconds % 1_000_000_000n) };
}
