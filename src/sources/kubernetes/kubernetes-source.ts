/** Objects from an API server. The first change holds everything; later ones what happened in one turn of the event loop. */
import type { ConfigMap } from '../../apis/config-map.ts';
import { apiVersionOf } from '../../apis/kind.ts';
import { meshConfigOf } from '../../apis/mesh-config-parse.ts';
import { objectKey, type ConfigObject } from '../../apis/object.ts';
import type { Problem } from '../../apis/problem.ts';
import type { BackoffOptions } from '../../kubernetes/backoff.ts';
import { systemClock, type Clock } from '../../kubernetes/clock.ts';
import { Discovery } from '../../kubernetes/discovery.ts';
import type { Change, HeldKey } from '../../kubernetes/held.ts';
import { ListWatch, type ListWatchFault, type ListWatchLimits } from '../../kubernetes/listwatch.ts';
import { isRecord, type RawObject } from '../../kubernetes/list.ts';
import type { Transport } from '../../kubernetes/transport.ts';
import type { ObjectSink, ObjectSource, ObservedObjects, SourceLogger } from '../source.ts';
import { Inventory } from './inventory.ts';
import { NamespaceSelection, type LabelSelector } from './selection.ts';
import { RevisionSelection, revisionLabel, tagLabel } from './revision.ts';
import { isBuiltIn, isTags, metadataAccept, pathOf, remoteStreams, type Stream, streamsOf } from './streams.ts';

export interface KubernetesSourceOptions {
  readonly transport: Transport;
  /** Id of a remote cluster: what is read of it is what its endpoints are made of, and its objects have the id in their origin. */
  readonly cluster?: string;
  /** Where ConfigMap `istio` is. Default `istio-system`. */
  readonly rootNamespace?: string;
  /** Which of several control planes reads: configuration of others is left out. Default `default`. */
  readonly revision?: string;
  /** In place of those of ConfigMap `istio`; a remote cluster's are given it by whoever reads that. */
  readonly discoverySelectors?: readonly LabelSelector[];
  /** Those of ConfigMap `istio`, whenever they change. */
  readonly onDiscoverySelectors?: (selectors: readonly LabelSelector[]) => void;
  /** What is wrong at present with any of the collections, after each change of it. */
  readonly onFaults?: (faults: readonly CollectionFault[]) => void;
  readonly logger?: SourceLogger;
  readonly clock?: Clock;
  readonly limits?: Partial<ListWatchLimits>;
  readonly backoff?: BackoffOptions;
}

export interface CollectionFault extends ListWatchFault {
  /** `pods`. */
  readonly collection: string;
  /** What to grant where permission is missing: `endpointslices.discovery.k8s.io`. */
  readonly resource: string;
}

type Raw = Record<string, unknown>;

interface Watched {
  readonly stream: Stream;
  readonly watch: ListWatch<Raw>;
  /** As its objects are read at present. */
  apiVersion: string;
  fault: ListWatchFault | undefined;
}

/** Namespaces that come together, as in an installation, cost one list. */
const relistAfterMs = 50;
/** When more come together, a list of all is less work for the server than one for each. */
const maxNamespaceLists = 8;

export class KubernetesSource implements ObjectSource {
  readonly ready: Promise<void>;
  private readonly options: KubernetesSourceOptions;
  private readonly clock: Clock;
  private readonly discovery: Discovery;
  private readonly inventory: Inventory;
  private readonly selection = new NamespaceSelection();
  private readonly revision: RevisionSelection;
  /** Objects of which it is not known whether they are of this revision, as they were read. */
  private readonly undecided = new Map<string, { readonly watched: Watched; readonly raw: Raw }>();
  private readonly watched: readonly Watched[];
  private readonly unsynced: Set<Watched>;
  private sink: ObjectSink | undefined;
  private loaded = false;
  private cancelDelivery: (() => void) | undefined;
  private cancelRelist: (() => void) | undefined;
  private readonly toRelist = new Set<Watched>();
  /** Namespaces that are selected now and were not. */
  private readonly toRead = new Set<string>();
  private readonly resolveReady: () => void;
  private readonly rejectReady: (error: unknown) => void;
  /** Called when namespaces and mesh configuration are known: what is read of the others depends on both. */
  private selectionKnown: () => void = () => {};

