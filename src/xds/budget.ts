/** A stream that waits for its turn to send a large answer. */
export interface Waiter {
  /** Called when there is room again: try once more. */
  resume(): void;
}

/**
 * Bytes of large answers that are handed to the transport and not yet taken by the network, over all streams. Who finds no room waits in line:
 * 500 streams that connect at once would otherwise hold 500 answers in memory.
 */
export class FlightBudget {
  readonly #fullBytes: number;
  #maxBytes: number;
  readonly #line = new Set<Waiter>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#fullBytes = maxBytes;
    this.#maxBytes = maxBytes;
  }

  /** While it is true one answer flies at a time. */
  set short(short: boolean) {
    this.#maxBytes = short ? 1 : this.#fullBytes;
    if (!short) this.#wake();
  }

  get bytesInFlight(): number {
    return this.#bytes;
  }

  get waiting(): number {
    return this.#line.size;
  }

  /** False: `waiter` is in line and is resumed. One answer larger than the whole budget may fly alone. */
  take(bytes: number, waiter: Waiter): boolean {
    const [first] = this.#line;
    const itsTurn = first === undefined || first === waiter;
    if (!itsTurn || (this.#bytes > 0 && this.#bytes + bytes > this.#maxBytes)) {
      this.#line.add(waiter);
      return false;
    }
    this.#line.delete(waiter);
    this.#bytes += bytes;
    if (this.#bytes < this.#maxBytes) this.#wake();
    return true;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
    this.#wake();
  }

  leave(waiter: Waiter): void {
    if (this.#line.delete(waiter)) this.#wake();
  }

  #wake(): void {
    const [first] = this.#line;
    first?.resume();
  }
}
