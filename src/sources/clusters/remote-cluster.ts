/**
 * One remote cluster: the connection that is read, the one that is to follow it, and what is held of the cluster. A connection by a new kubeconfig takes over
 * when it has read everything once; until then, and whatever becomes of it, nothing that is held goes. Only removing the cluster removes its objects.
 */
import { keyOf, type ConfigObject, type ObjectKey } from '../../apis/object.ts';
import type { Problem } from '../../apis/problem.ts';
import type { BackoffOptions } from '../../kubernetes/backoff.ts';
import type { Clock } from '../../kubernetes/clock.ts';
import type { ListWatchLimits } from '../../kubernetes/listwatch.ts';
import type { Transport } from '../../kubernetes/transport.ts';
import type { UntrustedAccess } from '../../kubernetes/untrusted-kubeconfig.ts';
import { sameContent } from '../kubernetes/inventory.ts';
import { KubernetesSource, type CollectionFault } from '../kubernetes/kubernetes-source.ts';
import type { LabelSelector } from '../kubernetes/selection.ts';
import type { ObjectChange, SourceLogger } from '../source.ts';
import { secretKey, type RemoteSecret, type WantedCluster } from './remote-secrets.ts';

export interface RemoteClusterOptions {
  readonly id: string;
  readonly connect: (access: UntrustedAccess) => Transport;
  readonly selectors: () => readonly LabelSelector[];
  /** What has changed of the cluster's objects, with their problems. */
  readonly onChange: (change: ObjectChange) => void;
  /** Its status or its problems. */
  readonly onStatus: () => void;
  readonly onTimeout: () => void;
  /** Collections that cannot be read now. */
  readonly onStale: (collections: readonly string[]) => void;
  /** So long a start waits for it. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Time of day in ms. */
  readonly wallClock: () => number;
  readonly logger?: SourceLogger;
  readonly limits?: Partial<ListWatchLimits>;
  readonly backoff?: BackoffOptions;
}

/** `synced`: everything was read once. `timeout`: it was not, and nobody waits for it any more. */
export type SyncStatus = 'synced' | 'syncing' | 'timeout';

export interface ClusterStatus {
  readonly id: string;
  /** `namespace/name`. */
  readonly secret: string;
  readonly server: string;
  readonly syncStatus: SyncStatus;
  /** What is wrong with it now. */
  readonly fault?: string;
  /** Time of day in ms since which status and whether there is a fault are as they are. */
  readonly since: number;
}

interface Connection {
  readonly kubeconfig: string;
  readonly server: string;
  readonly transport: Transport;
  readonly verified: boolean;
  readonly source: KubernetesSource;
  readonly stop: AbortController;
  faults: readonly CollectionFault[];
  /** A fault of ours. */
  broken: boolean;
}

/** After a fault of ours, which would most likely happen again at once. */
const restartMs = 10_000;

export class RemoteCluster {
  /** Everything was read, or nobody waits for it any more. */
  readonly settled: Promise<void>;
  private readonly options: RemoteClusterOptions;
  private readonly settle: () => void;
  private readonly held = new Map<ObjectKey, ConfigObject>();
  private readonly running = new Set<Promise<void>>();
  private readonly cancels = new Set<() => void>();
  private wanted: WantedCluster;
  /** Where something is said of its objects now. */
  private readonly places = new Set<string>();
  private current: Connection | undefined;
  /** Reads for the first time. */
  private next: Connection | undefined;
  private loaded = false;
  private timedOut = false;
  private stopped = false;
  private state = '';
  private sinceMs = 0;

  constructor(options: RemoteClusterOptions, wanted: WantedCluster) {
    this.options = options;
    this.wanted = wanted;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.settled = promise;
    this.settle = resolve;
    this.later(options.timeoutMs, () => this.timeOut());
    this.update(wanted);
  }

  get isLoaded(): boolean {
    return this.loaded;
  }

  /** To the API server of the cluster; undefined while no kubeconfig was of use. */
  get transport(): Transport | undefined {
    return (this.current ?? this.next)?.transport;
  }

  /** See `UntrustedAccess.verified`. */
  get verified(): boolean {
    return (this.current ?? this.next)?.verified === true;
  }

