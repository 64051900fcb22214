import type { Clock } from './clock.ts';

export interface Expiring {
  readonly issuedAt: Date;
  readonly notAfter: Date;
}

export interface RenewalOptions<T extends Expiring> {
  readonly issue: () => T | Promise<T>;
  readonly clock: Clock;
  /** 0 to 1. */
  readonly random: () => number;
  /** Renewed after this part of the life. */
  readonly fraction: number;
  /** Up to this part of the wait is taken off at random, so that what was issued together is not renewed together. */
  readonly jitter: number;
  /** There is a new value in `current`. */
  readonly onRenewed: () => void;
  /** The old value stays; the next attempt comes by itself. */
  readonly onError: (error: unknown, retryInMs: number) => void;
}

/** The wall clock may jump and a machine may sleep: no wait is longer than this before the time is read again. */
const longestWaitMs = 3600_000;
const shortestWaitMs = 250;
const firstRetryMs = 1_000;
const longestRetryMs = 60_000;

/** Keeps one expiring value fresh: issues it, and again after a fraction of its life, with growing waits between failures. */
export class Renewal<T extends Expiring> {
  readonly #options: RenewalOptions<T>;
  #current: T | undefined;
  #due = 0;
  #failures = 0;
  #cancel: (() => void) | undefined;
  /** Grows when a result that is still under way no longer counts. */
  #attempt = 0;
  #stopped = false;

  constructor(options: RenewalOptions<T>) {
    this.#options = options;
  }

  get current(): T | undefined {
    return this.#current;
  }

  /** Issues now. When `issue` answers at once, `current` is set on return and `onRenewed` has been called. */
  renew(): void {
    if (this.#stopped) return;
    this.#cancel?.();
    const attempt = ++this.#attempt;
    try {
      const issued = this.#options.issue();
      if (!(issued instanceof Promise)) return this.#accept(issued);
      issued.then(
        (value) => {
          if (attempt === this.#attempt) this.#accept(value);
        },
        (error: unknown) => {
          if (attempt === this.#attempt) this.#fail(error);
        },
      );
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Issues at a random time within `ms`, if it is not due earlier anyway. */
  renewWithin(ms: number): void {
    if (this.#stopped) return;
    this.#waitUntil(Math.min(this.#due, this.#options.clock.now() + ms * this.#options.random()));
  }

  stop(): void {
    this.#stopped = true;
    this.#attempt++;
    this.#cancel?.();
  }

  #accept(value: T): void {
    this.#current = value;
    this.#failures = 0;
    const { clock, fraction, jitter, random } = this.#options;
    const wait = (value.notAfter.getTime() - value.issuedAt.getTime()) * fraction * (1 - jitter * random());
    this.#waitUntil(clock.now() + Math.max(wait, shortestWaitMs));
    this.#options.onRenewed();
  }

  #fail(error: unknown): void {
    const wait = Math.min(firstRetryMs * 2 ** this.#failures++, longestRetryMs) * (1 - 0.5 * this.#options.random());
    this.#waitUntil(this.#options.clock.now() + wait);
    this.#options.onError(error, wait);
  }

  #waitUntil(due: number): void {
    this.#due = due;
    this.#cancel?.();
    const wait = Math.max(due - this.#options.clock.now(), 0);
    this.#cancel = this.#options.clock.after(Math.min(wait, longestWaitMs), () => {
      if (this.#options.clock.now() >= this.#due) this.renew();
      else this.#waitUntil(this.#due);
    });
  }
}
