const maxMessageBytes = 256 * 1024 * 1024;

/** Puts gRPC messages together from what the connection delivers: a flag, the length in 4 bytes, the message. */
export class FrameReader {
  readonly #onMessage: (message: Buffer) => void;
  readonly #head = Buffer.alloc(5);
  /** Bytes of the head, then of the message, that are there. */
  #filled = 0;
  #message: Buffer | undefined;

  constructor(onMessage: (message: Buffer) => void) {
    this.#onMessage = onMessage;
  }

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) {
      const target = this.#message ?? this.#head;
      const taken = chunk.copy(target, this.#filled, at);
      at += taken;
      this.#filled += taken;
      if (this.#filled < target.length) return;
      this.#filled = 0;
      const done = this.#message;
      this.#message = done === undefined ? this.#announced() : undefined;
      if (done !== undefined) this.#onMessage(done);
      else if (this.#message?.length === 0) {
        this.#onMessage(this.#message);
        this.#message = undefined;
      }
    }
  }

  /** Room for the message that the head announces. */
  #announced(): Buffer {
    if (this.#head[0] !== 0) throw new Error('the server compresses its messages, which was not asked for');
    const length = this.#head.readUInt32BE(1);
    if (length > maxMessageBytes) throw new Error(`a message of ${length} bytes is longer than ${maxMessageBytes}`);
    return Buffer.allocUnsafe(length);
  }
}