  update(wanted: WantedCluster): void {
    this.wanted = wanted;
    const { access, kubeconfig } = wanted;
    if (access === undefined) {
      if (this.transport === undefined) this.settle();
    } else if (this.next?.kubeconfig !== kubeconfig) {
      this.drop(this.next);
      this.next = undefined;
      if (this.current?.kubeconfig !== kubeconfig) this.next = this.open(kubeconfig, access);
    }
    this.tell();
  }

  setDiscoverySelectors(selectors: readonly LabelSelector[]): void {
    this.current?.source.setDiscoverySelectors(selectors);
    this.next?.source.setDiscoverySelectors(selectors);
  }

  /** Takes its objects out at once; resolves when all connections are closed. */
  async remove(): Promise<void> {
    this.close();
    const deletes = [...this.held.keys()];
    this.held.clear();
    this.options.onChange({ upserts: [], deletes, problems: this.problemsOfObjects(new Map(), true) });
    await Promise.all(this.running);
  }

  /** Leaves its objects where they are. */
  async stop(): Promise<void> {
    this.close();
    await Promise.all(this.running);
  }

  private close(): void {
    this.stopped = true;
    this.drop(this.current);
    this.drop(this.next);
    for (const cancel of this.cancels) cancel();
    this.settle();
  }

  status(): ClusterStatus {
    const { id, secret } = this.wanted;
    const fault = this.fault();
    return {
      id,
      secret: `${secret.namespace}/${secret.name}`,
      server: (this.current ?? this.next)?.server ?? '',
      syncStatus: this.loaded ? 'synced' : this.timedOut ? 'timeout' : 'syncing',
      ...(fault !== undefined && { fault }),
      since: this.sinceMs,
    };
  }

  /** Of the cluster; those of its objects come with their changes. */
  problems(): readonly Problem[] {
    const fault = this.fault();
    if (fault === undefined || this.wanted.access === undefined) return [];
    const { id, secret } = this.wanted;
    const since = new Date(this.sinceMs).toISOString();
    const consequence = this.loaded ? 'what was last read of it stays in force' : 'it has no endpoints yet';
    return [problemOf(secret, id, `cluster ${id} ${fault}, since ${since}; ${consequence}`, this.loaded)];
  }

  private fault(): string | undefined {
    const { current, next } = this;
    const ofNext = next === undefined ? undefined : faultText(next);
    if (current === undefined) return ofNext ?? (this.wanted.access === undefined ? 'has no kubeconfig that can be used' : undefined);
    const ofCurrent = faultText(current);
    if (ofNext === undefined) return ofCurrent;
    return `${ofNext}, with the new kubeconfig${ofCurrent === undefined ? ', so that the earlier one stays in use' : `, and ${ofCurrent} with the earlier one`}`;
  }

  private open(kubeconfig: string, access: UntrustedAccess): Connection {
    const { id, clock, logger, limits, backoff } = this.options;
    const transport = this.options.connect(access);
    const source = new KubernetesSource({
      transport,
      cluster: id,
      discoverySelectors: this.options.selectors(),
      onFaults: (faults) => {
        connection.faults = faults;
        if (connection === (this.current ?? this.next)) this.tellStale(connection);
        this.tell();
      },
      clock,
      ...(logger !== undefined && { logger }),
      ...(limits !== undefined && { limits }),
      ...(backoff !== undefined && { backoff }),
    });
    const connection: Connection = {
      kubeconfig,
      server: access.server,
      transport,
      verified: access.verified,
      source,
      stop: new AbortController(),
      faults: [],
      broken: false,
    };
    const running = source
      .run({ apply: (change) => this.apply(connection, change) }, connection.stop.signal)
      .catch((error: unknown) => this.failed(connection, access, error))
      .finally(() => this.running.delete(running));
    this.running.add(running);
    return connection;
  }

  private drop(connection: Connection | undefined): void {
    connection?.stop.abort();
  }

  /** What is held does not go for a fault of ours either. */
  private failed(connection: Connection, access: UntrustedAccess, error: unknown): void {
    if (connection.stop.signal.aborted) return;
    this.options.logger?.error({ cluster: this.options.id, err: error }, 'fault while a remote cluster was read; it is read anew');
    connection.broken = true;
    this.tell();
    this.later(restartMs, () => {
      if (this.next !== connection && (this.next !== undefined || this.current !== connection)) return;
      this.next = this.open(connection.kubeconfig, access);
    });
  }

