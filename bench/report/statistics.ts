/** Of a list of times: what a table shows. */
export interface Spread {
  /** The first of all: reading, translating and encoding, without the fan-out. */
  readonly first: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** Undefined for an empty list. */
export function spreadOf(values: readonly number[]): Spread | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
  if (sorted.length === 0) return undefined;
  return { first: at(0), p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
}

/** NaN in the list stands for what never came. */
export function receiptsOf(values: readonly number[]): { readonly spread?: Spread; readonly failures: number } {
  const came = values.filter((value) => !Number.isNaN(value));
  const spread = spreadOf(came);
  return { ...(spread === undefined ? {} : { spread }), failures: values.length - came.length };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  if (low === undefined || high === undefined) throw new Error('there is nothing to take a median of');
  return (low + high) / 2;
}
