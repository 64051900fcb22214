/** A binary heap: the first of many values in the order of `before`, at a cost that grows with the logarithm of their number. */
export class Heap<T> {
  /** Comparisons since the start. */
  comparisons = 0;
  readonly #values: T[] = [];
  readonly #before: (a: T, b: T) => boolean;

  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before;
  }

  get size(): number {
    return this.#values.length;
  }

  get first(): T | undefined {
    return this.#values[0];
  }

  push(value: T): void {
    let at = this.#values.push(value) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!this.#isBefore(at, above)) return;
      this.#swap(at, above);
      at = above;
    }
  }

  pop(): T | undefined {
    const [first] = this.#values;
    const last = this.#values.pop();
    if (this.#values.length === 0 || last === undefined) return first;
    this.#values[0] = last;
    for (let at = 0; ;) {
      let least = at;
      for (const below of [2 * at + 1, 2 * at + 2]) if (below < this.#values.length && this.#isBefore(below, least)) least = below;
      if (least === at) return first;
      this.#swap(at, least);
      at = least;
    }
  }

  #isBefore(a: number, b: number): boolean {
    this.comparisons++;
    return this.#before(this.#values[a] as T, this.#values[b] as T);
  }

  #swap(a: number, b: number): void {
    [this.#values[a], this.#values[b]] = [this.#values[b] as T, this.#values[a] as T];
  }
}
