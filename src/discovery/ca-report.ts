/** What this replica's proxies have accepted of roots and certificates, for whoever leads the rotation of a root. */
import { proxyName } from '../admin/streams.ts';
import { encodeReport, fitting, laggingOf, type CaReport } from '../ca/report.ts';
import { isRotating } from '../ca/rotation.ts';
import { signerOfVersion, ownSecretName, rootSecretName } from '../ca/workload.ts';
import { secretType } from '../wire/types.ts';
import type { SnapshotPart } from '../snapshot/part.ts';
import type { Caller, StreamObserver, StreamStatus, TrackedStream, TypeUrl } from '../xds/source.ts';
import type { Certificates } from './certificates.ts';
import type { IdentityParts } from './identity-parts.ts';

export interface CaReporterOptions {
  readonly certificates: Pick<Certificates, 'store' | 'ca'>;
  readonly identities: Pick<IdentityParts, 'partOf'>;
  /** Of the cluster whose configuration counts. */
  readonly clusterId: string;
  readonly streams: () => Iterable<TrackedStream>;
  /** Parts may be read. */
  readonly settled: () => boolean;
  /** False for a proxy whose pod is gone for good. */
  readonly exists: (proxy: string) => boolean;
  /** One that went away so long ago is as good as new when it comes back. */
  readonly horizonMs: number;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  readonly publish: (report: string) => void;
  readonly after: (ms: number, task: () => void) => () => void;
}

/** What happens within so long is one report. */
const gatherMs = 200;
/** Reports without an event: leaves may have ended. */
const repeatMs = 10_000;

const maxAway = 20_000;
/** Of one report; the next ones come when these are taken. */
const maxGone = 100;

interface Accepted {
  readonly roots: boolean;
  readonly leaf: boolean;
}

export class CaReporter implements StreamObserver {
  readonly #options: CaReporterOptions;
  /** Streams that were seen to have accepted what `#target` stands for. */
  #upToDate = new WeakSet<StreamStatus>();
  #target = '';
  /** Proxies that went away and have not come back here, with the time: where they are now and what they have accepted is for others to tell. */
  readonly #away = new Map<string, number>();
  /** Those of them that need not be asked about for this target (any more). */
  readonly #settled = new Set<string>();
  #cancel: (() => void) | undefined;
  #due = Infinity;
  readonly #endings: readonly (() => void)[];

  constructor(options: CaReporterOptions) {
    this.#options = options;
    const { store, ca } = options.certificates;
    this.#endings = [store.onChange(() => this.#soon()), ca.bundle.onChange(() => this.#soon()), ca.onAuthorityChange(() => this.#soon())];
    this.#schedule(0);
  }

  stop(): void {
    for (const end of this.#endings) end();
    this.#cancel?.();
  }

  connected(): void {
    this.#soon();
  }

  disconnected(stream: StreamStatus): void {
    if (stream.types.has(secretType) && stream.caller.identity !== undefined) this.#left(stream);
    this.#soon();
  }

  refused(_node: unknown, _caller: Caller): void {}

  sent(_stream: StreamStatus, type: TypeUrl): void {
    if (type === secretType) this.#soon();
  }

  acked(_stream: StreamStatus, type: TypeUrl): void {
    if (type === secretType) this.#soon();
  }

  rejected(_stream: StreamStatus, type: TypeUrl): void {
    if (type === secretType) this.#soon();
  }

  #left(stream: StreamStatus): void {
    const name = nameOf(stream, this.#options.clusterId);
    this.#away.delete(name);
    this.#away.set(name, this.#options.now());
    if (this.#upToDate.has(stream)) this.#settled.add(name);
    else this.#settled.delete(name);
    for (const oldest of this.#away.keys()) {
      if (this.#away.size <= maxAway) break;
      this.#away.delete(oldest);
    }
  }

  get #isRotating(): boolean {
    return isRotating(this.#options.certificates.store.view.state);
  }

  #soon(): void {
    // Without a rotation nobody waits for it.
    this.#schedule(this.#isRotating ? gatherMs : 1_000);
  }

  #schedule(ms: number): void {
    if (this.#due <= ms) return;
    this.#cancel?.();
    this.#due = ms;
    this.#cancel = this.#options.after(ms, () => {
      this.#due = Infinity;
      this.#cancel = undefined;
      this.#report();
    });
  }

