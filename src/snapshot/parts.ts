import type { SnapshotPart } from './part.ts';

interface Shared {
  readonly part: SnapshotPart;
  readonly lower: readonly SnapshotPart[];
  readonly owner: object | undefined;
  users: number;
}

/** Parts that nobody uses are kept this long in number, so that a proxy that reconnects finds its own. */
const maxIdle = 64;

/** Parts by key, made when first needed, dropped when long unused. A part that stands on others keeps them. */
export class Parts {
  private readonly byKey = new Map<string, Shared>();
  private readonly keys = new Map<SnapshotPart, string>();
  private readonly idle = new Set<string>();
  private created = new Set<SnapshotPart>();
  private owner: object | undefined;
  /** Grows when a part is made or dropped. */
  revision = 0;

  /** What `make` acquires and is not there yet belongs to the owner. */
  within(owner: object, make: () => void): void {
    this.owner = owner;
    try {
      make();
    } finally {
      this.owner = undefined;
    }
  }

  /** Drops what the owner has and nobody uses. True where it has nothing any more. */
  dropUnused(owner: object): boolean {
    for (;;) {
      const left = [...this.byKey].filter(([, shared]) => shared.owner === owner);
      const unused = left.filter(([key]) => this.idle.has(key));
      if (unused.length === 0) return left.length === 0;
      // Each may be the last that another stands under.
      for (const [key] of unused) this.drop(key);
    }
  }

  acquire<P extends SnapshotPart>(key: string, create: () => P, lower: readonly SnapshotPart[] = []): P {
    let shared = this.byKey.get(key);
    if (shared === undefined) {
      const part = create();
      this.created.add(part);
      this.revision++;
      this.byKey.set(key, (shared = { part, lower, owner: this.owner, users: 0 }));
      this.keys.set(part, key);
      for (const below of lower) this.hold(below);
    }
    shared.users++;
    this.idle.delete(key);
    // A key is made for one class of part only.
    return shared.part as P;
  }

  release(part: SnapshotPart): void {
    const key = this.keys.get(part);
    const shared = key === undefined ? undefined : this.byKey.get(key);
    if (key === undefined || shared === undefined || --shared.users > 0) return;
    this.idle.add(key);
    if (this.idle.size <= maxIdle) return;
    const [oldest] = this.idle;
    if (oldest !== undefined) this.drop(oldest);
  }

  has(part: SnapshotPart): boolean {
    return this.keys.has(part);
  }

  /** Those that were made since the last call. */
  takeCreated(): ReadonlySet<SnapshotPart> {
    const { created } = this;
    if (created.size > 0) this.created = new Set();
    return created;
  }

  values(): SnapshotPart[] {
    return [...this.byKey.values()].map((s) => s.part);
  }

  get size(): number {
    return this.byKey.size;
  }

  private hold(part: SnapshotPart): void {
    const key = this.keys.get(part);
    const shared = key === undefined ? undefined : this.byKey.get(key);
    if (key === undefined || shared === undefined) return;
    shared.users++;
    this.idle.delete(key);
  }

  private drop(key: string): void {
    this.idle.delete(key);
    const shared = this.byKey.get(key);
    if (shared === undefined) return;
    this.revision++;
    this.byKey.delete(key);
    this.keys.delete(shared.part);
    shared.part.dispose();
    for (const below of shared.lower) this.release(below);
  }
}
