/** Which objects are to be looked at, and when: the earliest date of an object counts, and a change counts before counts. */
import type { ObjectKey } from '../../apis/object.ts';
import type { Cause } from './facts.ts';

export interface Due {
  readonly object: ObjectKey;
  readonly cause: Cause;
}

interface Entry {
  atMs: number;
  cause: Cause;
}

export class Agenda {
  readonly #entries = new Map<ObjectKey, Entry>();

  get size(): number {
    return this.#entries.size;
  }

  has(object: ObjectKey): boolean {
    return this.#entries.has(object);
  }

  add(object: ObjectKey, atMs: number, cause: Cause): void {
    const known = this.#entries.get(object);
    if (known === undefined) this.#entries.set(object, { atMs, cause });
    else {
      known.atMs = Math.min(known.atMs, atMs);
      if (cause === 'changed') known.cause = cause;
    }
  }

  delete(object: ObjectKey): void {
    this.#entries.delete(object);
  }

  clear(): void {
    this.#entries.clear();
  }

  /** Takes out what is due, changes first. */
  take(nowMs: number, max: number): Due[] {
    const due = [...this.#entries].filter(([, { atMs }]) => atMs <= nowMs);
    due.sort(([, a], [, b]) => (a.cause === b.cause ? a.atMs - b.atMs : a.cause === 'changed' ? -1 : 1));
    const taken = due.slice(0, max).map(([object, { cause }]): Due => ({ object, cause }));
    for (const { object } of taken) this.#entries.delete(object);
    return taken;
  }

  /** Milliseconds until something is due; undefined when nothing ever is. */
  nextIn(nowMs: number): number | undefined {
    let earliest = Infinity;
    for (const { atMs } of this.#entries.values()) earliest = Math.min(earliest, atMs);
    return earliest === Infinity ? undefined : Math.max(0, earliest - nowMs);
  }
}
