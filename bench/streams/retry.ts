/** When a proxy tries again whose stream was refused. */

const baseMs = 500;
const maxMs = 30_000;
/** Codes of a server that wants no more for the moment: RESOURCE_EXHAUSTED, by which istiod and mizzen limit new streams, and UNAVAILABLE. */
const codes: ReadonlySet<number> = new Set([8, 14]);

export function isForTheMoment(code: number | undefined): boolean {
  return code !== undefined && codes.has(code);
}

/** As Envoy waits before it opens its stream anew: some part of a time that doubles. `attempt` counts from 0, `random` is below 1. */
export function backoffMs(attempt: number, random: number): number {
  return random * Math.min(maxMs, baseMs * 2 ** attempt);
}
