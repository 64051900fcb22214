/**
 * Which names of one type a stream has subscribed to. `follows` stands for every name that its parts have, be it a wildcard or a list that
 * names just these, so that the usual stream holds no names.
 */
export class Selection {
  /** The client sent a wildcard, or nothing at all in its first request. */
  wildcard = false;
  follows = false;
  /** Names asked for beside what is followed. */
  readonly #plus = new Set<string>();
  /** Names left out of what is followed. */
  readonly #minus = new Set<string>();

  has(name: string): boolean {
    return (this.follows && !this.#minus.has(name)) || this.#plus.has(name);
  }

  /** Everything that the parts have and, as it matters for sharing, nothing less. */
  get coversAll(): boolean {
    return this.follows && this.#minus.size === 0;
  }

  /** Names held for this stream alone. */
  get size(): number {
    return this.#plus.size + this.#minus.size;
  }

  get isEmpty(): boolean {
    return !this.follows && this.#plus.size === 0;
  }

  get named(): ReadonlySet<string> {
    return this.#plus;
  }

  subscribe(name: string, exists: boolean): void {
    this.#minus.delete(name);
    if (!this.follows || !exists) this.#plus.add(name);
  }

  subscribeAll(): void {
    this.wildcard = true;
    this.follows = true;
    this.#minus.clear();
  }

  /** Under a wildcard a name that is no longer asked for goes on coming. */
  unsubscribe(name: string): void {
    this.#plus.delete(name);
    if (this.follows && !this.wildcard) this.#minus.add(name);
  }

  unsubscribeAll(): void {
    this.wildcard = false;
    this.follows = false;
    this.#minus.clear();
  }

  /** The names are just those that the parts have: keep no copy of them. */
  follow(): void {
    this.follows = true;
    this.#plus.clear();
    this.#minus.clear();
  }

  replace(names: Iterable<string>): void {
    this.#plus.clear();
    for (const name of names) this.#plus.add(name);
  }
}
