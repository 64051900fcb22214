/** So many at once, then so many a second: what one change makes of writes is no burden to the API server. */
import { pause, type Clock } from '../../kubernetes/clock.ts';

export class RateLimit {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #burstMs: number;
  /** When the next turn would be due if all before it had come evenly. */
  #next = -Infinity;

  constructor(clock: Clock, { burst, perSecond }: { readonly burst: number; readonly perSecond: number }) {
    this.#clock = clock;
    this.#intervalMs = 1000 / perSecond;
    this.#burstMs = (burst - 1) * this.#intervalMs;
  }

  /** Resolves when it is the caller's turn, or the signal aborts. */
  async turn(signal: AbortSignal): Promise<void> {
    const now = this.#clock.now();
    this.#next = Math.max(this.#next, now - this.#burstMs) + this.#intervalMs;
    const wait = this.#next - this.#intervalMs - now;
    if (wait > 0) await pause(this.#clock, wait, signal);
  }
}
