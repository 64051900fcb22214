/**
 * Which of the objects that have changed together led to a value: its provenance, as far as it has just been computed anew. Only what was evaluated since is
 * followed, and each value once however many are asked for, so that all answers together cost no more reads than those evaluations did.
 */
import type { ObjectKey } from '../apis/object.ts';
import { Cell, type Computed } from './graph.ts';

/** Of one value. One that was made from more is everybody's. */
const defaultMost = 32;

export class Trace {
  readonly among: ReadonlySet<ObjectKey>;
  /** An answer with more objects than these is not complete. */
  readonly most: number;
  /** Reads that were looked at. */
  visits = 0;
  readonly #since: number;
  readonly #known = new Map<object, Set<ObjectKey>>();

  /** `since`: of `Graph.evaluations`, before the first evaluation that counts. `among`: the objects that have changed. */
  constructor(since: number, among: ReadonlySet<ObjectKey>, most = defaultMost) {
    this.#since = since;
    this.among = among;
    this.most = most;
  }

  of(value: Computed<unknown>): ReadonlySet<ObjectKey> {
    return value.evaluatedSince(this.#since) ? this.#follow(value) : none;
  }

  #follow(value: Computed<unknown>): ReadonlySet<ObjectKey> {
    const known = this.#known.get(value);
    if (known !== undefined) return known;
    const found = new Set<ObjectKey>();
    this.#known.set(value, found);
    for (let link = value.deps; link !== undefined && found.size <= this.most; link = link.nextDep) {
      this.visits++;
      const { dep } = link;
      if (dep instanceof Cell) {
        const { object } = dep;
        if (object !== undefined && this.among.has(object)) found.add(object);
        continue;
      }
      // A graph has cells and computed values alone.
      for (const object of this.of(dep as Computed<unknown>)) {
        found.add(object);
        if (found.size > this.most) break;
      }
    }
    return found;
  }
}

const none: ReadonlySet<ObjectKey> = new Set();