  constructor(options: KubernetesSourceOptions) {
    this.options = options;
    this.clock = options.clock ?? systemClock;
    this.discovery = new Discovery({ transport: options.transport, clock: this.clock });
    this.inventory = new Inventory(options.cluster);
    if (options.discoverySelectors !== undefined) this.selection.setSelectors(options.discoverySelectors);
    const { rootNamespace = 'istio-system', revision = 'default' } = options;
    this.revision = new RevisionSelection(revision);
    const streams = options.cluster === undefined ? streamsOf(rootNamespace, revision) : remoteStreams();
    this.watched = streams.map((stream) => this.watchOf(stream));
    this.unsynced = new Set(this.watched);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ready = promise;
    this.resolveReady = resolve;
    this.rejectReady = reject;
    // `run` rejects with the same error; who does not wait for `ready` shall not be told twice.
    promise.catch(() => {});
  }

  get observed(): ObservedObjects {
    return this.inventory.observed;
  }

  waitingFor(): readonly string[] {
    if (this.loaded) return [];
    const reading = [...this.unsynced].filter(({ fault }) => fault === undefined).map(({ stream }) => stream.name);
    const faults = [...this.unsynced].flatMap(({ stream, fault }) => (fault === undefined ? [] : [sayFault(stream, fault)]));
    return reading.length === 0 ? faults : [...faults, `still to be read: ${reading.join(', ')}`];
  }

  /** Of a remote cluster none: whoever has its credential is told, by `onFaults`. */
  problems(): readonly Problem[] {
    if (this.options.cluster !== undefined) return [];
    return this.watched.flatMap(({ stream, fault }) => problemOf(stream, fault));
  }

  async run(sink: ObjectSink, signal: AbortSignal): Promise<void> {
    this.sink = sink;
    const stop = new AbortController();
    const within = AbortSignal.any([signal, stop.signal]);
    const known = new Promise<void>((resolve) => (this.selectionKnown = resolve));
    const first = this.watched.filter(decidesSelection);
    const others = this.watched.filter((watched) => !decidesSelection(watched));
    const start = (watched: Watched): Promise<void> => watched.watch.run(within);
    const stopped = new Promise<void>((resolve) => within.addEventListener('abort', () => resolve(), { once: true }));
    const later = Promise.race([known, stopped]).then(() => (within.aborted ? [] : Promise.all(others.map(start))));
    try {
      await Promise.all([...first.map(start), later]);
    } catch (error) {
      this.rejectReady(error);
      throw error;
    } finally {
      stop.abort();
      this.cancelDelivery?.();
      this.cancelRelist?.();
      this.rejectReady(new Error('reading the cluster was stopped before its first load'));
    }
  }

  /** From now on, for a source that was given its selectors. */
  setDiscoverySelectors(selectors: readonly LabelSelector[]): void {
    if (this.selection.setSelectors(selectors)) this.readAnew();
  }

  private watchOf(stream: Stream): Watched {
    const { transport, limits, backoff } = this.options;
    const watched: Watched = {
      stream,
      apiVersion: apiVersionOf(stream.kind),
      fault: undefined,
      watch: new ListWatch<Raw>({
        transport,
        clock: this.clock,
        resolve: async () => {
          const version = isBuiltIn(stream.kind) ? stream.kind.versions[0] : await this.discovery.servedVersion(stream.kind);
          if (version === undefined) return undefined;
          watched.apiVersion = apiVersionOf(stream.kind, version);
          return {
            path: pathOf(stream, version),
            ...(stream.fieldSelector !== undefined && { fieldSelector: stream.fieldSelector }),
            ...(stream.labelSelector !== undefined && { labelSelector: stream.labelSelector }),
            ...(stream.metadataOnly === true && metadataAccept),
          };
        },
        trim: (object) => (this.wants(stream, object) ? stream.trim(object) : undefined),
        onChange: (change) => this.changed(watched, change),
        onFault: (fault) => this.faulted(watched, fault),
        ...(limits !== undefined && { limits }),
        ...(backoff !== undefined && { backoff }),
      }),
    };
    return watched;
  }

