/** Replicas that know of each other by Leases: each renews its own and watches those of all. */
import type { KubernetesApi, ObjectRef } from '../kubernetes/api.ts';
import { pause, type Clock } from '../kubernetes/clock.ts';
import type { Change } from '../kubernetes/held.ts';
import { ListWatch } from '../kubernetes/listwatch.ts';
import { isRecord, type RawObject } from '../kubernetes/list.ts';
import type { Transport } from '../kubernetes/transport.ts';
import type { Controller } from './controller.ts';
import {
  readRecord,
  recordBody,
  recordName,
  replicaLabel,
  revisionLabel,
  type ReplicaIdentity,
  type ReplicaRecord,
} from './replica-lease.ts';
import { checkPublished, type Replica, type Replicas, type ReplicaState } from './replicas.ts';

export interface ReplicaRecordsOptions {
  readonly identity: ReplicaIdentity;
  readonly transport: Transport;
  readonly api: Pick<KubernetesApi, 'apply' | 'delete'>;
  readonly clock: Clock;
  /** Milliseconds since 1970, for the times that people read. */
  readonly wallClock: () => number;
  /** What this replica says of itself, asked at each renewal. */
  readonly state: () => ReplicaState;
  /** Between renewals. Default 5 s. */
  readonly renewMs?: number;
  /** One that was not renewed for so long is not live. Default 15 s. */
  readonly durationMs?: number;
  /** The leader deletes a record that was not renewed for so long. Default 60 s. */
  readonly forgetMs?: number;
  /** Between two writes. Default 1 s. */
  readonly settleMs?: number;
  readonly onFault?: (error: unknown) => void;
}

interface Seen extends ReplicaRecord {
  readonly lease: string;
  readonly revision: string;
  readonly resourceVersion: string;
  readonly atMs: number;
  live: boolean;
}

export class ReplicaRecords implements Replicas {
  readonly #options: ReplicaRecordsOptions;
  readonly #ref: ObjectRef;
  readonly #data = new Map<string, string>();
  readonly #handlers = new Set<() => void>();
  /** By name of the Lease. */
  readonly #seen = new Map<string, Seen>();
  /** Since when what is seen of the others tells about them: after an outage of the API server all have a whole duration again. */
  #judgedFromMs = -Infinity;
  #ownSeenMs = -Infinity;
  #current = false;
  #wake: () => void = () => {};
  #dirty = true;

