/** The figures of one flush while responses may still carry what it has changed, and how they are divided among its objects. */
import type { ObjectKey } from '../../apis/object.ts';
import type { Trace } from '../../store/trace.ts';
import { encodedSize } from '../../wire/resource.ts';
import type { Part } from '../../xds/source.ts';
import type { PartChange } from '../part.ts';
import { noCost, type Cost, type Flush } from './cost.ts';

/** What an object has of a step. */
interface Share {
  resources: number;
  bytes: number;
  weight: number;
}

/** The change of one table in a flush. */
export interface Step {
  readonly flush: OpenFlush;
  /** Undefined for what follows from another list of parts. */
  readonly change: PartChange | undefined;
  /** Of all its resources, never 0: what it counts for beside other steps in one response. */
  readonly weight: number;
  readonly bytesEncoded: number;
  /** By object of the flush; undefined where the flush has a single one, or is one row. */
  readonly owners: ReadonlyMap<ObjectKey, Share> | undefined;
  /** What no object, or a great many, are known to have made: shared by all of the flush. */
  readonly ownerless: Share;
  bytesSent: number;
  /** That were sent it. */
  streams: number;
  /** Of its part in the list of a stream that was sent it. A stream has no two parts at one place. */
  place: number;
  refusals: number;
  ackedAtMs: number | undefined;
  /** The one before of the same table, while its flush is open. */
  before: Step | undefined;
}

export class OpenFlush {
  readonly number: number;
  readonly atMs: number;
  readonly steps: readonly Step[];
  /** Bytes that followed from another list of parts. */
  readonly ofPlans: Step;
  /** That were sent something of it. */
  proxies = 0;
  private readonly flush: Flush;
  private readonly together: string | undefined;

  /** `together`: all objects are one row of this name. */
  constructor(number: number, flush: Flush, together: string | undefined) {
    this.number = number;
    this.atMs = flush.atMs;
    this.flush = flush;
    this.together = together;
    const trace = together === undefined ? flush.trace : undefined;
    this.steps = flush.changes.map((change) => this.stepOf(change, trace));
    this.ofPlans = this.step(undefined, { resources: 0, bytes: 0, weight: 1 }, { resources: 0, bytes: 0, weight: 1 }, undefined);
  }

  /** By object. */
  costs(): Iterable<readonly [string, Cost]> {
    const { objects, ms, atMs } = this.flush;
    const shared = new Tally(this);
    const own = new Map<ObjectKey, Tally>();
    for (const step of [...this.steps, this.ofPlans]) {
      shared.add(step, step.ownerless);
      for (const [object, share] of step.owners ?? []) {
        let tally = own.get(object);
        if (tally === undefined) own.set(object, (tally = new Tally(this)));
        tally.add(step, share);
      }
    }
    if (this.together !== undefined) return [[this.together, { ...shared.cost(atMs), changes: objects.size, translationMs: ms }]];
    return [...objects].map((object) => {
      const cost = shared.cost(atMs, objects.size, own.get(object));
      return [object, { ...cost, changes: 1, translationMs: ms / objects.size }] as const;
    });
  }

  get beganAtMs(): number {
    return this.flush.beganAtMs;
  }

  /** Lets go of the steps before its own, which are closed already. */
  close(): void {
    for (const step of this.steps) step.before = undefined;
  }

  private stepOf(change: PartChange, trace: Trace | undefined): Step {
    const { table } = change;
    const total: Share = { resources: 0, bytes: 0, weight: 0 };
    const ownerless: Share = { resources: 0, bytes: 0, weight: 0 };
    let owners: Map<ObjectKey, Share> | undefined;
    for (const name of change.names) {
      const resource = table.get(name);
      const bytes = resource === undefined ? 0 : encodedSize(resource);
      const weight = bytes + name.length;
      give(total, 1, bytes, weight);
      const makers = trace === undefined ? none : (table.trace(name, trace) ?? none);
      const owned = trace !== undefined && makers.size > 0 && makers.size <= trace.most;
      if (!owned) give(ownerless, 1, bytes, weight);
      for (const object of owned ? makers : none) {
        owners ??= new Map();
        let share = owners.get(object);
        if (share === undefined) owners.set(object, (share = { resources: 0, bytes: 0, weight: 0 }));
        give(share, 1 / makers.size, bytes / makers.size, weight / makers.size);
      }
    }
    return this.step(change, total, ownerless, owners);
  }

  private step(change: PartChange | undefined, total: Share, ownerless: Share, owners: Step['owners']): Step {
    return {
      flush: this,
      change,
      weight: Math.max(1, total.weight),
      bytesEncoded: total.bytes,
      owners,
      ownerless,
      bytesSent: 0,
      streams: 0,
      place: 0,
      refusals: 0,
      ackedAtMs: undefined,
      before: undefined,
    };
  }
}

const none: ReadonlySet<ObjectKey> = new Set();

function give(to: Share, resources: number, bytes: number, weight: number): void {
  to.resources += resources;
  to.bytes += bytes;
  to.weight += weight;
}

/** Shares of several steps. */
class Tally {
  private readonly flush: OpenFlush;
  private resources = 0;
  private bytesEncoded = 0;
  private bytesSent = 0;
  private refusals = 0;
  private ackedAtMs: number | undefined;
  /** Streams by part and its place: of two types of one part they are the same ones. */
  private readonly streams = new Map<Part | undefined, { readonly place: number; readonly count: number }>();

  constructor(flush: OpenFlush) {
    this.flush = flush;
  }

  add(step: Step, { resources, bytes, weight }: Share): void {
    if (weight === 0) return;
    this.resources += resources;
    this.bytesEncoded += bytes;
    this.bytesSent += (step.bytesSent * weight) / step.weight;
    this.refusals += step.refusals;
    if (step.ackedAtMs !== undefined) this.ackedAtMs = Math.max(this.ackedAtMs ?? 0, step.ackedAtMs);
    const part = step.change?.part;
    const { count = 0 } = this.streams.get(part) ?? {};
    if (step.streams > count) this.streams.set(part, { place: step.place, count: step.streams });
  }

  /** One of `objects` that share it, with what it has of its own. */
  cost(atMs: number, objects = 1, own?: Tally): Cost {
    const acks = [this.ackedAtMs, own?.ackedAtMs].filter((ms) => ms !== undefined);
    return {
      ...noCost(atMs),
      resources: this.resources / objects + (own?.resources ?? 0),
      bytesEncoded: this.bytesEncoded / objects + (own?.bytesEncoded ?? 0),
      bytesSent: this.bytesSent / objects + (own?.bytesSent ?? 0),
      // Where all is one object's, the flush has counted exactly.
      proxies: objects === 1 ? this.flush.proxies : Math.min(this.flush.proxies, this.reached(own)),
      ...(acks.length > 0 && { ackMs: Math.max(...acks) - this.flush.beganAtMs }),
      refusals: this.refusals + (own?.refusals ?? 0),
    };
  }

  /** Those of parts at one place are different ones, those of another place may be the same. */
  private reached(own: Tally | undefined): number {
    const byPlace = new Map<number, number>();
    const add = (place: number, count: number): void => void byPlace.set(place, (byPlace.get(place) ?? 0) + count);
    for (const [part, { place, count }] of this.streams) add(place, Math.max(count, own?.streams.get(part)?.count ?? 0));
    for (const [part, { place, count }] of own?.streams ?? []) if (!this.streams.has(part)) add(place, count);
    return Math.max(0, ...byPlace.values());
  }
}