  private wants(stream: Stream, object: RawObject): boolean {
    if (stream.ofRevision === true) {
      const labels = labelsOf(object.metadata);
      if (!this.revision.has(labels) && this.revision.undecided(labels) === undefined) return false;
    }
    return stream.namespace !== undefined || this.selection.has(object.metadata.namespace ?? '');
  }

  private changed(watched: Watched, change: Change<Raw>): void {
    const { stream } = watched;
    if (isTags(stream)) {
      this.setTags(change);
      this.synced(watched);
      return;
    }
    for (const [key, raw] of change.upserts) this.put(watched, key, raw);
    for (const key of change.deletes) {
      this.undecided.delete(`${stream.name} ${key}`);
      const slash = key.indexOf('/');
      const gone = this.inventory.delete(stream, key.slice(0, slash), key.slice(slash + 1));
      if (gone !== undefined) this.deselectBy(gone);
    }
    this.synced(watched);
    this.schedule();
  }

  private put(watched: Watched, key: HeldKey, raw: Raw): void {
    const { stream, apiVersion } = watched;
    const tag = stream.ofRevision === true ? this.revision.undecided(labelsOf(raw['metadata'])) : undefined;
    if (tag === undefined) this.undecided.delete(`${stream.name} ${key}`);
    else this.undecided.set(`${stream.name} ${key}`, { watched, raw });
    this.selectBy(this.inventory.put(stream, apiVersion, raw, tag));
  }

  /** Those that are ours are read as all others; those that are not go with the next list. */
  private decide(): void {
    for (const [key, { watched, raw }] of [...this.undecided]) {
      this.undecided.delete(key);
      if (this.revision.has(labelsOf(raw['metadata']))) this.inventory.put(watched.stream, watched.apiVersion, raw);
    }
    this.schedule();
  }

  private synced(watched: Watched): void {
    if (!this.unsynced.delete(watched)) return;
    if (![...this.unsynced].some(decidesSelection)) this.selectionKnown();
    this.schedule();
  }

  private setTags(change: Change<Raw>): void {
    const first = this.revision.tagsRead();
    let changed = first;
    for (const [key, { metadata }] of change.upserts) {
      const { [tagLabel]: tag, [revisionLabel]: revision } = labelsOf(metadata);
      const known = typeof tag === 'string' && typeof revision === 'string';
      if (this.revision.setTag(key, known ? { tag, revision } : undefined)) changed = true;
    }
    for (const key of change.deletes) if (this.revision.setTag(key, undefined)) changed = true;
    if (first) this.decide();
    if (changed) this.readAnew((stream) => stream.ofRevision === true);
  }

  private selectBy(object: ConfigObject | undefined): void {
    if (object?.kind === 'Namespace' && this.selection.setLabels(object.name, object.labels)) this.namespaceSelected(object.name);
    if (object?.kind === 'ConfigMap') this.selectors(object as ConfigMap);
  }

  private deselectBy(object: ConfigObject): void {
    if (object.kind === 'Namespace' && this.selection.setLabels(object.name, undefined)) this.namespaceSelected(object.name);
    if (object.kind === 'ConfigMap') this.selectors(undefined);
  }

  /** A mesh configuration with an error in it leaves the last good one in force. */
  private selectors(object: ConfigMap | undefined): void {
    if (this.options.discoverySelectors !== undefined) return;
    const parsed = object === undefined ? undefined : meshConfigOf(object);
    if (parsed?.valid === false) return;
    const selectors = parsed?.config.discoverySelectors ?? [];
    this.setDiscoverySelectors(selectors);
    this.options.onDiscoverySelectors?.(selectors);
  }

  /** It is selected, or no longer. */
  private namespaceSelected(namespace: string): void {
    if (this.isSelecting()) return;
    if (this.selection.has(namespace)) {
      this.toRead.add(namespace);
      this.readSoon();
      return;
    }
    this.toRead.delete(namespace);
    for (const { stream, watch } of this.watched) if (isSelected(stream)) watch.dropNamespace(namespace);
  }

  /** What was left out on arrival is nowhere: only a list brings it. */
  private readAnew(which: (stream: Stream) => boolean = isSelected): void {
    if (this.isSelecting()) return;
    for (const watched of this.watched) if (which(watched.stream)) this.toRelist.add(watched);
    this.readSoon();
  }

