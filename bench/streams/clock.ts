/** Milliseconds of the machine's monotonic clock: the same for all processes on it, which `performance.now()` is not. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
