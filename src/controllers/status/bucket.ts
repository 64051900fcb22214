import { pause, type Clock } from '../../kubernetes/clock.ts';

/** So many a second on average, and at most so many at once. */
export class TokenBucket {
  readonly #clock: Clock;
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #atMs: number;

  constructor(clock: Clock, perSecond: number, burst: number) {
    this.#clock = clock;
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#atMs = clock.now();
  }

  /** Share of the burst that is left, 0 to 1. */
  get level(): number {
    this.#fill();
    return this.#tokens / this.#burst;
  }

  tryTake(): boolean {
    this.#fill();
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** False when the signal was first. */
  async take(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      if (this.tryTake()) return true;
      await pause(this.#clock, Math.ceil(((1 - this.#tokens) / this.#perSecond) * 1000), signal);
    }
    return false;
  }

  #fill(): void {
    const now = this.#clock.now();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#atMs) / 1000) * this.#perSecond);
    this.#atMs = now;
  }
}
