import type { Connection } from './connection.ts';
import type { Turns } from './turns.ts';

export interface ArrivalsOptions {
  readonly turns: Turns;
  /** Rejects with a fault of ours. Joins a translation that is under way. */
  readonly translate: () => Promise<void>;
  readonly isTranslating: () => boolean;
  readonly onFault: (cause: unknown) => void;
  /** The translation is over, and the proxy has no parts. */
  readonly onUnplaced: (connection: Connection) => void;
}

interface Arrival {
  readonly connection: Connection;
  /** What follows for the proxy is translated from then on. */
  readonly place: () => void;
}

/** Of hundreds that come at once the first are served while the parts of the next are translated. */
const atOnce = 32;

/** Proxies that have come and wait for their parts. */
export class Arrivals {
  readonly #options: ArrivalsOptions;
  readonly #waiting: Arrival[] = [];
  #underWay = false;

  constructor(options: ArrivalsOptions) {
    this.#options = options;
  }

  add(arrival: Arrival): void {
    this.#waiting.push(arrival);
    if (this.#underWay) return;
    this.#underWay = true;
    void this.#placeAll();
  }

  async #placeAll(): Promise<void> {
    const { turns } = this.#options;
    // Those that come in this turn of the event loop are placed together, as far as nobody waits long for that.
    await new Promise<void>((resolve) => turns.later(resolve));
    while (this.#waiting.length > 0) {
      const beganAtMs = turns.now();
      await this.#placeSome();
      await this.#letServe(beganAtMs);
    }
    this.#underWay = false;
  }

  async #placeSome(): Promise<void> {
    const { translate, isTranslating, onFault, onUnplaced } = this.#options;
    let placed: readonly Arrival[] = [];
    try {
      // A fault of the translation that is joined here is met here too, and must not keep out those that come.
      while (isTranslating()) await translate();
      placed = this.#waiting.splice(0, atOnce);
      for (const { place } of placed) place();
      await translate();
    } catch (error) {
      onFault(error);
    }
    for (const { connection } of placed) if (!connection.placed) onUnplaced(connection);
  }

  /** For as long as the others have waited since then: nothing is read from parts while they change. */
  async #letServe(sinceMs: number): Promise<void> {
    const { turns } = this.#options;
    if (turns.isServing === undefined) return;
    const untilMs = 2 * turns.now() - sinceMs;
    while (this.#waiting.length > 0 && turns.isServing() && turns.now() < untilMs) {
      await new Promise<void>((resolve) => turns.later(resolve));
    }
  }
}
