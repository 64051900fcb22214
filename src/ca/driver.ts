/** Advances the state of the certificate authority: one step at a time, each written before the next is decided. */
import { Backoff } from '../kubernetes/backoff.ts';
import { pause, type Clock } from '../kubernetes/clock.ts';
import { SafeTime, type SafeTimeOptions } from './safe-time.ts';
import { decide, isRotating, type Facts, type ReplicaFacts } from './rotation.ts';
import { statusOf, type CaStatus } from './status.ts';
import type { CaStore } from './store.ts';

export interface DriverOptions {
  readonly store: CaStore;
  readonly clock: Clock;
  /** Milliseconds since 1970, by the clock of this machine. */
  readonly now: () => number;
  /** The same by another clock, see SafeTime. */
  readonly otherTime?: SafeTimeOptions['other'];
  /** What is asked for, and what the replicas report: looked up before each decision. */
  readonly request: () => Facts['request'];
  readonly replicas: () => readonly ListedReplica[] | undefined;
  /** False for one whose pod is gone: it serves nobody any more. One that is only cut off may. */
  readonly replicaExists: (name: string) => boolean;
  readonly exists: Facts['exists'];
  readonly newRoot: Facts['newRoot'];
  readonly patienceMs: number;
  readonly missingMs: number;
  readonly leafMs: number;
  readonly renewalFraction: number;
  /** Something has happened. */
  readonly onStep: (said: string) => void;
  /** Told when it has changed. */
  readonly onStatus: (status: CaStatus, signal: AbortSignal) => Promise<void>;
  readonly onFault: (error: unknown) => void;
}

export type ListedReplica = Omit<ReplicaFacts, 'knownMs'>;

/** While a rotation is under way time alone may end a phase. */
const rotatingMs = 1_000;
const quietMs = 30_000;
/** Many changes are one look. */
const settleMs = 100;

export class RotationDriver {
  readonly #options: DriverOptions;
  #woken = Promise.withResolvers<void>();
  #told = '';
  readonly #time: SafeTime;
  /** Replicas as they were last listed. One that is listed no more counts as gone for as long as its proxies may be on their way, or still with it. */
  readonly #seen = new Map<string, { readonly facts: ListedReplica; readonly sinceMs: number; readonly untilMs: number }>();

  constructor(options: DriverOptions) {
    this.#options = options;
    this.#time = new SafeTime({ clock: options.clock, wall: options.now, other: options.otherTime });
  }

  /** Something that decisions depend on has changed. */
  wake(): void {
    this.#woken.resolve();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { store, clock, onFault } = this.#options;
    const backoff = new Backoff(clock, { firstMs: 500, maxMs: 30_000 });
    const end = store.onChange(() => this.wake());
    this.#told = '';
    try {
      while (!signal.aborted) {
        this.#woken = Promise.withResolvers();
        try {
          if (await this.#step(signal)) continue;
          backoff.succeeded();
        } catch (error) {
          if (signal.aborted) return;
          onFault(error);
          await pause(clock, backoff.failed(), signal);
          continue;
        }
        const tick = new AbortController();
        const sleeping = pause(clock, isRotating(store.view.state) ? rotatingMs : quietMs, AbortSignal.any([signal, tick.signal]));
        await Promise.race([this.#woken.promise, sleeping]);
        tick.abort();
        await pause(clock, settleMs, signal);
      }
    } finally {
      end();
    }
  }

  /** True: there may be more to do. */
  async #step(signal: AbortSignal): Promise<boolean> {
    const { store, request, exists, newRoot, patienceMs, missingMs, leafMs, renewalFraction, onStep, onStatus } = this.#options;
    if (store.plugged === undefined) return false;
    await store.repair(signal);
    const { now, fault: clockFault } = await this.#time.read(signal);
    const { plugged, given, view } = store;
    if (plugged === undefined) return false;
    const facts: Facts = {
      ...{ now, clockFault, given, plugged, request: request(), replicas: this.#replicas() },
      ...{ exists, newRoot, patienceMs, missingMs, leafMs, renewalFraction },
    };
    const decision = decide(view, facts);
    if (decision !== undefined) {
      const saved = await store.save(decision.state, signal);
      if (saved) for (const said of decision.said) onStep(said);
      // Another was first: its state arrives by itself.
      return saved;
    }
    const status = statusOf(view, facts);
    const text = JSON.stringify(status);
    if (text === this.#told) return false;
    await onStatus(status, signal);
    this.#told = text;
    return false;
  }

  #replicas(): readonly ReplicaFacts[] | undefined {
    const { replicas, replicaExists, clock, patienceMs } = this.#options;
    const listed = replicas();
    if (listed === undefined) return undefined;
    const now = clock.now();
    for (const facts of listed) {
      this.#seen.set(facts.name, { facts, sinceMs: this.#seen.get(facts.name)?.sinceMs ?? now, untilMs: now });
    }
    const names = new Set(listed.map(({ name }) => name));
    const known: ReplicaFacts[] = [];
    for (const [name, { facts, sinceMs, untilMs }] of this.#seen) {
      if (names.has(name)) known.push({ ...facts, knownMs: now - sinceMs });
      else if (now - untilMs < patienceMs || replicaExists(name)) known.push({ ...facts, live: false, knownMs: now - sinceMs });
      else this.#seen.delete(name);
    }
    return known;
  }
}
