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
  /** Bytes of messages written, after which a slice ends too. Default 4 MiB. */
  readonly sliceBytes?: number;
}

/** Streams with something to send. They are served in slices, so that keepalives and ACKs of others are read while thousands are written. */
export class Fanout {
  readonly #options: FanoutOptions;
  readonly #due = new Set<Pumped>();
  #scheduled = false;
  /** Written since the slice began. */
  #bytes = 0;

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

  /**
   * Told of each message: HTTP/2 hands it to the kernel after the slice and in the same turn of the event loop, all of it where the socket takes it, at about
   * 2.5 ns a byte.
   */
  wrote(bytes: number): void {
    this.#bytes += bytes;
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
    const { now, sliceMs = 8, sliceBytes = 4 * 1024 * 1024 } = this.#options;
    const end = now() + sliceMs;
    this.#bytes = 0;
    for (const stream of this.#due) {
      this.#due.delete(stream);
      stream.pump();
      if (this.#bytes >= sliceBytes || now() >= end) break;
    }
    this.#schedule();
  }
}
