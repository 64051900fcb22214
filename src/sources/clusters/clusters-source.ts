/** The objects of the cluster whose configuration is read, and what makes endpoints of the remote clusters that its Secrets give access to. */
import { objectKey } from '../../apis/object.ts';
import type { Problem } from '../../apis/problem.ts';
import type { BackoffOptions } from '../../kubernetes/backoff.ts';
import { systemClock, type Clock } from '../../kubernetes/clock.ts';
import type { Change } from '../../kubernetes/held.ts';
import { HttpTransport } from '../../kubernetes/http-transport.ts';
import { ListWatch, type ListWatchFault, type ListWatchLimits } from '../../kubernetes/listwatch.ts';
import type { Transport } from '../../kubernetes/transport.ts';
import type { UntrustedAccess } from '../../kubernetes/untrusted-kubeconfig.ts';
import { KubernetesSource, type KubernetesSourceOptions } from '../kubernetes/kubernetes-source.ts';
import type { LabelSelector } from '../kubernetes/selection.ts';
import type { ObjectChange, ObjectSink, ObjectSource, ObservedObjects, SourceLogger } from '../source.ts';
import { RemoteCluster, staleOf, type ClusterStatus } from './remote-cluster.ts';
import { remoteSecretSelector, RemoteSecrets, trimRemoteSecret, type RemoteSecret } from './remote-secrets.ts';

export interface ClustersSourceOptions {
  /** How the cluster is read whose configuration counts. */
  readonly local: Omit<KubernetesSourceOptions, 'cluster' | 'onDiscoverySelectors' | 'onFaults'>;
  /** Its id, which no remote cluster may have. */
  readonly clusterId: string;
  /** How long the first load waits for remote clusters. */
  readonly remoteTimeoutMs: number;
  /** Time of day in ms. */
  readonly wallClock: () => number;
  readonly connect?: (access: UntrustedAccess) => Transport;
}

export interface ClustersListener {
  /** Remote clusters whose objects are known, after one was read for the first time or removed. */
  clusters?(ids: ReadonlySet<string>): void;
  /** A cluster was not read in time. */
  timedOut?(id: string): void;
  /** Collections of a cluster that cannot be read now, also of the one whose configuration is read. */
  stale?(id: string, collections: readonly string[]): void;
  /** A Secret that gives access to clusters has come, changed or gone. */
  secret?(event: 'add' | 'update' | 'delete'): void;
  /** No Secret names the cluster any more. */
  removed?(id: string): void;
}

export class ClustersSource implements ObjectSource {
  readonly ready: Promise<void>;
  private readonly options: ClustersSourceOptions;
  private readonly clock: Clock;
  private readonly logger: SourceLogger | undefined;
  private readonly local: KubernetesSource;
  private readonly secrets: RemoteSecrets;
  private readonly secretsWatch: ListWatch<RemoteSecret>;
  private readonly remotes = new Map<string, RemoteCluster>();
  private readonly endings = new Set<Promise<void>>();
  private readonly listeners = new Set<ClustersListener>();
  /** Remote clusters whose objects are known, as listeners were told. */
  private announced: ReadonlySet<string> = new Set();
  private selectors: readonly LabelSelector[];
  private secretProblems: readonly Problem[] = [];
  private secretsFault: ListWatchFault | undefined;
  private knowsSecrets = false;
  private secretsKnown: () => void = () => {};
  private sink: ObjectSink | undefined;
  private cancelTelling: (() => void) | undefined;
  private loaded = false;
  private readonly resolveReady: () => void;
  private readonly rejectReady: (error: unknown) => void;

