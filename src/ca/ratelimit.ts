export interface RateLimit {
  /** Calls that may come at once. */
  readonly burst: number;
  readonly perSecond: number;
}

/** A token bucket per key. Memory is bounded: the keys longest unused are forgotten, which only makes their buckets full again. */
export class RateLimiter {
  readonly #limit: RateLimit;
  readonly #maxKeys: number;
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  constructor(limit: RateLimit, maxKeys = 10_000) {
    this.#limit = limit;
    this.#maxKeys = maxKeys;
  }

  /** Takes a token of the key's bucket; false if there is none. */
  take(key: string, now: number): boolean {
    const { burst, perSecond } = this.#limit;
    const kept = this.#buckets.get(key);
    const refilled = kept === undefined ? burst : Math.min(burst, kept.tokens + (Math.max(now - kept.at, 0) / 1000) * perSecond);
    this.#buckets.delete(key); // the map's order is the order of use
    this.#buckets.set(key, { tokens: refilled >= 1 ? refilled - 1 : refilled, at: now });
    if (this.#buckets.size > this.#maxKeys) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    return refilled >= 1;
  }
}
