/**
 * What the last changes of objects have led to. What an object is part of at present is read from the graph when somebody asks; kept is only what the graph
 * forgets: the names that a change took away, and the proxies whose list of parts it changed. For a bounded time and number of changes.
 */
import type { ObjectKey } from '../apis/object.ts';
import type { Subscription, TableChange } from '../xds/source.ts';

export interface EffectChange extends TableChange {
  /** Names that are made from none of its objects, as far as is known: each of these may have chosen them. */
  readonly ownerless: ReadonlySet<string>;
}

/** What one flush has led to. */
export interface Effect {
  /** Grows with each flush. */
  readonly generation: number;
  readonly atMs: number;
  /** Objects that had changed. */
  readonly objects: ReadonlySet<ObjectKey>;
  /** Of parts that were there before. */
  readonly changes: readonly EffectChange[];
  /** Whether the proxy's list of parts has changed. */
  readonly replanned: { has(proxy: Subscription): boolean };
}

export interface LedgerLimits {
  /** How long an effect is kept. Default 10 minutes. */
  readonly keepMs: number;
  /** Pairs of object and effect. Default 20,000. */
  readonly maxEntries: number;
  /** Effects of one object; the oldest are dropped first. Default 16. */
  readonly maxPerObject: number;
}

const defaultLimits: LedgerLimits = { keepMs: 600_000, maxEntries: 20_000, maxPerObject: 16 };

export class Ledger {
  private readonly limits: LedgerLimits;
  /** The object that changed last comes last. */
  private readonly effects = new Map<ObjectKey, Effect[]>();
  private entries = 0;

  constructor(limits: Partial<LedgerLimits> = {}) {
    this.limits = { ...defaultLimits, ...limits };
  }

  /** Pairs of object and effect. */
  get size(): number {
    return this.entries;
  }

  add(effect: Effect): void {
    this.expire(effect.atMs);
    for (const object of effect.objects) {
      const known = this.effects.get(object) ?? [];
      this.effects.delete(object);
      this.effects.set(object, known);
      known.push(effect);
      this.entries++;
      if (known.length <= this.limits.maxPerObject) continue;
      known.shift();
      this.entries--;
    }
    for (const object of this.effects.keys()) {
      if (this.entries <= this.limits.maxEntries) break;
      this.forget(object);
    }
  }

  /** Oldest first. */
  of(object: ObjectKey): readonly Effect[] {
    return this.effects.get(object) ?? none;
  }

  /** Everybody has it, and what the object is part of is known without it. */
  settled(object: ObjectKey, effect: Effect): void {
    const known = this.effects.get(object);
    const at = known?.indexOf(effect) ?? -1;
    if (known === undefined || at < 0) return;
    known.splice(at, 1);
    this.entries--;
    if (known.length === 0) this.effects.delete(object);
  }

  private expire(nowMs: number): void {
    for (const [object, known] of this.effects) {
      const last = known[known.length - 1];
      if (last !== undefined && nowMs - last.atMs < this.limits.keepMs) return;
      this.forget(object);
    }
  }

  private forget(object: ObjectKey): void {
    this.entries -= this.effects.get(object)?.length ?? 0;
    this.effects.delete(object);
  }
}

const none: readonly Effect[] = [];