  /** What is read is not yet known, and nothing of it is read. */
  private isSelecting(): boolean {
    return [...this.unsynced].some(decidesSelection);
  }

  private readSoon(): void {
    this.cancelRelist ??= this.clock.after(relistAfterMs, () => {
      this.cancelRelist = undefined;
      const all = this.toRead.size > maxNamespaceLists;
      for (const watched of this.watched) {
        if (this.toRelist.has(watched) || (all && isSelected(watched.stream))) watched.watch.relist();
        else if (isSelected(watched.stream)) for (const namespace of this.toRead) watched.watch.readNamespace(namespace);
      }
      this.toRelist.clear();
      this.toRead.clear();
    });
  }

  private faulted(watched: Watched, fault: ListWatchFault | undefined): void {
    const { stream } = watched;
    watched.fault = fault;
    const unread = this.unsynced.has(watched);
    // Of everything else a lack would be served: routes that are missing, or denials.
    if (fault?.type === 'refused' && stream.optional === true) this.synced(watched);
    const { cluster, onFaults } = this.options;
    const fields = {
      ...(cluster !== undefined && { cluster }),
      collection: stream.name,
      ...(fault?.status !== undefined && { status: fault.status }),
    };
    const waits = cluster === undefined ? 'this replica is not ready before it is' : 'nothing of the cluster is known yet';
    const goesOn = unread ? 'the rest goes on without it' : 'what was last read stays in force';
    const consequence = this.unsynced.has(watched) ? waits : goesOn;
    if (fault === undefined) this.options.logger?.info(fields, 'read again');
    else if (fault.type === 'not-served') this.options.logger?.info(fields, 'not served by the API server; waiting for it');
    else this.options.logger?.warn({ ...fields, reason: sayFault(stream, fault) }, `cannot be read; ${consequence}`);
    onFaults?.(this.watched.flatMap((one) => (one.fault === undefined ? [] : [{ ...one.fault, ...namesOf(one.stream) }])));
    this.schedule();
  }

  private schedule(): void {
    if (this.unsynced.size > 0) return;
    this.cancelDelivery ??= this.clock.after(0, () => this.deliver());
  }

  private deliver(): void {
    this.cancelDelivery = undefined;
    const { upserts, deletes, problems } = this.inventory.takeChange();
    this.options.logger?.debug({ upserts: upserts.length, deletes: deletes.length, problemsOf: problems.size }, 'read from the cluster');
    this.sink?.apply({ upserts, deletes, problems: new Map([['collections', this.problems()], ...problems]) });
    if (this.loaded) return;
    this.loaded = true;
    this.resolveReady();
  }
}

/** Of its objects only those in selected namespaces are read. */
function isSelected({ kind, namespace }: Stream): boolean {
  return kind.scope === 'Namespaced' && namespace === undefined;
}

function decidesSelection({ stream }: Watched): boolean {
  return stream.kind.kind === 'Namespace' || stream.kind.kind === 'ConfigMap' || isTags(stream);
}

function labelsOf(metadata: unknown): Readonly<Record<string, unknown>> {
  return isRecord(metadata) && isRecord(metadata['labels']) ? metadata['labels'] : {};
}

function namesOf({ name, kind }: Stream): { readonly collection: string; readonly resource: string } {
  return { collection: name, resource: kind.group === '' ? kind.plural : `${kind.plural}.${kind.group}` };
}

/** Only what somebody can do something about: a server that is away comes back. */
function problemOf(stream: Stream, fault: ListWatchFault | undefined): Problem[] {
  if (fault?.type !== 'refused') return [];
  const object = objectKey(stream.kind.kind, stream.namespace ?? '', '');
  return [{ object, path: '', reason: 'Refused', severity: 'error', message: sayFault(stream, fault) }];
}

function sayFault(stream: Stream, fault: ListWatchFault): string {
  if (fault.type !== 'refused') return `${stream.name}: ${fault.message}`;
  const grant = fault.status === 403 ? `; grant get, list and watch on ${namesOf(stream).resource}` : '';
  return `the API server refuses ${stream.name}: ${fault.message}${grant}`;
}
