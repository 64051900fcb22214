/**
 * What the streams need to know of the rest: parts, which hold encoded resources, and which parts a proxy gets.
 *
 * A part is shared by many proxies. A stream holds per part and type only the version that it has sent, never a copy of the names.
 */
import type { EncodedResource } from '../wire/resource.ts';
import type { ObjectKey } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';

/** `type.googleapis.com/...`, see wire/types.ts. */
export type TypeUrl = string;

/**
 * The resources of one type in one part. It changes in place, only while its source is not settled; `version` grows by one with each flush that changed
 * something.
 */
export interface Table {
  readonly version: number;
  readonly size: number;
  get(name: string): EncodedResource | undefined;
  /** The part withholds this name although a lower part has it. */
  hides(name: string): boolean;
  /** How many names it withholds. */
  readonly hiddenSize: number;
  hiddenNames(): Iterable<string>;
  names(): IterableIterator<string>;
  /** VirtualHost tables: names `<route>/...` of one route table. */
  namesUnder(route: string): Iterable<string>;
  /**
   * Names that appeared, changed or went after `version`, merged; the same object for the same question until the next change, so that what is
   * computed from it can be cached by it. Undefined when the table no longer knows: compare everything then.
   */
  changedSince(version: number): ReadonlySet<string> | undefined;
}

export interface Part {
  /** For logs and debug output. */
  readonly id: string;
  /** Undefined: the part has nothing of that type and never had. */
  table(type: TypeUrl): Table | undefined;
  /** Keys of the objects that a resource was made from; undefined where there is none of that name. */
  provenance?(type: TypeUrl, name: string): ObjectKey[] | undefined;
}

/** What a proxy says of itself on its first message, limited in size; nothing of it is believed before `open` has checked it. */
export interface ClaimedNode {
  readonly id: string;
  readonly cluster: string;
  /** google.protobuf.Struct as JSON. */
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly locality?: { readonly region: string; readonly zone: string; readonly subZone: string };
  readonly userAgentName: string;
  readonly userAgentVersion: string;
  /** Names of the extensions that the proxy lists; undefined when it lists none. */
  readonly extensions?: ReadonlySet<string>;
}

/** Who is calling, as proven by its transport or token; `undefined` on the plaintext port. */
export interface Caller {
  readonly address: string;
  readonly identity?: {
    readonly spiffeId: string;
    readonly trustDomain: string;
    readonly namespace: string;
    readonly serviceAccount: string;
    /** The pod that its token is bound to. */
    readonly pod?: string;
    /** Id of the cluster whose API server has reviewed its token. */
    readonly cluster?: string;
  };
  /** The transport keeps secrets secret. */
  readonly secure: boolean;
}

/** Why a resource is what it is. */
export interface Explanation {
  readonly part: string;
  /** `Kind/namespace/name (file:line)` of each object that it was made from. */
  readonly objects: readonly string[];
}

/** One connected proxy's view: a list of parts, lowest first. A later part's resource or `hides` covers the same name of the earlier ones. */
export interface Subscription {
  /** Unique among the proxies connected now: `<node id>-<n>`. */
  readonly connectionId: string;
  readonly node: ClaimedNode;
  readonly parts: readonly Part[];
  /** False until the parts of a new proxy are translated: `onPartsChanged` tells. Nothing is answered before. */
  readonly placed: boolean;
  /** The new list of parts, when for example a Sidecar resource has appeared for this proxy. Called only while the source is settled. */
  onPartsChanged(handler: () => void): void;
  /** The proxy cannot be placed: the stream is to be ended. */
  onFailed(handler: (reason: string) => void): void;
  explain(type: TypeUrl, name: string): Explanation | undefined;
  close(): void;
  /** Present while the proxy is in lazy mode; it may come or go with a new list of parts. */
  readonly onDemand?: OnDemand | undefined;
}

/**
 * Lazy mode: the virtual hosts and clusters that one stream has asked for. They are in the last of its parts, which is its own and changes with its questions;
 * what it has not asked for is in none of its parts. The source must be settled for all calls but `isAskedFor`.
 */
