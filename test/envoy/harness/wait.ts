import { setTimeout as delay } from 'node:timers/promises';

/** How long anything that a test waits for may take, unless it says otherwise. */
export const patienceMs = 10_000;

/**
 * Asks `probe` until it gives something else than undefined or false. For state that can only be asked for, such as Envoy's admin;
 * what can be awaited as an event is awaited. The message of the failure holds what was last seen.
 */
export async function eventually<T>(what: string, probe: () => Promise<T | undefined | false>, limitMs = patienceMs): Promise<T> {
  const end = performance.now() + limitMs;
  let fault: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
      fault = undefined;
    } catch (thrown) {
      fault = thrown;
    }
    if (performance.now() > end) {
      throw new Error(`not within ${limitMs} ms: ${what}${fault instanceof Error ? ` (${fault.message})` : ''}`, { cause: fault });
    }
    await delay(20);
  }
}

/** The promise's value, or a failure that says what did not come. */
export async function within<T>(what: string, promise: Promise<T>, limitMs = patienceMs): Promise<T> {
  const timer = new AbortController();
  const late = delay(limitMs, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`not within ${limitMs} ms: ${what}`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
    late.catch(() => undefined);
  }
}
