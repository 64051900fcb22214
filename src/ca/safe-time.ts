/**
 * What time it is, for decisions that cannot be taken back: a root that is retired too early ends connections. A clock that goes wrong, by a jump or from the
 * start, is not believed alone: it counts as early as a second one says, that of the API server, else the time that has passed since this one was first read.
 */
import type { Clock } from '../kubernetes/clock.ts';

export interface SafeTimeOptions {
  /** Never goes back, and knows no dates. */
  readonly clock: Clock;
  /** Milliseconds since 1970, by the clock of this machine. */
  readonly wall: () => number;
  /** The same by another clock; undefined where it does not say. Rejects without an answer. Absent: there is no other. */
  readonly other?: ((signal: AbortSignal) => Promise<number | undefined>) | undefined;
}

export interface TimeRead {
  readonly now: number;
  /** Why no date is to be relied on. */
  readonly fault?: string;
}

/** The other clock is asked so often; between, the time that passes is added. */
const askMs = 60_000;
/** Clocks that are kept by NTP differ by less than a second. */
const toleranceMs = 5 * 60_000;

export class SafeTime {
  readonly #options: SafeTimeOptions;
  /** A date, and when it was one. */
  #known: { readonly dateMs: number; readonly atMs: number } | undefined;
  #askedAtMs = -Infinity;

  constructor(options: SafeTimeOptions) {
    this.#options = options;
  }

  async read(signal: AbortSignal): Promise<TimeRead> {
    const { clock, wall, other } = this.#options;
    if (other === undefined) this.#known ??= { dateMs: wall(), atMs: clock.now() };
    else if (clock.now() - this.#askedAtMs >= askMs) await this.#ask(other, signal);
    const here = wall();
    if (this.#known === undefined)
      return { now: here, fault: 'the API server has not told the time yet, and the clock of one machine is not relied on' };
    const there = this.#known.dateMs + (clock.now() - this.#known.atMs);
    const now = Math.min(here, there);
    const aheadMs = here - there;
    if (other === undefined || Math.abs(aheadMs) <= toleranceMs) return { now };
    const way = aheadMs > 0 ? 'ahead of' : 'behind';
    return { now, fault: `the clock of the leader is ${spanText(Math.abs(aheadMs))} ${way} that of the API server; set them right` };
  }

  async #ask(other: NonNullable<SafeTimeOptions['other']>, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    try {
      const dateMs = await other(signal);
      if (dateMs === undefined) return;
      this.#known = { dateMs, atMs: clock.now() };
      this.#askedAtMs = clock.now();
    } catch {
      // No answer: what was known goes on, and it is asked again with the next read.
    }
  }
}

function spanText(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  return minutes < 120 ? `${minutes} minutes` : `${Math.round(minutes / 60)} hours`;
}