  #report(): void {
    if (!this.#options.settled()) return this.#schedule(gatherMs);
    this.#options.publish(encodeReport(this.#gather()));
    this.#schedule(repeatMs);
  }

  #gone(): string[] {
    const { now, horizonMs, exists } = this.#options;
    const gone: string[] = [];
    for (const [name, atMs] of this.#away) {
      if (now() - atMs > horizonMs || !exists(name)) this.#away.delete(name);
      else if (!this.#settled.has(name) && gone.push(name) >= maxGone) break;
    }
    return gone;
  }

  #gather(): CaReport {
    const { certificates, identities, streams } = this.#options;
    const { ca, store } = certificates;
    const { state } = store.view;
    const signer = ca.authority.generation;
    const target = `${ca.bundle.version} ${signer}`;
    if (target !== this.#target) {
      this.#target = target;
      this.#upToDate = new WeakSet();
      this.#settled.clear();
    }
    const withoutRoots: string[] = [];
    const withoutLeaf: string[] = [];
    const found: string[] = [];
    const missing = new Set(state.missing);
    const rotating = isRotating(state);
    let proxies = 0;
    let agents = 0;
    for (const stream of streams()) {
      const { secure, identity } = stream.caller;
      const part = secure && identity !== undefined ? identities.partOf(identity.spiffeId) : undefined;
      if (part === undefined) continue;
      if (!stream.types.has(secretType)) {
        agents++;
        continue;
      }
      proxies++;
      const name = nameOf(stream, this.#options.clusterId);
      this.#away.delete(name);
      if (!rotating) continue;
      const { roots, leaf } = accepted(stream, part, ca.bundle.version, signer);
      if (!roots) withoutRoots.push(name);
      if (!leaf) withoutLeaf.push(name);
      if (!(state.phase === 'signing' ? roots && leaf : roots)) continue;
      this.#upToDate.add(stream);
      if (missing.has(name)) found.push(name);
    }
    for (const name of missing) this.#settled.add(name);
    return {
      bundle: ca.bundle.version,
      signer,
      rotating,
      proxies,
      agents,
      roots: laggingOf(withoutRoots),
      leaves: laggingOf(withoutLeaf),
      gone: rotating ? fitting(this.#gone()) : [],
      found: fitting(found.slice(0, 100)),
      ends: ca.ends().map((end) => ({ ...end, until: rounded(end.until, Date.now()) })),
    };
  }
}

/** What a proxy has not asked for it does not need. */
function accepted(stream: TrackedStream, part: SnapshotPart, bundle: string, signer: string): Accepted {
  const table = part.ensure(secretType);
  const has = (name: string, isNew: (version: string) => boolean): boolean => {
    const standing = stream.standing({ part, type: secretType, version: table.version, names: new Set([name]) });
    if (standing === 'unconcerned') return true;
    return standing === 'has' && !table.isPending(name) && isNew(table.get(name)?.version ?? '');
  };
  return {
    roots: has(rootSecretName, (version) => version === bundle),
    leaf: has(ownSecretName, (version) => signerOfVersion(version) === signer),
  };
}

/** `pod.namespace`, of a remote cluster `pod.namespace@cluster`. */
function nameOf({ subscription, caller }: StreamStatus, ownCluster: string): string {
  const cluster = caller.identity?.cluster ?? ownCluster;
  return proxyName(subscription.node.id) + (cluster === ownCluster ? '' : `@${cluster}`);
}

/** Upwards, so that not every certificate is a new report. */
function rounded(until: number, now: number): number {
  const step = until - now > 3600_000 ? 600_000 : until - now > 60_000 ? 10_000 : 1_000;
  return Math.ceil(until / step) * step;
}
