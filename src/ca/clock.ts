/** Time as the renewals see it; tests pass one that they move. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Runs once after `ms`, at most about 24 days. Returns the function that cancels it. */
  after(ms: number, run: () => void): () => void;
}

/** Timers of it never keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms).unref();
    return () => clearTimeout(timer);
  },
};