  private apply(connection: Connection, change: ObjectChange): void {
    if (this.stopped || (connection !== this.current && connection !== this.next)) return;
    const deletes = new Set(change.deletes);
    const takesOver = connection === this.next;
    if (takesOver) {
      // The first change holds everything: what is not in it is gone.
      for (const key of this.held.keys()) deletes.add(key);
      for (const object of change.upserts) deletes.delete(keyOf(object));
      // What can no longer be read is there all the same: its last good version stays.
      for (const { object } of [...change.problems.values()].flat()) deletes.delete(object);
      this.drop(this.current);
      this.current = connection;
      this.next = undefined;
      this.loaded = true;
      this.tellStale(connection);
    }
    const upserts = change.upserts.filter((object) => {
      const before = this.held.get(keyOf(object));
      return before === undefined || !sameContent(before, object);
    });
    for (const object of upserts) this.held.set(keyOf(object), object);
    for (const key of deletes) this.held.delete(key);
    if (takesOver) {
      const figures = { objects: this.held.size, changed: upserts.length, deleted: deletes.size };
      this.options.logger?.info({ cluster: this.options.id, server: connection.server, ...figures }, 'remote cluster was read');
    }
    this.options.onChange({ upserts, deletes: [...deletes], problems: this.problemsOfObjects(change.problems, takesOver) });
    this.tell();
    this.settle();
  }

  /** The places of a cluster are its own. `all`: of what is not in it nothing is said any more. */
  private problemsOfObjects(problems: ObjectChange['problems'], all: boolean): ObjectChange['problems'] {
    const told = new Map<string, readonly Problem[]>();
    if (all) for (const place of this.places) told.set(place, []);
    for (const [name, list] of problems) told.set(`cluster ${this.options.id} ${name}`, list);
    for (const [place, list] of told) {
      if (list.length === 0) this.places.delete(place);
      else this.places.add(place);
    }
    return told;
  }

  private timeOut(): void {
    if (this.loaded) return;
    this.timedOut = true;
    const { id, logger, timeoutMs } = this.options;
    logger?.warn(
      { cluster: id, waitedMs: timeoutMs, reason: this.fault() },
      'a remote cluster was not read in time; it follows when it can',
    );
    this.options.onTimeout();
    this.tell();
    this.settle();
  }

  private tellStale({ faults }: Connection): void {
    if (!this.stopped) this.options.onStale(staleOf(faults));
  }

  private tell(): void {
    const { syncStatus, fault } = this.status();
    const state = `${syncStatus} ${fault === undefined}`;
    if (state !== this.state) {
      this.state = state;
      this.sinceMs = this.options.wallClock();
    }
    if (!this.stopped) this.options.onStatus();
  }

  private later(ms: number, task: () => void): void {
    const cancel = this.options.clock.after(ms, () => {
      this.cancels.delete(cancel);
      task();
    });
    this.cancels.add(cancel);
  }
}

function problemOf(secret: RemoteSecret, id: string, message: string, held: boolean): Problem {
  return {
    object: secretKey(secret),
    path: `data["${id}"]`,
    reason: 'Unreachable',
    severity: held ? 'warning' : 'error',
    message,
    origin: { resourceVersion: secret.resourceVersion },
  };
}

/** One sentence for all collections: they mostly fail together. */
function faultText({ faults, broken }: Connection): string | undefined {
  if (broken) return 'cannot be read for a fault of mizzen, which its log tells';
  const refused = faults.filter((fault) => fault.type === 'refused');
  const first = refused[0] ?? faults[0];
  if (first === undefined) return undefined;
  if (refused.length === 0) return `cannot be read: ${first.message}`;
  const names = [...new Set(refused.map((fault) => fault.collection))].join(', ');
  const resources = [...new Set(refused.map((fault) => fault.resource))].join(', ');
  const remedy =
    first.status === 403
      ? `; grant get, list and watch on ${resources}`
      : first.status === 401
        ? '; renew the credential in its kubeconfig'
        : '';
  return `refuses ${names}: ${first.message}${remedy}`;
}

/** Of a kind that is not installed there is nothing to be read. */
export function staleOf(faults: readonly CollectionFault[]): string[] {
  return faults.filter(({ type }) => type !== 'not-served').map(({ collection }) => collection);
}
