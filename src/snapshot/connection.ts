import type { ObjectKey } from '../apis/object.ts';
import { routeType, virtualHostType } from '../wire/types.ts';
import type { Caller, ClaimedNode, Explanation, Subscription, TypeUrl } from '../xds/source.ts';
import type { AskedPart } from './asked.ts';
import type { Assembled } from './assembly.ts';
import type { SnapshotPart } from './part.ts';

/** Secrets of a caller's own identity, for the life of one stream. */
export interface IdentityLease {
  readonly part: SnapshotPart;
  release(): void;
}

/** What a connection needs of the snapshot that opened it. */
export interface ConnectionSource {
  /** A new one for what this connection asks for. */
  asked(connectionId: string): AskedPart;
  /** What is asked for is looked up in other parts from now on. */
  reads(asked: AskedPart, before: readonly SnapshotPart[], now: readonly SnapshotPart[]): void;
  describe(object: ObjectKey): string;
  disconnect(connection: Connection): void;
}

/** A proxy's stream and the parts that it reads. */
export class Connection implements Subscription {
  readonly connectionId: string;
  readonly node: ClaimedNode;
  readonly caller: Caller;
  shared: readonly SnapshotPart[] = [];
  /** Acquired for it, and not in its view. */
  kept: readonly SnapshotPart[] = [];
  onDemand: AskedPart | undefined;
  private asked: AskedPart | undefined;
  private sources: readonly SnapshotPart[] = [];
  private had: readonly SnapshotPart[] | undefined;
  private list: readonly SnapshotPart[] = [];
  private readonly source: ConnectionSource;
  private readonly identity: IdentityLease | undefined;
  private handler: (() => void) | undefined;
  private onFailure: ((reason: string) => void) | undefined;

  constructor(source: ConnectionSource, connectionId: string, node: ClaimedNode, caller: Caller, identity: IdentityLease | undefined) {
    this.source = source;
    this.connectionId = connectionId;
    this.node = node;
    this.caller = caller;
    this.identity = identity;
  }

  /**
   * A gateway's private keys go over a transport that keeps them secret, to the service account that the registry has for the workload: any other workload
   * of the namespace could claim its name or its labels.
   */
  mayHaveSecretsOf(serviceAccount: string | undefined): boolean {
    const { secure, identity } = this.caller;
    return secure && (identity === undefined || identity.serviceAccount === serviceAccount);
  }

  /** The same array for all connections with the same parts: streams share what was encoded for a list. */
  get parts(): readonly SnapshotPart[] {
    return this.list;
  }

  assign({ shared, kept, sources }: Assembled, intern: (parts: readonly SnapshotPart[]) => readonly SnapshotPart[]): void {
    const before = this.onDemand === undefined ? this.list : undefined;
    this.shared = shared;
    this.kept = kept;
    const all = this.identity === undefined ? shared : [...shared, this.identity.part];
    this.read(sources);
    this.list = this.onDemand === undefined ? intern(all) : [...all, this.onDemand];
    // What a running proxy has is not taken from it when it becomes lazy.
    this.had = this.onDemand === undefined ? undefined : before;
  }

  private read(sources: readonly SnapshotPart[] | undefined): void {
    if (sources === undefined && this.asked === undefined) return;
    // Kept when it is not lazy for a while: what Envoy has asked for once it does not ask for again.
    const asked = (this.asked ??= this.source.asked(this.connectionId));
    this.source.reads(asked, this.sources, sources ?? []);
    this.sources = sources ?? [];
    asked.setSources(this.sources);
    this.onDemand = sources === undefined ? undefined : asked;
  }

  /** After its sources have become others. */
  askAgain(): void {
    this.onDemand?.refresh();
    if (this.had !== undefined) this.onDemand?.adoptAll(this.had);
    this.had = undefined;
  }

  get placed(): boolean {
    return this.shared.length > 0;
  }

  onPartsChanged(handler: () => void): void {
    this.handler = handler;
  }

  onFailed(handler: (reason: string) => void): void {
    this.onFailure = handler;
  }

  failed(reason: string): void {
    this.onFailure?.(reason);
  }

  replanned(): void {
    this.handler?.();
  }

  explain(type: TypeUrl, name: string): Explanation | undefined {
    for (const part of this.parts.toReversed()) {
      // Virtual hosts that travel inside of their table are asked for as parts of it.
      const objects = part.provenance(type, name) ?? (type === routeType ? part.provenance(virtualHostType, name) : undefined);
      if (objects !== undefined) return { part: part.id, objects: objects.map((key) => this.source.describe(key)) };
    }
    return undefined;
  }

  forget(): void {
    this.read(undefined);
  }

  close(): void {
    this.source.disconnect(this);
    this.identity?.release();
  }
}
