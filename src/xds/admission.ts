/** Whether one more stream is taken, asked before anything is known of who is calling. */
import type { EndCode } from './stream.ts';

export interface AdmissionOptions {
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  /** Streams at once, over all ports. Default 20,000. */
  readonly maxStreams?: number;
  /** New streams a second; so many may come at once. Default 1,000. */
  readonly maxPerSecond?: number;
  /** A stream that would wait longer for its turn is refused. Default 1 s. */
  readonly maxWaitMs?: number;
  /** Why none is taken at present. Asked for each. */
  readonly closed?: () => Closed | undefined;
}

/** Why a stream is not taken. */
export interface Closed {
  readonly code: EndCode;
  readonly reason: string;
  /** The connection is closed too, so that the next attempt may lead to another replica. */
  readonly elsewhere: boolean;
}

export class StreamAdmission {
  readonly #options: AdmissionOptions;
  /** Since when the streams that were taken would have used up the rate. */
  #paidUntilMs = -Infinity;
  #streams = 0;
  #refused = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  get streams(): number {
    return this.#streams;
  }

  /** Streams that were turned away. */
  get refused(): number {
    return this.#refused;
  }

  /** The milliseconds that it has to wait for its turn. Each stream that was taken is to be given back by `leave`. */
  enter(): number | Closed {
    const { now, maxStreams = 20_000, maxPerSecond = 1_000, maxWaitMs = 1_000 } = this.#options;
    const closed = this.#options.closed?.();
    if (closed !== undefined) return this.#turn(closed);
    if (this.#streams >= maxStreams) {
      return this.#turn({ code: 'RESOURCE_EXHAUSTED', reason: `there are ${maxStreams} streams already`, elsewhere: true });
    }
    const at = now();
    // Paid for one by one from at most a second ago on: that is the burst.
    const paid = Math.max(this.#paidUntilMs, at - 1_000) + 1_000 / maxPerSecond;
    const waitMs = Math.max(0, paid - at);
    if (waitMs > maxWaitMs) {
      return this.#turn({ code: 'RESOURCE_EXHAUSTED', reason: `more than ${maxPerSecond} new streams a second`, elsewhere: true });
    }
    this.#paidUntilMs = paid;
    this.#streams++;
    return waitMs;
  }

  leave(): void {
    this.#streams--;
  }

  #turn(closed: Closed): Closed {
    this.#refused++;
    return closed;
  }
}
