/**
 * What changes of objects cost: translation, resources, bytes and proxies, by object, over the last minutes. A flush is kept open while streams may still be sent
 * what it has changed; then its figures are added to those of its objects. A flush costs its objects and the resources that changed, a response the parts of its
 * stream; nothing walks the streams.
 */
import { secretType } from '../../wire/types.ts';
import type { Part, StreamObserver, StreamStatus, Subscription, TypeUrl } from '../../xds/source.ts';
import type { Cost, Flush } from './cost.ts';
import { OpenFlush, type Step } from './open-flush.ts';
import { CostRows } from './rows.ts';

/** Objects of a first load, which is read before there is a proxy to send anything to. */
export const firstLoad = '(first load)';
/** Objects of a flush with more of them than rows are of use for. */
export const bulkLoad = '(bulk load)';

export interface CostLimits {
  /** For how long costs are shown. Default 10 minutes, in whole minutes. */
  readonly windowMs: number;
  /** The least costly are forgotten first. Default 2,000. */
  readonly maxObjects: number;
  /** A flush of more objects is one row. Default 1,000. */
  readonly maxObjectsPerFlush: number;
  /** Flushes whose responses are still followed. Default 64. */
  readonly maxOpen: number;
  /** Tables that these have changed. Default 8,192. */
  readonly maxOpenSteps: number;
}

const defaultLimits: CostLimits = {
  windowMs: 600_000,
  maxObjects: 2_000,
  maxObjectsPerFlush: 1_000,
  maxOpen: 64,
  maxOpenSteps: 8_192,
};

export interface CostRow extends Cost {
  /** `Kind/namespace/name`, `(first load)` or `(bulk load)`. */
  readonly object: string;
}

export interface CostReport {
  readonly windowMs: number;
  /** In no order. */
  readonly rows: readonly CostRow[];
  /** Objects left out because there were too many. */
  readonly forgotten: number;
  /** Of no change: first answers of new streams, renewed certificates. */
  readonly other: { readonly translationMs: number; readonly bytesSent: number };
}

interface Carried {
  readonly nonce: string;
  readonly steps: readonly Step[];
}

interface StreamState {
  /** Number of the last flush before the stream had its parts; undefined until it is sent something. */
  from: number | undefined;
  /** Number of the last flush that was looked at, by type. */
  readonly seen: Map<TypeUrl, number>;
  /** Flushes that have reached it, the last ones. */
  readonly reached: number[];
  readonly unanswered: Map<TypeUrl, Carried[]>;
  /** What the stream was last sent of a change: more may follow from it. */
  last: { readonly steps: readonly Step[]; readonly atMs: number } | undefined;
}

/** Steps of one table that are looked at for one response. */
const maxSteps = 16;
/** Flushes that a stream remembers to have counted for, and responses of a type that it has not answered. */
const maxRemembered = 16;
/** Endpoints follow a changed cluster, and repairs a refusal. */
const followMs = 5_000;

export class CostLedger implements StreamObserver {
  readonly #limits: CostLimits;
  readonly #nowMs: () => number;
  readonly #rows: CostRows;
  readonly #open: OpenFlush[] = [];
  #openSteps = 0;
  #flushes = 0;
  #loaded = false;
  /** The last step of each table. */
  readonly #steps = new WeakMap<Part, Map<TypeUrl, Step>>();
  /** The flush that has changed its list of parts last. */
  readonly #replans = new WeakMap<Subscription, OpenFlush>();
  readonly #streams = new Map<StreamStatus, StreamState>();

  /** `nowMs`: of a clock that never goes back, the snapshot's. */
  constructor(nowMs: () => number, limits: Partial<CostLimits> = {}) {
    this.#nowMs = nowMs;
    this.#limits = { ...defaultLimits, ...limits };
    this.#rows = new CostRows(this.#limits);
  }

  /** From now on an object that changes has a row of its own. */
  loaded(): void {
    this.#loaded = true;
  }