  constructor(options: ReplicaRecordsOptions) {
    this.#options = options;
    this.#ref = {
      apiVersion: 'coordination.k8s.io/v1',
      plural: 'leases',
      namespace: options.identity.namespace,
      name: recordName(options.identity),
    };
  }

  get self(): string {
    return this.#options.identity.replica;
  }

  get current(): boolean {
    return this.#current;
  }

  publish(key: string, value: string | undefined): void {
    checkPublished(key, value);
    if (this.#data.get(key) === value) return;
    if (value === undefined) this.#data.delete(key);
    else this.#data.set(key, value);
    this.stateChanged();
    this.#changed();
  }

  /** What `state` answers has changed: it is written within about a second. */
  stateChanged(): void {
    this.#dirty = true;
    this.#wake();
  }

  list(): readonly Replica[] {
    return this.#listed(({ revision }) => revision === this.#options.identity.revision);
  }

  /** Those of all revisions in the namespace: what control planes side by side share concerns the proxies of each. */
  listAll(): readonly Replica[] {
    return this.#listed(() => true);
  }

  #listed(counts: (seen: Seen) => boolean): readonly Replica[] {
    const own: Replica = { ...this.#options.state(), name: this.self, live: true, data: Object.fromEntries(this.#data) };
    const others = [...this.#seen.values()].filter((seen) => seen.replica.name !== this.self && counts(seen));
    return [own, ...others.map(({ replica, live }): Replica => ({ ...replica, live }))].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  onChange(handler: () => void): () => void {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  /** Renews the record and watches all until the signal; then deletes it, so that nobody counts on this replica any more. */
  async run(signal: AbortSignal): Promise<void> {
    const { transport, clock, onFault } = this.#options;
    const { namespace } = this.#options.identity;
    const path = `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/leases`;
    const watch = new ListWatch<Omit<Seen, 'atMs' | 'live'>>({
      transport,
      clock,
      resolve: async () => ({ path, labelSelector: `${replicaLabel}=true` }),
      trim: (lease) => trim(lease),
      onChange: (change) => this.#take(change),
      onFault: (fault) => fault !== undefined && onFault?.(new Error(`the records of the replicas cannot be read: ${fault.message}`)),
    });
    await Promise.all([watch.run(signal), this.#renewing(signal), this.#judging(signal)]);
    await this.#remove();
  }

  /** Deletes the records of replicas that are gone and had no pod to go with. For the leader. */
  get cleaner(): Controller {
    const { clock, api, durationMs = 15_000, forgetMs = 60_000, onFault } = this.#options;
    return {
      name: 'replica records',
      run: async (signal) => {
        while (!signal.aborted) {
          await pause(clock, durationMs, signal);
          for (const { replica, lease, revision, resourceVersion, atMs } of this.#seen.values()) {
            if (signal.aborted || !this.#current) break;
            if (revision !== this.#options.identity.revision) continue;
            if (replica.name === this.self || clock.now() - Math.max(atMs, this.#judgedFromMs) < forgetMs) continue;
            // Renewed at this very moment: another version, and it stays.
            await api.delete({ ...this.#ref, name: lease }, signal, resourceVersion).catch((error: unknown) => onFault?.(error));
          }
        }
      },
    };
  }

  async #renewing(signal: AbortSignal): Promise<void> {
    const { clock, renewMs = 5_000, settleMs = 1_000 } = this.#options;
    while (!signal.aborted) {
      this.#dirty = false;
      await this.#renew(signal);
      await pause(clock, settleMs, signal);
      if (this.#dirty) continue;
      const woken = new AbortController();
      this.#wake = () => woken.abort();
      await pause(clock, renewMs - settleMs, AbortSignal.any([signal, woken.signal]));
      this.#wake = () => {};
    }
  }

  /** By a clock of its own: a write that gets no answer holds up nothing. */
  async #judging(signal: AbortSignal): Promise<void> {
    const { clock, settleMs = 1_000 } = this.#options;
    while (!signal.aborted) {
      await pause(clock, settleMs, signal);
      this.#judge();
    }
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { api, identity, state, wallClock, durationMs = 15_000, onFault } = this.#options;
    try {
      await api.apply(this.#ref, recordBody(identity, state(), this.#data, wallClock(), durationMs), signal);
    } catch (error) {
      this.#dirty = true;
      if (!signal.aborted) onFault?.(error);
    }
  }

  async #remove(): Promise<void> {
    try {
      await this.#options.api.delete(this.#ref, AbortSignal.timeout(2_000));
    } catch (error) {
      this.#options.onFault?.(error);
    }
  }

  #take(change: Change<Omit<Seen, 'atMs' | 'live'>>): void {
    const now = this.#options.clock.now();
    const { durationMs = 15_000 } = this.#options;
    for (const [, record] of change.upserts) {
      const before = this.#seen.get(record.lease);
      const renewed = before?.mark !== record.mark;
      this.#seen.set(record.lease, { ...record, atMs: renewed ? now : before.atMs, live: renewed || before.live });
      if (record.lease !== this.#ref.name || !renewed) continue;
      if (now - this.#ownSeenMs >= durationMs) this.#judgedFromMs = now;
      this.#ownSeenMs = now;
    }
    for (const key of change.deletes) this.#seen.delete(key.slice(key.indexOf('/') + 1));
    this.#judge();
    this.#changed();
  }

  /** Who is live, by what was seen; while own renewals do not come back nothing new is known of anybody. */
  #judge(): void {
    const { clock, durationMs = 15_000 } = this.#options;
    const now = clock.now();
    const current = now - this.#ownSeenMs < durationMs;
    let changed = current !== this.#current;
    this.#current = current;
    if (current) {
      for (const seen of this.#seen.values()) {
        const live = now - Math.max(seen.atMs, this.#judgedFromMs) < durationMs;
        changed ||= live !== seen.live;
        seen.live = live;
      }
    }
    if (changed) this.#changed();
  }

  #changed(): void {
    for (const handler of this.#handlers) handler();
  }
}

function trim(lease: RawObject): Omit<Seen, 'atMs' | 'live'> | undefined {
  const record = readRecord(lease);
  if (record === undefined) return undefined;
  const { name, resourceVersion, labels } = lease.metadata;
  const revision = isRecord(labels) ? labels[revisionLabel] : undefined;
  return { ...record, lease: name, resourceVersion, revision: typeof revision === 'string' ? revision : 'default' };
}