  constructor(options: ClustersSourceOptions) {
    this.options = options;
    const { local, clusterId } = options;
    this.clock = local.clock ?? systemClock;
    this.logger = local.logger;
    this.selectors = local.discoverySelectors ?? [];
    this.local = new KubernetesSource({
      ...local,
      onDiscoverySelectors: (selectors) => this.select(selectors),
      onFaults: (faults) => this.tellStale(clusterId, staleOf(faults)),
    });
    this.secrets = new RemoteSecrets(clusterId);
    const limits: Partial<ListWatchLimits> = local.limits ?? {};
    const backoff: BackoffOptions = local.backoff ?? {};
    this.secretsWatch = new ListWatch<RemoteSecret>({
      transport: local.transport,
      clock: this.clock,
      resolve: async () => ({ path: `/api/v1/namespaces/${this.namespace}/secrets`, labelSelector: remoteSecretSelector }),
      trim: trimRemoteSecret,
      onChange: (change) => this.secretsChanged(change),
      onFault: (fault) => {
        this.secretsFault = fault;
        this.tellSoon();
      },
      limits,
      backoff,
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ready = promise;
    this.resolveReady = resolve;
    this.rejectReady = reject;
    // `run` rejects with the same error; who does not wait for `ready` shall not be told twice.
    promise.catch(() => {});
  }

  /** Remote clusters, by id. */
  clusters(): ClusterStatus[] {
    return [...this.remotes.values()].map((remote) => remote.status()).sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** To the API server of a remote cluster; undefined for an id that no Secret names. */
  /** Whether it is checked that the API server is that of the cluster: one that is not may not say whose a token is. */
  isVerified(id: string): boolean {
    return this.remotes.get(id)?.verified === true;
  }

  transportOf(id: string): Transport | undefined {
    return this.remotes.get(id)?.transport;
  }

  listen(listener: ClustersListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Of the cluster whose configuration is read. */
  get observed(): ObservedObjects {
    return this.local.observed;
  }

  waitingFor(): readonly string[] {
    if (this.loaded) return [];
    const local = this.local.waitingFor();
    if (local.length > 0) return local;
    if (!this.knowsSecrets) return [`Secrets of remote clusters: ${this.secretsFault?.message ?? 'still to be read'}`];
    const remotes = this.clusters().filter(({ syncStatus }) => syncStatus === 'syncing');
    return remotes.map(({ id, fault }) => `cluster ${id} ${fault ?? 'is being read'}`);
  }

  problems(): readonly Problem[] {
    return [...this.local.problems(), ...this.remoteProblems()];
  }

  async run(sink: ObjectSink, signal: AbortSignal): Promise<void> {
    this.sink = sink;
    const stop = new AbortController();
    const within = AbortSignal.any([signal, stop.signal]);
    const known = new Promise<void>((resolve) => (this.secretsKnown = resolve));
    const local = this.local.run({ apply: (change) => this.apply(change) }, within);
    try {
      await Promise.race([this.local.ready, local]);
      if (within.aborted) throw new Error('reading the cluster was stopped before its first load');
      // Mesh configuration comes first: it says which namespaces are read.
      const secrets = this.secretsWatch.run(within);
      const waited = this.waitForRemotes(known, within);
      await Promise.all([local, secrets, waited]);
    } catch (error) {
      this.rejectReady(error);
      if (!signal.aborted) throw error;
    } finally {
      stop.abort();
      this.cancelTelling?.();
      await Promise.all([...this.remotes.values()].map((remote) => remote.stop()));
      await Promise.all(this.endings);
      await local.catch(() => {});
      this.rejectReady(new Error('reading the clusters was stopped before their first load'));
    }
  }

  private get namespace(): string {
    return this.options.local.rootNamespace ?? 'istio-system';
  }

  /** Bounded also where the Secrets cannot be read, so that a start is never held up by what lies elsewhere. */
  private async waitForRemotes(known: Promise<void>, within: AbortSignal): Promise<void> {
    const { promise: limit, resolve: expire } = Promise.withResolvers<void>();
    const cancel = this.clock.after(this.options.remoteTimeoutMs, () => expire());
    within.addEventListener('abort', () => expire(), { once: true });
    await Promise.race([known, limit]);
    await Promise.race([Promise.all([...this.remotes.values()].map((remote) => remote.settled)), limit]);
    cancel();
    if (within.aborted) return;
    this.loaded = true;
    this.resolveReady();
  }

  private secretsChanged(change: Change<RemoteSecret>): void {
    for (const secret of change.upserts.values()) this.tellSecret(this.secrets.put(secret) ? 'add' : 'update');
    for (const key of change.deletes) {
      this.secrets.delete(key);
      this.tellSecret('delete');
    }
    const { clusters, problems } = this.secrets.wanted();
    this.secretProblems = problems;
    let removed = false;
    for (const [id, remote] of this.remotes) {
      if (clusters.has(id)) continue;
      this.logger?.info({ cluster: id }, 'remote cluster removed: no Secret names it any more');
      this.remotes.delete(id);
      removed = true;
      for (const listener of this.listeners) listener.removed?.(id);
      const ending = remote.remove().finally(() => this.endings.delete(ending));
      this.endings.add(ending);
    }
    for (const [id, wanted] of clusters) {
      const known = this.remotes.get(id);
      if (known === undefined) this.remotes.set(id, this.remote(wanted.id, wanted));
      else known.update(wanted);
    }
    if (removed) this.tellClusters();
    this.tellSoon();
    this.knowsSecrets = true;
    this.secretsKnown();
  }

  private remote(id: string, wanted: ConstructorParameters<typeof RemoteCluster>[1]): RemoteCluster {
    const { remoteTimeoutMs, wallClock, connect, local } = this.options;
    const { name, namespace } = wanted.secret;
    this.logger?.info({ cluster: id, secret: `${namespace}/${name}`, server: wanted.access?.server }, 'remote cluster added');
    const remote = new RemoteCluster(
      {
        id,
        connect: connect ?? connectRemote,
        selectors: () => this.selectors,
        onChange: (change) => {
          this.apply(change);
          if (remote.isLoaded && !this.announced.has(id)) this.tellClusters();
        },
        onStatus: () => this.tellSoon(),
        onStale: (collections) => this.tellStale(id, collections),
        onTimeout: () => {
          for (const listener of this.listeners) listener.timedOut?.(id);
        },
        timeoutMs: remoteTimeoutMs,
        clock: this.clock,
        wallClock,
        ...(this.logger !== undefined && { logger: this.logger }),
        ...(local.limits !== undefined && { limits: local.limits }),
        ...(local.backoff !== undefined && { backoff: local.backoff }),
      },
      wanted,
    );
    return remote;
  }

  private tellClusters(): void {
    this.announced = new Set([...this.remotes].filter(([, remote]) => remote.isLoaded).map(([id]) => id));
    for (const listener of this.listeners) listener.clusters?.(this.announced);
  }

  private tellSecret(event: 'add' | 'update' | 'delete'): void {
    for (const listener of this.listeners) listener.secret?.(event);
  }

  private tellStale(id: string, collections: readonly string[]): void {
    for (const listener of this.listeners) listener.stale?.(id, collections);
  }

  private select(selectors: readonly LabelSelector[]): void {
    this.selectors = selectors;
    for (const remote of this.remotes.values()) remote.setDiscoverySelectors(selectors);
  }

  private apply({ upserts, deletes, problems }: ObjectChange): void {
    this.sink?.apply({ upserts, deletes, problems: new Map([...problems, ['remote clusters', this.remoteProblems()]]) });
  }

  /** Collections of one cluster fail one after the other: they are told together. */
  private tellSoon(): void {
    this.cancelTelling ??= this.clock.after(0, () => {
      this.cancelTelling = undefined;
      this.apply({ upserts: [], deletes: [], problems: new Map() });
    });
  }

  /** Without those of their objects. */
  private remoteProblems(): Problem[] {
    return [...this.faultOfSecrets(), ...this.secretProblems, ...[...this.remotes.values()].flatMap((remote) => remote.problems())];
  }

  private faultOfSecrets(): Problem[] {
    if (this.secretsFault?.type !== 'refused') return [];
    const grant = this.secretsFault.status === 403 ? `; grant get, list and watch on secrets in namespace ${this.namespace}` : '';
    const message = `the API server refuses Secrets of remote clusters: ${this.secretsFault.message}${grant}`;
    return [{ object: objectKey('Secret', this.namespace, ''), path: '', reason: 'Refused', severity: 'error', message }];
  }
}

/** A page of 500 pods has about 8 MB. */
const maxAnswerBytes = 64 * 1024 * 1024;

function connectRemote({ server, options }: UntrustedAccess): Transport {
  return new HttpTransport({ server, credentials: async () => options, maxAnswerBytes });
}
