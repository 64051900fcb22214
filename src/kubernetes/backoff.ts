/** Delays between attempts: doubled after each failure, half of it random, so that many clients of one failed server do not return together. */
import type { Clock } from './clock.ts';

export interface BackoffOptions {
  /** Before the second attempt. Default 200 ms. */
  readonly firstMs?: number;
  /** Default 5 s. */
  readonly maxMs?: number;
}

export class Backoff {
  private readonly clock: Clock;
  private readonly firstMs: number;
  private readonly maxMs: number;
  private failures = 0;

  constructor(clock: Clock, { firstMs = 200, maxMs = 5000 }: BackoffOptions = {}) {
    this.clock = clock;
    this.firstMs = firstMs;
    this.maxMs = maxMs;
  }

  /** Milliseconds to wait after one more failure. */
  failed(): number {
    const full = Math.min(this.maxMs, this.firstMs * 2 ** Math.min(this.failures++, 20));
    return full * (0.5 + this.clock.random() / 2);
  }

  succeeded(): void {
    this.failures = 0;
  }
}
