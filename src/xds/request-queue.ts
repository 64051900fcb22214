import type { Pumped } from './fanout.ts';

/** Where the messages of a call come from: a grpc-js call. */
export interface RequestSource {
  pause(): unknown;
  resume(): unknown;
}

export interface RequestQueueOptions {
  readonly source: RequestSource;
  /** Has `pump` called in one of the next slices of the event loop: `Hub.soon`. */
  readonly soon: (queue: Pumped) => void;
  /** Decodes and serves one message. The next one waits until `accepted` is called. Must not throw. */
  readonly serve: (message: Uint8Array, accepted: () => void) => void;
  /** The peer sends no more, and all that it sent has been served. */
  readonly ended: () => void;
}

/** Messages above which nothing more is read; a proxy sends some ten at once. */
const maxMessages = 64;
/** Bytes above which nothing more is read. What is on its way then, a message in pieces and what the window of HTTP/2 lets through, comes on top. */
const maxBytes = 1024 * 1024;

/**
 * What a caller has sent and is not served yet, as bytes. A turn of the event loop in which a hundred sockets are readable would otherwise decode and serve
 * a hundred requests, milliseconds each where proxies come back with thousands of claims. Served in slices they leave the loop to everybody else, and of a
 * caller that sends faster than it is served no more is read.
 */
export class RequestQueue implements Pumped {
  readonly #options: RequestQueueOptions;
  readonly #messages: Uint8Array[] = [];
  #bytes = 0;
  #paused = false;
  /** A message is with `serve` and not accepted yet. */
  #busy = false;
  #ending = false;
  #closed = false;

  constructor(options: RequestQueueOptions) {
    this.#options = options;
  }

  receive(message: Uint8Array): void {
    if (this.#closed) return;
    this.#messages.push(message);
    this.#bytes += message.byteLength;
    if (!this.#paused && (this.#messages.length >= maxMessages || this.#bytes >= maxBytes)) {
      this.#paused = true;
      this.#options.source.pause();
    }
    if (!this.#busy) this.#options.soon(this);
  }

  /** The peer sends no more. */
  end(): void {
    this.#ending = true;
    if (!this.#busy) this.#options.soon(this);
  }

  /** Nothing is served any more. Whoever closes it reads on itself, if the call is to be read on. */
  close(): void {
    this.#closed = true;
    this.#messages.length = 0;
    this.#bytes = 0;
  }

  /** Serves one message. */
  pump(): void {
    if (this.#closed || this.#busy) return;
    const message = this.#messages.shift();
    if (message === undefined) {
      if (this.#ending) {
        this.close();
        this.#options.ended();
      }
      return;
    }
    this.#bytes -= message.byteLength;
    this.#busy = true;
    this.#options.serve(message, () => this.#accepted());
  }

  #accepted(): void {
    this.#busy = false;
    if (this.#closed) return;
    if (this.#messages.length > 0 || this.#ending) this.#options.soon(this);
    if (!this.#paused || this.#messages.length > 0) return;
    this.#paused = false;
    this.#options.source.resume();
  }
}
