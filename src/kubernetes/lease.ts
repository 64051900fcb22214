/**
 * Election of one among several holders by a Lease (coordination.k8s.io/v1), with client-go's rules: a lease counts as abandoned once its record was not seen
 * to change for its duration, measured by the own clock, so that clocks need not agree; and a holder that could not renew in time stops before others begin.
 */
import type { KubernetesApi, ObjectRef } from './api.ts';
import { pause, type Clock } from './clock.ts';
import { ApiRefusal, isRecord, type RawObject } from './list.ts';

export interface LeaseElectionOptions {
  readonly api: Pick<KubernetesApi, 'get' | 'create' | 'replace'>;
  /** Never goes back: waits are measured by it. */
  readonly clock: Clock;
  /** Milliseconds since 1970, for the times that people read in the Lease. */
  readonly wallClock: () => number;
  readonly namespace: string;
  readonly name: string;
  /** Ours alone: two holders of one name would both lead. */
  readonly holder: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Others wait so long for a sign of life. Default 15 s. */
  readonly durationMs?: number;
  /** A holder that could not renew for so long no longer leads. Less than the duration. Default 10 s. */
  readonly deadlineMs?: number;
  /** Between renewals. Default 2 s. */
  readonly renewMs?: number;
  /** Between attempts of those who do not hold it, a fifth more at random: so late a lease that was given up is noticed. Default 1 s. */
  readonly retryMs?: number;
  readonly onFault?: (error: unknown) => void;
}

interface Seen {
  /** What of the record changes with each renewal. */
  readonly mark: string;
  readonly atMs: number;
}

export class LeaseElection {
  readonly #options: LeaseElectionOptions;
  readonly #ref: ObjectRef;
  #seen: Seen | undefined;
  /** Until when nobody else can hold it; undefined while it is not ours. */
  #leadsUntilMs: number | undefined;
  #currentHolder = '';

  constructor(options: LeaseElectionOptions) {
    this.#options = options;
    this.#ref = { apiVersion: 'coordination.k8s.io/v1', plural: 'leases', namespace: options.namespace, name: options.name };
  }

  /** By the clock, not by what has been noticed: a process that stood still for a while no longer leads when it goes on. */
  get leading(): boolean {
    return this.#leadsUntilMs !== undefined && this.#options.clock.now() < this.#leadsUntilMs;
  }

  /** As last seen; empty when nobody holds it. */
  get currentHolder(): string {
    return this.#currentHolder;
  }

  /**
   * Until the signal: each time the lease is won, `lead` runs; its own signal aborts when the lease is lost, and nobody else is let in before it has
   * returned or the deadline is over. The lease is given up at the end, so that the next one need not wait.
   */
  async run(lead: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { clock, retryMs = 1_000, deadlineMs = 10_000 } = this.#options;
    while (!signal.aborted) {
      // Others measure from the write, which is not before it was asked for.
      const startedAt = clock.now();
      const attempt = new AbortController();
      const giveUp = clock.after(deadlineMs, () => attempt.abort());
      const held = await this.#tryToHold(AbortSignal.any([signal, attempt.signal]));
      giveUp();
      if (held && clock.now() - startedAt < deadlineMs) await this.#lead(lead, startedAt, signal);
      else await pause(clock, retryMs * (1 + clock.random() / 5), signal);
    }
  }

