/** Work that a fan-out does stream by stream. */
export interface Pumped {
  pump(): void;
}

export interface FanoutOptions {
  readonly now: () => number;
  /** Runs after the event loop has served its sockets: `setImmediate`. */
  readonly later: (task: () => void) => void;
  /** Longest run between two looks at the sockets. Default 8. */
  readonly sliceMs?: number;
}

/** Streams with something to send. They are served in slices, so that keepalives and ACKs of others are read while thousands are written. */
export class Fanout {
  readonly #options: FanoutOptions;
  readonly #due = new Set<Pumped>();
  #scheduled = false;

  constructor(options: FanoutOptions) {
    this.#options = options;
  }

  get due(): number {
    return this.#due.size;
  }

  add(stream: Pumped): void {
    this.#due.add(stream);
    this.#schedule();
  }

  /** As `add`, and the first slice runs before this returns. */
  addAll(streams: Iterable<Pumped>): void {
    for (const stream of streams) this.#due.add(stream);
    if (!this.#scheduled) this.#slice();
  }

  remove(stream: Pumped): void {
    this.#due.delete(stream);
  }

  #schedule(): void {
    if (this.#scheduled || this.#due.size === 0) return;
    this.#scheduled = true;
    this.#options.later(() => {
      this.#scheduled = false;
      this.#slice();
    });
  }

  #slice(): void {
    const { now, sliceMs = 8 } = this.#options;
    const end = now() + sliceMs;
    for (const stream of this.#due) {
      this.#due.delete(stream);
      stream.pump();
      if (now() >= end) break;
    }
    this.#schedule();
  }
}
