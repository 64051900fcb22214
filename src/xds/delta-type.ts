import {
  endpointType,
  extensionConfigType,
  healthInformationType,
  nameTableType,
  proxyConfigType,
  routeType,
  secretType,
  shortName,
} from '../wire/types.ts';
import { Repair, type Refused } from './repair.ts';
import { Selection } from './selection.ts';
import type { Step } from './encoder.ts';
import type { Pieces } from '../wire/join.ts';
import type { EncodedResource } from '../wire/resource.ts';
import type { TypeStatus, TypeUrl } from './source.ts';
import type { PartsView, Pointers, Position } from './view.ts';

/** A resource that is encoded for one stream alone. */
export interface OwnFrame {
  readonly resource: EncodedResource;
  /** One `resources` field. */
  readonly frames: Pieces;
}

export interface ResponseContent {
  readonly steps: readonly Step[];
  readonly own: readonly OwnFrame[];
  readonly removed: readonly string[];
  /** Resources in `steps` that have no name. */
  readonly unnamed?: number;
}

/** A response that is neither acknowledged nor refused. It keeps what is shared by reference, not names of its own. */
interface Sent {
  readonly content: ResponseContent;
  /** Bytes of a response that nobody asked for; 0 otherwise. */
  readonly unaskedBytes: number;
  readonly sentAtMs: number;
  readonly version: string;
  /** What the client has once it accepts, if that is more than before. */
  readonly position: Position | undefined;
}

/** Envoy may hold back ACKs for as long as a cluster warms; of more responses than this the oldest are forgotten. */
const maxInFlight = 256;

/** What one delta stream knows of one type. */
export class DeltaType implements TypeStatus {
  readonly type: TypeUrl;
  readonly selection = new Selection();
  /** What the client has: undefined before the first answer. */
  pointers: Pointers | undefined;
  /** Tables may have changed since the client was last served from them. Wrongly true costs a look. */
  isBehind = true;
  /** The first answer goes out even if it is empty: Envoy waits for it. */
  answerDue = false;
  /** What the client said it has, until it is compared. Undefined: nothing, or nothing that can be believed. */
  claims: Map<string, string> | undefined;
  /** Asked for by name and to be answered, whether they exist or not. */
  readonly owed = new Set<string>();
  /** To be sent as they are, because something else has changed that they follow. */
  readonly touched = new Set<string>();
  /** Marks that keep a later claim from being believed, by name. */
  readonly marks = new Map<string, string>();
  repair: Repair | undefined;
  #acked: Position | undefined;
  readonly #inFlight = new Map<string, Sent>();
  /** Set, not deleted: V8 would make a dictionary of an object that loses a field. */
  lastError: string | undefined = undefined;
  sentVersion = '';
  ackedVersion = '';
  sentNonce = '';
  ackedNonce = '';
  sentAtMs = 0;

  constructor(type: TypeUrl) {
    this.type = type;
  }

  get subscribed(): number | '*' {
    return this.selection.follows ? '*' : this.selection.named.size;
  }