  async #lead(lead: (signal: AbortSignal) => Promise<void>, heldAtMs: number, signal: AbortSignal): Promise<void> {
    const { clock, renewMs = 2_000, deadlineMs = 10_000 } = this.#options;
    const lost = new AbortController();
    const within = AbortSignal.any([signal, lost.signal]);
    let cancelDeadline = (): void => {};
    const heldSince = (atMs: number): void => {
      this.#leadsUntilMs = atMs + deadlineMs;
      cancelDeadline();
      cancelDeadline = clock.after(Math.max(0, this.#leadsUntilMs - clock.now()), () => lost.abort());
    };
    heldSince(heldAtMs);
    const work = lead(within).finally(() => lost.abort());
    // Who waits for it below sees its error.
    work.catch(() => {});
    while (!within.aborted) {
      await pause(clock, renewMs, within);
      // Too late to go on, even if nobody has it now: somebody may have had it in between.
      if (!this.leading) lost.abort();
      if (within.aborted) break;
      const startedAt = clock.now();
      if (await this.#tryToHold(within)) heldSince(startedAt);
      else if (this.#currentHolder !== this.#options.holder) lost.abort();
    }
    cancelDeadline();
    this.#leadsUntilMs = undefined;
    try {
      await work;
    } finally {
      await this.#release();
    }
  }

  /** True while we hold it afterwards. A fault is not the loss of it: that is decided by time. */
  async #tryToHold(signal: AbortSignal): Promise<boolean> {
    const { api, clock, holder, durationMs = 15_000, onFault } = this.#options;
    try {
      const lease = await api.get(this.#ref, signal);
      if (lease === undefined) {
        const { namespace } = this.#ref;
        await api.create(
          { apiVersion: this.#ref.apiVersion, plural: 'leases', ...(namespace !== undefined && { namespace }) },
          this.#body(undefined),
          signal,
        );
        this.#currentHolder = holder;
        return true;
      }
      const { holderIdentity, renewTime } = specOf(lease);
      const mark = `${holderIdentity} ${renewTime}`;
      if (this.#seen?.mark !== mark) this.#seen = { mark, atMs: clock.now() };
      this.#currentHolder = holderIdentity;
      const abandoned = holderIdentity === '' || clock.now() - this.#seen.atMs >= durationMs;
      if (holderIdentity !== holder && !abandoned) return false;
      await api.replace(this.#ref, this.#body(lease), signal);
      this.#currentHolder = holder;
      return true;
    } catch (error) {
      // 409: another was first, which is how it is meant to be.
      if (!signal.aborted && !(error instanceof ApiRefusal && error.status === 409)) onFault?.(error);
      return false;
    }
  }

  /** Nobody waits for it long: without it the others wait for the lease's duration. */
  async #release(): Promise<void> {
    const { api, holder, onFault } = this.#options;
    const limit = AbortSignal.timeout(2_000);
    try {
      const lease = await api.get(this.#ref, limit);
      if (lease === undefined || specOf(lease).holderIdentity !== holder) return;
      const body = this.#body(lease);
      await api.replace(this.#ref, { ...body, spec: { ...specRecord(body), holderIdentity: '', leaseDurationSeconds: 1 } }, limit);
      this.#currentHolder = '';
    } catch (error) {
      onFault?.(error);
    }
  }

  #body(lease: RawObject | undefined): Record<string, unknown> {
    const { holder, namespace, name, labels, wallClock, durationMs = 15_000 } = this.#options;
    const now = microTime(wallClock());
    const before = lease === undefined ? undefined : specOf(lease);
    const same = before?.holderIdentity === holder;
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: lease?.metadata ?? { namespace, name, ...(labels !== undefined && { labels }) },
      spec: {
        holderIdentity: holder,
        leaseDurationSeconds: Math.ceil(durationMs / 1000),
        acquireTime: same ? before.acquireTime || now : now,
        renewTime: now,
        leaseTransitions: (before?.leaseTransitions ?? -1) + (same ? 0 : 1),
      },
    };
  }
}

interface LeaseSpec {
  readonly holderIdentity: string;
  readonly renewTime: string;
  readonly acquireTime: string;
  readonly leaseTransitions: number;
}

function specOf(lease: RawObject): LeaseSpec {
  const spec = specRecord(lease);
  const text = (name: string): string => (typeof spec[name] === 'string' ? spec[name] : '');
  const { leaseTransitions } = spec;
  return {
    holderIdentity: text('holderIdentity'),
    renewTime: text('renewTime'),
    acquireTime: text('acquireTime'),
    leaseTransitions: typeof leaseTransitions === 'number' ? leaseTransitions : 0,
  };
}

function specRecord(lease: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return isRecord(lease['spec']) ? lease['spec'] : {};
}

/** MicroTime of the API: RFC 3339 with six digits. */
export function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}
