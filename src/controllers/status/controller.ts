/** Keeps the conditions of objects in step with what is known of them, and tells of new problems by Events. For the leader. */
import { conditionsFingerprint, type Condition } from '../../apis/condition.ts';
import type { ObjectKey } from '../../apis/object.ts';
import { fingerprint } from '../../lib/fingerprint.ts';
import { Backoff } from '../../kubernetes/backoff.ts';
import { pause, type Clock } from '../../kubernetes/clock.ts';
import { ApiRefusal } from '../../kubernetes/list.ts';
import type { Controller } from '../controller.ts';
import { Agenda, type Due } from './agenda.ts';
import { TokenBucket } from './bucket.ts';
import { conditionsOf, messageOf } from './conditions.ts';
import type { Cause, FactSource, ObjectFacts } from './facts.ts';
import type { StatusWriter } from './writer.ts';

/** What the API server has, as the last event said. */
export interface SeenObjects {
  get(object: ObjectKey): { readonly apiVersion: string; readonly conditions: string } | undefined;
  keys(): Iterable<ObjectKey>;
  listen(handler: (object: ObjectKey) => void): () => void;
}

export interface StatusLimits {
  /** Writes of status, of all objects. Default 10 a second. */
  readonly writesPerSecond: number;
  /** Events, of all objects. Default 5 a second; what is more is not told. */
  readonly eventsPerSecond: number;
  /** Between two writes to one object. Default 3 s. */
  readonly objectGapMs: number;
  /** A change is looked at so long after it: usually all proxies have it by then. Default 500 ms. */
  readonly settleMs: number;
  /** An object that has not converged is called so after this time. Default 5 s. */
  readonly patienceMs: number;
  /** One that lags is looked at so often. Default 2 s. */
  readonly lagMs: number;
  /** So long after proxies have come or gone, and after a start, the number of them is written. Default 15 s. */
  readonly countsMs: number;
  /** The number of proxies of one object is written at most so often. Default 1 minute. */
  readonly countsGapMs: number;
  /** Everything is compared so often: somebody may have overwritten it. Default 5 minutes. */
  readonly resyncMs: number;
}

export const defaultStatusLimits: StatusLimits = {
  writesPerSecond: 10,
  eventsPerSecond: 5,
  objectGapMs: 3_000,
  settleMs: 500,
  patienceMs: 5_000,
  lagMs: 2_000,
  countsMs: 15_000,
  countsGapMs: 60_000,
  resyncMs: 300_000,
};

export interface StatusControllerOptions {
  readonly clock: Clock;
  readonly source: FactSource;
  readonly seen: SeenObjects;
  readonly writer: Pick<StatusWriter, 'read' | 'writeConditions' | 'writeEvent'>;
  readonly limits?: Partial<StatusLimits>;
  /** A write that failed; it is tried again. */
  readonly onFault: (object: ObjectKey, error: unknown) => void;
}

/** Objects that are asked for together: with hundreds of proxies some ten milliseconds, between which streams are served. */
const batch = 50;
const breathMs = 20;
/** Errors of one object that get an Event each. */
const maxEvents = 5;

interface Memory {
  /** Since when it has not converged. */
  laggingSinceMs?: number;
  writtenAtMs?: number;
  /** What was written last: it is not repeated for somebody who overwrites it at once. */
  written?: string;
}

export class StatusController implements Controller {
  readonly name = 'status';
  readonly #options: StatusControllerOptions;
  readonly #limits: StatusLimits;

  constructor(options: StatusControllerOptions) {
    this.#options = options;
    this.#limits = { ...defaultStatusLimits, ...options.limits };
  }

  async run(signal: AbortSignal): Promise<void> {
    const { source, seen } = this.#options;
    const term = new Term(this.#options, this.#limits);
    const endings = [source.listen((objects) => term.changed(objects)), seen.listen((object) => term.seen(object))];
    try {
      await term.run(signal);
    } finally {
      for (const end of endings) end();
    }
  }
}

/** One time of leading: nothing is remembered beyond it. */
class Term {
  readonly #options: StatusControllerOptions;
  readonly #limits: StatusLimits;
  readonly #agenda = new Agenda();
  readonly #memory = new Map<ObjectKey, Memory>();
  /** Problems that an Event told of, by object. Absent: not looked at in this term. */
  readonly #told = new Map<ObjectKey, ReadonlySet<string>>();
  readonly #writes: TokenBucket;
  readonly #events: TokenBucket;
  readonly #backoff: Backoff;
  #wake: () => void = () => {};
  #resyncAtMs: number;
  /** When the last of those that wait for their turn is due. */
  #slotMs = 0;

