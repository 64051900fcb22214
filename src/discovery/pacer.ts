/** Decides when changes are translated and pushed: the first after a quiet time at once, a storm in batches. */

export interface PacerOptions {
  /** Does not reject. */
  readonly flush: () => Promise<void> | void;
  readonly now: () => number;
  /** `setTimeout` that does not keep the process alive; returns what cancels it. */
  readonly after: (ms: number, task: () => void) => () => void;
  /** Without a change for this long the next one leaves at once. Default 100 ms. */
  readonly quietMs?: number;
  /** The wait in a storm grows from `firstWaitMs` (default 5 ms) to this (default 100 ms). */
  readonly maxWaitMs?: number;
  readonly firstWaitMs?: number;
  /** No change waits longer than this. Default 1 s. */
  readonly deadlineMs?: number;
}

export class Pacer {
  private readonly options: Required<PacerOptions>;
  private cancel: (() => void) | undefined;
  private waitMs: number;
  private lastFlushMs = Number.NEGATIVE_INFINITY;
  private firstPendingMs = 0;
  private stopped = false;

  constructor(options: PacerOptions) {
    this.options = { quietMs: 100, maxWaitMs: 100, firstWaitMs: 5, deadlineMs: 1000, ...options };
    this.waitMs = this.options.firstWaitMs;
  }

  /** Something has changed. A change that comes while one waits makes it wait on, up to the deadline. */
  changed(): void {
    if (this.stopped) return;
    const now = this.options.now();
    if (this.cancel === undefined) {
      this.firstPendingMs = now;
      if (now - this.lastFlushMs >= this.options.quietMs) {
        this.waitMs = this.options.firstWaitMs;
        this.schedule(0);
        return;
      }
    } else {
      this.cancel();
      this.waitMs = Math.min(this.waitMs * 2, this.options.maxWaitMs);
    }
    this.schedule(Math.max(0, Math.min(this.waitMs, this.firstPendingMs + this.options.deadlineMs - now)));
  }

  stop(): void {
    this.stopped = true;
    this.cancel?.();
  }

  private schedule(ms: number): void {
    this.cancel = this.options.after(ms, () => {
      this.cancel = undefined;
      const flushed = this.options.flush();
      this.lastFlushMs = this.options.now();
      void flushed?.then(() => (this.lastFlushMs = this.options.now()));
    });
  }
}
