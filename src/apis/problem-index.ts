/** Problems by the place that tells of them and by object: to tell costs what is told, to ask for one object what is wrong with it. */
import type { ObjectKey } from './object.ts';
import type { Problem } from './problem.ts';

/** Whoever knows of problems. */
export interface ProblemSource {
  /** In the order of their places. */
  problems(): readonly Problem[];
  problemsOf(object: ObjectKey): readonly Problem[];
}

export class ProblemIndex implements ProblemSource {
  readonly #places = new Map<string, readonly Problem[]>();
  readonly #objects = new Map<ObjectKey, Map<string, readonly Problem[]>>();
  readonly #listeners = new Set<(objects: ReadonlySet<ObjectKey>) => void>();

  /** All that the place has to say from now on: none is nothing. */
  set(place: string, problems: readonly Problem[]): void {
    const before = this.#places.get(place);
    if (before === undefined && problems.length === 0) return;
    const old = Map.groupBy(before ?? [], ({ object }) => object);
    const now = Map.groupBy(problems, ({ object }) => object);
    if (problems.length === 0) this.#places.delete(place);
    else this.#places.set(place, problems);
    const changed = new Set<ObjectKey>();
    for (const object of old.keys()) {
      if (now.has(object)) continue;
      const places = this.#objects.get(object);
      places?.delete(place);
      if (places?.size === 0) this.#objects.delete(object);
      changed.add(object);
    }
    for (const [object, list] of now) {
      let places = this.#objects.get(object);
      if (places === undefined) this.#objects.set(object, (places = new Map()));
      places.set(place, list);
      if (JSON.stringify(old.get(object)) !== JSON.stringify(list)) changed.add(object);
    }
    if (changed.size > 0) for (const listener of this.#listeners) listener(changed);
  }

  problems(): readonly Problem[] {
    return [...this.#places.keys()].sort().flatMap((place) => this.#places.get(place) ?? []);
  }

  problemsOf(object: ObjectKey): readonly Problem[] {
    return [...(this.#objects.get(object)?.values() ?? [])].flat();
  }

  /** Told of the objects of which something else is said than before. Returns the function that ends it. */
  listen(listener: (objects: ReadonlySet<ObjectKey>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
