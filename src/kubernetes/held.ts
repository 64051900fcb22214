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

type Versions = Map<HeldKey, string>;

export class Held<T> {
  /** By namespace. */
  private readonly versions = new Map<string, Versions>();
  /** By namespace that is being listed: what the watch has told to be gone or not wanted meanwhile, and as of which version. */
  private readonly reads = new Map<string, Versions>();
  private held = 0;
  private readonly trim: Trim<T>;
  /** Of the last event or list; where a watch goes on from. */
  resourceVersion = '';

  constructor(trim: Trim<T>) {
    this.trim = trim;
  }

  get size(): number {
    return this.held;
  }

  *keys(): Generator<HeldKey> {
    for (const versions of this.versions.values()) yield* versions.keys();
  }

  /** Takes a list in. Call `add` for each object and `finish` at its end; nothing changes before. */
  beginList(): { add(object: RawObject): void; finish(resourceVersion: string): Change<T> } {
    const seen = new Map<HeldKey, string>();
    const upserts = new Map<HeldKey, T>();
    return {
      add: (object) => {
        const key = keyOf(object);
        const version = object.metadata.resourceVersion;
        const before = this.get(key);
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
        const deletes = [...this.keys()].filter((key) => !seen.has(key));
        this.versions.clear();
        this.held = 0;
        for (const [key, version] of seen) this.set(key, version);
        this.resourceVersion = resourceVersion;
        return { upserts, deletes };
      },
    };
  }

  /**
   * Takes the list of one namespace in, of which nothing was wanted before, while the watch of all goes on. It may be ahead of the watch or behind it: of each
   * object the newer version holds, and what the watch has told to be gone since stays gone. Deletes nothing; what is not in the list the watch tells. Call
   * `end` in any case.
   */
  beginNamespace(namespace: string): { add(object: RawObject): void; finish(): Change<T>; end(): void } {
    const gone: Versions = new Map();
    this.reads.set(namespace, gone);
    const seen = new Map<HeldKey, { readonly version: string; readonly value: T }>();
    return {
      add: (object) => {
        const value = this.trim(object);
        if (value !== undefined) seen.set(keyOf(object), { version: object.metadata.resourceVersion, value });
      },
      finish: () => {
        const upserts = new Map<HeldKey, T>();
        for (const [key, { version, value }] of seen) {
          const told = this.get(key) ?? gone.get(key);
          if (told !== undefined && !isOlder(told, version)) continue;
          this.set(key, version);
          upserts.set(key, value);
        }
        return { upserts, deletes: [] };
      },
      end: () => {
        if (this.reads.get(namespace) === gone) this.reads.delete(namespace);
      },
    };
  }

  /** Nothing of the namespace is wanted any more. */
  dropNamespace(namespace: string): Change<T> {
    const deletes = [...(this.versions.get(namespace)?.keys() ?? [])];
    this.versions.delete(namespace);
    this.held -= deletes.length;
    return { upserts: new Map(), deletes };
  }

  /** An event that is older than the last one is a repetition and changes nothing, nor does one that is older than what was listed. */
  put(object: RawObject): Change<T> | undefined {
    const version = object.metadata.resourceVersion;
    const key = keyOf(object);
    if (!this.advance(version) || this.isPast(key, version)) return undefined;
    const value = this.trim(object);
    if (value === undefined) return this.forget(key, version);
    this.set(key, version);
    return { upserts: new Map([[key, value]]), deletes: [] };
  }

  delete(object: RawObject): Change<T> | undefined {
    const version = object.metadata.resourceVersion;
    const key = keyOf(object);
    return this.advance(version) && !this.isPast(key, version) ? this.forget(key, version) : undefined;
  }

  bookmark(resourceVersion: string): void {
    this.advance(resourceVersion);
  }

  /** Without a list: what is held is as if it were not there. */
  clear(): Change<T> {
    const deletes = [...this.keys()];
    this.versions.clear();
    this.held = 0;
    this.resourceVersion = '';
    return { upserts: new Map(), deletes };
  }

  private get(key: HeldKey): string | undefined {
    return this.versions.get(namespaceOf(key))?.get(key);
  }

  private set(key: HeldKey, version: string): void {
    const namespace = namespaceOf(key);
    let versions = this.versions.get(namespace);
    if (versions === undefined) this.versions.set(namespace, (versions = new Map()));
    if (!versions.has(key)) this.held++;
    versions.set(key, version);
  }

  private forget(key: HeldKey, version: string): Change<T> | undefined {
    const namespace = namespaceOf(key);
    this.reads.get(namespace)?.set(key, version);
    const versions = this.versions.get(namespace);
    if (versions?.delete(key) !== true) return undefined;
    this.held--;
    if (versions.size === 0) this.versions.delete(namespace);
    return { upserts: new Map(), deletes: [key] };
  }

  private isPast(key: HeldKey, version: string): boolean {
    const held = this.get(key);
    return held !== undefined && isOlder(version, held);
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

function namespaceOf(key: HeldKey): string {
  return key.slice(0, key.indexOf('/'));
}

function keyOf({ metadata }: RawObject): HeldKey {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}