  constructor(options: StatusControllerOptions, limits: StatusLimits) {
    this.#options = options;
    this.#limits = limits;
    this.#writes = new TokenBucket(options.clock, limits.writesPerSecond, limits.writesPerSecond);
    this.#events = new TokenBucket(options.clock, limits.eventsPerSecond, limits.eventsPerSecond * 5);
    this.#backoff = new Backoff(options.clock, { firstMs: 1_000, maxMs: 60_000 });
    this.#resyncAtMs = options.clock.now() + limits.countsMs;
  }

  changed(objects: Iterable<ObjectKey> | 'all'): void {
    const now = this.#options.clock.now();
    if (objects === 'all') this.#resyncAtMs = Math.min(this.#resyncAtMs, now + this.#limits.countsMs);
    else for (const object of objects) this.#agenda.add(object, now + this.#limits.settleMs, 'changed');
    this.#wake();
  }

  /** Our own writes come back too: then nothing differs. */
  seen(object: ObjectKey): void {
    if (this.#options.seen.get(object) === undefined) this.#forget(object);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, source } = this.#options;
    while (!signal.aborted) {
      const now = clock.now();
      if (now >= this.#resyncAtMs) this.#resync(now);
      const due = this.#agenda.take(now, batch);
      if (due.length === 0) {
        await this.#sleep(Math.min(this.#agenda.nextIn(now) ?? Infinity, this.#resyncAtMs - now), signal);
        continue;
      }
      const facts = await source.facts(due.map(({ object }) => object));
      for (const one of due) {
        if (signal.aborted) return;
        const known = facts.get(one.object);
        if (known === undefined) this.#agenda.add(one.object, clock.now() + this.#limits.lagMs, one.cause);
        else await this.#settle(one, known, signal);
      }
      await pause(clock, breathMs, signal);
    }
  }

  #resync(now: number): void {
    for (const object of this.#options.seen.keys()) if (hasConditions(object)) this.#agenda.add(object, now, 'counts');
    this.#resyncAtMs = now + this.#limits.resyncMs;
  }

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await pause(this.#options.clock, ms, AbortSignal.any([signal, woken.signal]));
    this.#wake = () => {};
  }

  async #settle({ object, cause }: Due, facts: ObjectFacts, signal: AbortSignal): Promise<void> {
    const { clock, onFault } = this.#options;
    if (!facts.exists) {
      this.#forget(object);
      return;
    }
    try {
      await this.#conditions(object, cause, facts, signal);
      await this.#tell(object, facts, signal);
    } catch (error) {
      if (signal.aborted) return;
      onFault(object, error);
      if (isAboutObject(error)) {
        this.#agenda.add(object, clock.now() + this.#limits.resyncMs, cause);
        return;
      }
      // No answer, or no permission: the next object would fare no better.
      const waitMs = this.#backoff.failed();
      this.#agenda.add(object, clock.now() + waitMs, cause);
      await pause(clock, waitMs, signal);
    }
  }

  async #conditions(object: ObjectKey, cause: Cause, facts: ObjectFacts, signal: AbortSignal): Promise<void> {
    const { clock, seen, writer } = this.#options;
    const present = seen.get(object);
    if (present === undefined || !hasConditions(object)) return;
    const now = clock.now();
    const memory = this.#memory.get(object) ?? {};
    const conditions = conditionsOf(object, facts);
    const isPending = conditions.some(({ reason }) => reason === 'Pending');
    if (isPending) memory.laggingSinceMs ??= now;
    else delete memory.laggingSinceMs;
    this.#memory.set(object, memory);
    if (isPending) this.#agenda.add(object, now + this.#limits.lagMs, cause);
    else if (memory.writtenAtMs === undefined) this.#memory.delete(object);
    // A proxy that has just come, or a change that is on its way: not worth a word.
    if (isPending && now - (memory.laggingSinceMs ?? now) < this.#limits.patienceMs) return;
    const wanted = conditionsFingerprint(conditions);
    if (wanted === present.conditions) return;
    const waitMs = this.#waitFor(memory, cause, conditions, wanted, present.conditions, now);
    if (waitMs > 0) {
      this.#agenda.add(object, now + waitMs, cause);
      return;
    }
    // What has changed does not wait behind thousands of objects that have not.
    if (cause === 'counts' && !this.#writes.tryTake()) {
      this.#slotMs = Math.max(now, this.#slotMs) + 1_000 / this.#limits.writesPerSecond;
      this.#agenda.add(object, this.#slotMs, cause);
      return;
    }
    if (cause === 'changed' && !(await this.#writes.take(signal))) return;
    const read = await writer.read(object, present.apiVersion, signal);
    // Newer facts are on their way.
    if (read === undefined || (this.#agenda.has(object) && !isPending)) return;
    const outcome = await writer.writeConditions(object, read, conditions, signal);
    this.#backoff.succeeded();
    if (outcome === 'conflict') this.#agenda.add(object, clock.now() + 1_000, cause);
    if (outcome === 'written') this.#memory.set(object, { ...memory, writtenAtMs: clock.now(), written: wanted });
  }

  /** Milliseconds for which a write has to wait. */
  #waitFor(memory: Memory, cause: Cause, conditions: readonly Condition[], wanted: string, present: string, now: number): number {
    const { objectGapMs, countsGapMs, resyncMs } = this.#limits;
    const sinceMs = now - (memory.writtenAtMs ?? -Infinity);
    // Written, and overwritten by another: not a race that anybody wins.
    if (memory.written === wanted && sinceMs < resyncMs) return resyncMs - sinceMs;
    const healthy = conditions.every(({ status }) => status === 'True');
    const onlyCounts = cause === 'counts' && healthy && present !== '';
    if (!onlyCounts) return Math.max(0, objectGapMs - sinceMs);
    if (this.#writes.level < 0.5) return 1_000;
    return Math.max(0, countsGapMs - sinceMs);
  }

  async #tell(object: ObjectKey, facts: ObjectFacts, signal: AbortSignal): Promise<void> {
    const errors = facts.problems
      .filter(({ severity }) => severity === 'error')
      .map((problem) => ({ ...problem, message: messageOf(object, problem) }));
    const before = this.#told.get(object);
    const now = new Map(errors.map((problem) => [problemKey(problem), problem]));
    const fresh = [...now].filter(([key]) => before?.has(key) !== true).slice(0, maxEvents);
    const mended = before !== undefined && before.size > 0 && now.size === 0;
    if (fresh.length === 0 && !mended) {
      if (before !== undefined && now.size > 0) this.#told.set(object, new Set(now.keys()));
      return;
    }
    const { writer, seen } = this.#options;
    this.#told.set(object, new Set(now.keys()));
    if (!this.#events.tryTake()) return;
    const read = await writer.read(object, seen.get(object)?.apiVersion, signal);
    if (read === undefined) return;
    for (const [, { path, reason, message }] of fresh) {
      const note = path === '' ? message : `${path}: ${message}`;
      await writer.writeEvent(object, read, { type: 'Warning', reason, note }, before !== undefined, signal);
      if (!this.#events.tryTake()) break;
    }
    if (mended)
      await writer.writeEvent(object, read, { type: 'Normal', reason: 'Reconciled', note: 'all problems are mended' }, true, signal);
  }

  #forget(object: ObjectKey): void {
    this.#memory.delete(object);
    this.#told.delete(object);
    this.#agenda.delete(object);
  }
}

/** Invalid, or denied by a webhook or a policy of its namespace: nobody else is to wait for it. */
function isAboutObject(error: unknown): boolean {
  if (!(error instanceof ApiRefusal)) return false;
  return error.status === 400 || error.status === 422 || /\bdenied (the )?request\b/.test(error.message);
}

/** What many proxies refuse alike is one problem. */
function problemKey({ reason, path, message }: ObjectFacts['problems'][number]): string {
  return fingerprint(`${reason} ${path} ${message.replace(/^(proxy \S+|a proxy of another namespace) /, '')}`);
}

/** Istio's kinds have a status for conditions; of others problems are told by Events alone. */
function hasConditions(object: ObjectKey): boolean {
  return !object.startsWith('Service/');
}
