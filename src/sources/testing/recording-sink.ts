import type { ConfigObject, ObjectKey } from '../../apis/object.ts';
import { keyOf } from '../../apis/object.ts';
import { ProblemIndex } from '../../apis/problem-index.ts';
import type { Problem } from '../../apis/problem.ts';
import type { ObjectChange, ObjectSink } from '../source.ts';

/** Holds what a source has said, and waits for a state of it. */
export class RecordingSink implements ObjectSink {
  readonly changes: ObjectChange[] = [];
  readonly objects = new Map<ObjectKey, ConfigObject>();
  readonly #problems = new ProblemIndex();
  #waiting: (() => void)[] = [];

  apply(change: ObjectChange): void {
    this.changes.push(change);
    for (const object of change.upserts) this.objects.set(keyOf(object), object);
    for (const key of change.deletes) this.objects.delete(key);
    for (const [place, problems] of change.problems) this.#problems.set(place, problems);
    for (const check of this.#waiting.splice(0)) check();
  }

  /** Resolves after the first change that leaves the state so. */
  until(state: (sink: RecordingSink) => boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const check = () => {
      try {
        if (state(this)) resolve();
        else this.#waiting.push(check);
      } catch (error) {
        reject(error);
      }
    };
    check();
    return promise;
  }

  /** In the order of their places. */
  get problems(): readonly Problem[] {
    return this.#problems.problems();
  }

  get keys(): string[] {
    return [...this.objects.keys()].toSorted();
  }
}
