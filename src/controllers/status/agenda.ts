/** Which objects are to be looked at, and when: the earliest date of an object counts, and a change counts before counts. */
import TinyQueue from 'tinyqueue';
import type { ObjectKey } from '../../apis/object.ts';
import type { Cause } from './facts.ts';

export interface Due {
  readonly object: ObjectKey;
  readonly cause: Cause;
}

interface Entry extends Due {
  readonly atMs: number;
}

/** What is next costs a logarithm, however much there is. */
type Queue = TinyQueue<Entry>;
const sooner = (a: Entry, b: Entry): number => a.atMs - b.atMs;

export class Agenda {
  readonly #entries = new Map<ObjectKey, Entry>();
  /** Changes, and what else there is. Entries that are no longer those of their objects are left in them until they come up. */
  readonly #changed = new TinyQueue<Entry>([], sooner);
  readonly #others = new TinyQueue<Entry>([], sooner);

  get size(): number {
    return this.#entries.size;
  }

  has(object: ObjectKey): boolean {
    return this.#entries.has(object);
  }

  add(object: ObjectKey, atMs: number, cause: Cause): void {
    const known = this.#entries.get(object);
    const entry: Entry = {
      object,
      atMs: Math.min(atMs, known?.atMs ?? Infinity),
      cause: cause === 'changed' ? cause : (known?.cause ?? cause),
    };
    if (entry.atMs === known?.atMs && entry.cause === known.cause) return;
    this.#entries.set(object, entry);
    (entry.cause === 'changed' ? this.#changed : this.#others).push(entry);
  }

  delete(object: ObjectKey): void {
    this.#entries.delete(object);
  }

  /** Takes out what is due, changes first. */
  take(nowMs: number, max: number): Due[] {
    const taken: Due[] = [];
    for (const queue of [this.#changed, this.#others]) {
      for (let first = this.#first(queue); first !== undefined; first = this.#first(queue)) {
        if (taken.length >= max || first.atMs > nowMs) break;
        queue.pop();
        this.#entries.delete(first.object);
        taken.push({ object: first.object, cause: first.cause });
      }
    }
    return taken;
  }

  /** Milliseconds until something is due; undefined when nothing ever is. */
  nextIn(nowMs: number): number | undefined {
    const earliest = Math.min(this.#first(this.#changed)?.atMs ?? Infinity, this.#first(this.#others)?.atMs ?? Infinity);
    return earliest === Infinity ? undefined : Math.max(0, earliest - nowMs);
  }

  #first(queue: Queue): Entry | undefined {
    let first = queue.peek();
    for (; first !== undefined && this.#entries.get(first.object) !== first; first = queue.peek()) queue.pop();
    return first;
  }
}