export interface OnDemand {
  isAskedFor(type: TypeUrl): boolean;
  /** Returns the name of the resource that answers; undefined: nothing does. Of a virtual host the name asked for is `<table>/<Host header>`. */
  ask(type: TypeUrl, name: string): string | undefined;
  /** The proxy says that it has a resource of that name. */
  adopt(type: TypeUrl, name: string): void;
  /** The proxy has unsubscribed from a route table. */
  release(route: string): void;
  /** Makes what was asked for or released since the last call visible in the part. */
  commit(): void;
  /** What a change of a part that the stream does not have itself means for what it has asked for; undefined: nothing. */
  heldOf(change: TableChange): TableChange | undefined;
}

export interface Refusal {
  readonly refused: string;
}

export interface ResourceSource {
  /** False while a change is being translated: nothing may be read from the parts until the next `onSettled`. */
  readonly settled: boolean;
  /** Grows with each change that became visible; the `system_version_info` of responses. */
  readonly version: string;
  /** Checks the claim against what is proven and gives the proxy's view, or why not. Only a delta stream can be in lazy mode. */
  open(node: ClaimedNode, caller: Caller, protocol?: 'delta' | 'sotw'): Subscription | Refusal;
  /**
   * Called whenever it is settled again, with the parts that have changed, which may be none, and the types that have in them. Returns the function that ends
   * it.
   */
  onSettled(handler: (changed: ReadonlyMap<Part, ReadonlySet<TypeUrl>>) => void): () => void;
}

/** What happens on the streams, for metrics, logs, status and the debug API. All calls are synchronous and must not throw. */
export interface StreamObserver {
  connected(stream: StreamStatus): void;
  disconnected(stream: StreamStatus, reason: string): void;
  refused(node: ClaimedNode | undefined, caller: Caller, reason: string): void;
  sent(stream: StreamStatus, type: TypeUrl, bytes: number, resources: number, removed: number): void;
  acked(stream: StreamStatus, type: TypeUrl, nonce: string, latencyMs: number): void;
  /** `code`: gRPC's, as the proxy gave it. */
  rejected(stream: StreamStatus, type: TypeUrl, names: readonly string[], message: string, code?: number): void;
}

/** A change of one type in one part: the version of its table that shows it first, and the names that it touched. */
export interface TableChange {
  readonly part: Part;
  readonly type: TypeUrl;
  readonly version: number;
  readonly names: ReadonlySet<string>;
}

/**
 * How a proxy stands to a change. `unconcerned`: it does not see any of the names, or has not asked for them. `has`: it has accepted what was sent for it,
 * or nothing had to be sent. `rejected`: it has refused it, and is not sent it again until it changes.
 */
export type Standing = 'unconcerned' | 'has' | 'pending' | 'rejected';

/** One stream as the debug API shows it. */
export interface StreamStatus {
  readonly subscription: Subscription;
  readonly protocol: 'delta' | 'sotw';
  readonly caller: Caller;
  readonly connectedAtMs: number;
  /** Per subscribed type. */
  readonly types: ReadonlyMap<TypeUrl, TypeStatus>;
}

/** A stream that can be asked for what its proxy has. */
export interface TrackedStream extends StreamStatus {
  /** The source must be settled. */
  standing(change: TableChange): Standing;
  /** Whether the proxy has everything that the present list of parts has brought. Never `unconcerned`. */
  standingInPlan(): Standing;
}

export interface TypeStatus {
  /** Number of names asked for; `*` when it follows all of its parts. */
  readonly subscribed: number | '*';
  readonly sentVersion: string;
  readonly ackedVersion: string;
  readonly sentNonce: string;
  readonly ackedNonce: string;
  readonly sentAtMs: number;
  /** `SYNCED`: the proxy has accepted all that was due, which after a reconnect may be nothing; `STALE`: an answer of it is due. */
  readonly state: 'NOT_SENT' | 'SYNCED' | 'STALE' | 'ERROR';
  /** Envoy's text of the last refusal that no later acceptance has cleared, and the suspected resources that are held back. */
  readonly lastError?: string | undefined;
  readonly heldBack: readonly string[];
}

export type { Problem };