  get state(): TypeStatus['state'] {
    if (this.lastError !== undefined) return 'ERROR';
    if (this.#inFlight.size > 0) return 'STALE';
    if (this.sentNonce !== '') return 'SYNCED';
    // Virtual hosts need no answer when the claims of a reconnect are all that there is.
    const compared = this.pointers !== undefined && !this.answerDue && this.owed.size === 0;
    return compared ? 'SYNCED' : 'NOT_SENT';
  }

  get heldBack(): readonly string[] {
    return this.repair?.heldBack ?? [];
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** False: there is nothing to send. */
  get mayBeDue(): boolean {
    return this.isBehind || this.answerDue || this.owed.size + this.touched.size > 0 || this.repair !== undefined;
  }

  /** All that was due has gone out, or was found to be nothing: the client has `pointers` then, but for names in repair. */
  served(view: PartsView, pointers: Pointers, withChanges: boolean): void {
    this.pointers = pointers;
    this.isBehind &&= !withChanges;
    this.answerDue = false;
    this.claims = undefined;
    this.owed.clear();
    this.touched.clear();
    if (this.#inFlight.size === 0) this.#acked = { view, pointers };
  }

  /** How far the client has accepted what it was sent, but for names in repair; undefined before it has accepted anything of this view. */
  held(view: PartsView): Pointers | undefined {
    const nothingDue = this.#inFlight.size === 0 && !this.answerDue && this.owed.size === 0 && this.touched.size === 0;
    if (nothingDue) return this.pointers;
    return this.#acked?.view === view ? this.#acked.pointers : undefined;
  }

  /** A response under way takes one of the names away: clusters, whose removal comes after what else their change led to. */
  isRemoving(isMeant: (name: string) => boolean): boolean {
    for (const { content } of this.#inFlight.values()) if (content.removed.some(isMeant)) return true;
    return false;
  }

  /** Names of responses that were not answered, or refused and not repaired. */
  unknownNames(): Set<string> {
    const names = new Set<string>(this.repair?.names());
    for (const { content } of this.#inFlight.values()) {
      for (const step of content.steps) for (const resource of step.resources) names.add(resource.name);
      for (const { resource } of content.own) names.add(resource.name);
      for (const name of content.removed) names.add(name);
    }
    return names;
  }

  /** Bytes of changes sent after `sinceMs` and not acknowledged. */
  unackedBytes(sinceMs: number): number {
    let bytes = 0;
    for (const sent of this.#inFlight.values()) if (sent.sentAtMs > sinceMs) bytes += sent.unaskedBytes;
    return bytes;
  }

  sent(nonce: string, sent: Sent): void {
    this.#inFlight.set(nonce, sent);
    this.sentNonce = nonce;
    this.sentVersion = sent.version;
    this.sentAtMs = sent.sentAtMs;
    for (const oldest of this.#inFlight.keys()) {
      if (this.#inFlight.size <= maxInFlight) break;
      this.#inFlight.delete(oldest);
    }
  }

  /** The response that was answered; those before it count as answered too. Undefined for a nonce that is not known (any more). */
  answered(nonce: string): Sent | undefined {
    const found = this.#inFlight.get(nonce);
    if (found === undefined) return undefined;
    for (const older of this.#inFlight.keys()) {
      this.#inFlight.delete(older);
      if (older === nonce) break;
    }
    return found;
  }

  accepted(nonce: string, sent: Sent): void {
    this.ackedNonce = nonce;
    this.ackedVersion = sent.version;
    if (sent.position !== undefined) this.#acked = sent.position;
    this.repair?.accepted(nonce);
    if (this.repair !== undefined && !this.repair.isDone) return;
    this.repair = undefined;
    this.lastError = undefined;
  }

  /** Returns the refused response as far as no later one, whose answer is still to come, sets the same names. */
  refused(nonce: string, sent: Sent, message: string): Refused {
    const versions = new Map<string, string>();
    for (const step of sent.content.steps) for (const resource of step.resources) versions.set(resource.name, resource.version);
    for (const { resource } of sent.content.own) versions.set(resource.name, resource.version);
    for (const later of this.#inFlight.values()) {
      for (const step of later.content.steps) for (const resource of step.resources) versions.delete(resource.name);
      for (const { resource } of later.content.own) versions.delete(resource.name);
      for (const name of later.content.removed) versions.delete(name);
    }
    const refused = { versions, removed: sent.content.removed, message };
    this.lastError = message;
    this.repair ??= new Repair();
    if (!this.repair.refusedAgain(nonce, refused)) this.repair.refused(refused);
    return refused;
  }
}

/** Types of which a first request without names asks for nothing. Of all others it asks for everything. */
const namedTypes: ReadonlySet<TypeUrl> = new Set([endpointType, routeType, secretType, extensionConfigType]);

export function isWildcardByDefault(type: TypeUrl): boolean {
  return !namedTypes.has(type);
}

/** With a request of this type the agent of Istio's proxy reports the health of its workload; there is nothing to answer. */
export function isReport(type: TypeUrl): boolean {
  return type === healthInformationType;
}

/** What the agent of Istio's proxy asks for itself. It takes one resource of such a type, and never acknowledges a response without. */
const agentTypes: ReadonlySet<TypeUrl> = new Set([nameTableType, proxyConfigType]);

/** Whether a request is answered even if there is nothing: Envoy waits for it. */
export function answersWithNothing(type: TypeUrl): boolean {
  return !agentTypes.has(type);
}

/**
 * Order in which a stream's types are served: whatever a resource names goes before it. Secrets are first because Envoy does not ask for
 * listeners until its clusters have theirs.
 */
const servingOrder = ['SDS', 'CDS', 'EDS', 'ECDS', 'LDS', 'RDS', 'VHDS'];

export function servingRank(type: TypeUrl): number {
  const rank = servingOrder.indexOf(shortName(type));
  return rank < 0 ? servingOrder.length : rank;
}
