/** Which objects of a collection are held, and what a list or an event changes about that. The objects themselves are with whoever takes them. */
import type { RawObject } from './list.ts';

/** `namespace/name`; the namespace is empty for cluster-scoped kinds. */
export type HeldKey = string;

export interface Change<T> {
  readonly upserts: ReadonlyMap<HeldKey, T>;
  readonly deletes: readonly HeldKey[];
}

/** What is kept of an object, or undefined where it is not wanted. */
export type Trim<T> = (object: RawObject) => T | undefined;

export class Held<T> {
  private readonly versions = new Map<HeldKey, string>();
  private readonly trim: Trim<T>;
  /** Of the last event or list; where a watch goes on from. */
  resourceVersion = '';

  constructor(trim: Trim<T>) {
    this.trim = trim;
  }

  get size(): number {
    return this.versions.size;
  }

  keys(): IterableIterator<HeldKey> {
    return this.versions.keys();
  }

  /** Takes a list in. Call `add` for each object and `finish` at its end; nothing changes before. */
  beginList(): { add(object: RawObject): void; finish(resourceVersion: string): Change<T> } {
    const seen = new Map<HeldKey, string>();
    const upserts = new Map<HeldKey, T>();
    return {
      add: (object) => {
        const key = keyOf(object);
        const version = object.metadata.resourceVersion;
        const before = this.versions.get(key);
        if (before === version && !upserts.has(key)) {
          // Unchanged, but it may not be wanted any more.
          if (this.trim(object) !== undefined) seen.set(key, version);
          return;
        }
        const value = this.trim(object);
        if (value === undefined) return;
        seen.set(key, version);
        upserts.set(key, value);
      },
      finish: (resourceVersion) => {
        const deletes = [...this.versions.keys()].filter((key) => !seen.has(key));
        this.versions.clear();
        for (const [key, version] of seen) this.versions.set(key, version);
        this.resourceVersion = resourceVersion;
        return { upserts, deletes };
      },
    };
  }

  /** An event that is older than the last one is a repetition and changes nothing. */
  put(object: RawObject): Change<T> | undefined {
    if (!this.advance(object.metadata.resourceVersion)) return undefined;
    const key = keyOf(object);
    const value = this.trim(object);
    if (value === undefined) return this.forget(key);
    this.versions.set(key, object.metadata.resourceVersion);
    return { upserts: new Map([[key, value]]), deletes: [] };
  }

  delete(object: RawObject): Change<T> | undefined {
    return this.advance(object.metadata.resourceVersion) ? this.forget(keyOf(object)) : undefined;
  }

  bookmark(resourceVersion: string): void {
    this.advance(resourceVersion);
  }

  /** Without a list: what is held is as if it were not there. */
  clear(): Change<T> {
    const deletes = [...this.versions.keys()];
    this.versions.clear();
    this.resourceVersion = '';
    return { upserts: new Map(), deletes };
  }

  private forget(key: HeldKey): Change<T> | undefined {
    return this.versions.delete(key) ? { upserts: new Map(), deletes: [key] } : undefined;
  }

  private advance(version: string): boolean {
    if (isOlder(version, this.resourceVersion)) return false;
    this.resourceVersion = version;
    return true;
  }
}

/** Versions of one resource are decimal numbers that grow (Kubernetes API concepts, "Resource versions"). What is none compares as not older. */
export function isOlder(a: string, b: string): boolean {
  if (!/^[0-9]+$/.test(a) || !/^[0-9]+$/.test(b)) return false;
  return a.length === b.length ? a < b : a.length < b.length;
}

function keyOf({ metadata }: RawObject): HeldKey {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}