  flushed(flush: Flush): void {
    if (flush.objects.size === 0) {
      this.#rows.addOther(this.#nowMs(), flush.ms, 0);
      return;
    }
    const together = !this.#loaded ? firstLoad : flush.objects.size > this.#limits.maxObjectsPerFlush ? bulkLoad : undefined;
    const open = new OpenFlush(++this.#flushes, flush, together);
    for (const step of open.steps) {
      if (step.change === undefined) continue;
      const { part, type } = step.change;
      let types = this.#steps.get(part);
      if (types === undefined) this.#steps.set(part, (types = new Map()));
      step.before = types.get(type);
      types.set(type, step);
    }
    for (const subscription of flush.replanned) this.#replans.set(subscription, open);
    this.#open.push(open);
    this.#openSteps += open.steps.length;
    this.#closeOld();
  }

  report(): CostReport {
    const nowMs = this.#nowMs();
    return { windowMs: this.#limits.windowMs, ...this.#rows.report(nowMs, this.#open) };
  }

  connected(stream: StreamStatus): void {
    const from = stream.subscription.placed ? this.#flushes : undefined;
    this.#streams.set(stream, { from, seen: new Map(), reached: [], unanswered: new Map(), last: undefined });
  }

  disconnected(stream: StreamStatus): void {
    this.#streams.delete(stream);
  }

  refused(): void {}

  sent(stream: StreamStatus, type: TypeUrl, bytes: number): void {
    const state = this.#streams.get(stream);
    if (state === undefined) return;
    state.from ??= this.#flushes;
    const seen = state.seen.get(type);
    state.seen.set(type, this.#flushes);
    const steps = this.#carried(stream, state, type, seen ?? state.from);
    if (steps.length === 0) {
      this.#rows.addOther(this.#nowMs(), 0, bytes);
      return;
    }
    let encoded = 0;
    for (const step of steps) encoded += step.weight;
    // The first answer of a type has all else too, which is not the change's doing.
    const shared = seen === undefined ? Math.min(bytes, encoded) : bytes;
    if (shared < bytes) this.#rows.addOther(this.#nowMs(), 0, bytes - shared);
    for (const step of steps) {
      step.bytesSent += (shared * step.weight) / encoded;
      step.streams++;
      const { flush } = step;
      if (state.reached.includes(flush.number)) continue;
      flush.proxies++;
      if (state.reached.push(flush.number) > maxRemembered) state.reached.shift();
    }
    let carried = state.unanswered.get(type);
    if (carried === undefined) state.unanswered.set(type, (carried = []));
    if (carried.push({ nonce: stream.types.get(type)?.sentNonce ?? '', steps }) > maxRemembered) carried.shift();
  }

  /** Responses of the type before this one count as accepted too. */
  acked(stream: StreamStatus, type: TypeUrl, nonce: string): void {
    const carried = this.#streams.get(stream)?.unanswered.get(type);
    const last = carried?.findIndex((one) => one.nonce === nonce) ?? -1;
    if (carried === undefined || last < 0) return;
    const nowMs = this.#nowMs();
    for (const { steps } of carried.splice(0, last + 1)) for (const step of steps) step.ackedAtMs = nowMs;
  }

  /** Counts for the changes that have touched one of the names. */
  rejected(stream: StreamStatus, type: TypeUrl, names: readonly string[]): void {
    const carried = this.#streams.get(stream)?.unanswered.get(type);
    if (carried === undefined) return;
    const touches = (step: Step): boolean => names.some((name) => step.change?.names.has(name) === true);
    const last = carried.findLastIndex(({ steps }) => steps.some(touches));
    for (const { steps } of carried.splice(0, last + 1)) {
      const blamed = new Set<unknown>();
      for (const step of steps) {
        // Several parts of the stream may have the same name: it is one refusal.
        if (!touches(step) || blamed.has(step.flush)) continue;
        blamed.add(step.flush);
        step.refusals++;
      }
    }
  }

  /** The steps of the stream's tables after the flush `after`; where there are none, those that a response follows from. */
  #carried(stream: StreamStatus, state: StreamState, type: TypeUrl, after: number): readonly Step[] {
    let found: Step[] | undefined;
    const { parts } = stream.subscription;
    for (let place = 0; place < parts.length; place++) {
      let step = this.#steps.get(parts[place] as Part)?.get(type);
      for (let n = 0; n < maxSteps && step !== undefined && step.flush.number > after; n++) {
        step.place = place;
        (found ??= []).push(step);
        step = step.before;
      }
    }
    if (found === undefined) {
      const replan = this.#replans.get(stream.subscription);
      if (replan !== undefined && replan.number > after) found = [replan.ofPlans];
    }
    if (found !== undefined) {
      state.last = { steps: found, atMs: this.#nowMs() };
      return found;
    }
    if (type === secretType || state.last === undefined || this.#nowMs() - state.last.atMs > followMs) return none;
    return state.last.steps;
  }

  #closeOld(): void {
    const { maxOpen, maxOpenSteps, windowMs } = this.#limits;
    const nowMs = this.#nowMs();
    for (let oldest = this.#open[0]; oldest !== undefined; oldest = this.#open[0]) {
      const tooMany = this.#open.length > maxOpen || (this.#openSteps > maxOpenSteps && this.#open.length > 1);
      if (!tooMany && nowMs - oldest.atMs < windowMs) return;
      this.#open.shift();
      this.#openSteps -= oldest.steps.length;
      this.#rows.add(oldest);
      oldest.close();
      for (const step of oldest.steps) {
        const types = step.change === undefined ? undefined : this.#steps.get(step.change.part);
        if (step.change !== undefined && types?.get(step.change.type) === step) types.delete(step.change.type);
      }
    }
  }
}

const none: readonly Step[] = [];
