/** Functions that are called on a change, in the order in which they were added. They must not throw. */
export class Listeners {
  readonly #listeners = new Set<{ readonly call: () => void }>();

  get size(): number {
    return this.#listeners.size;
  }

  /** Returns the function that removes it; calling that twice does no harm. The same listener may be added twice. */
  add(call: () => void): () => void {
    const added = { call };
    this.#listeners.add(added);
    return () => void this.#listeners.delete(added);
  }

  /** Calls those that are there now: what a listener adds waits for the next change. */
  notify(): void {
    for (const listener of Array.from(this.#listeners)) listener.call();
  }
}
