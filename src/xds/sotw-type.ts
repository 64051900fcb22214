import type { EncodedResource } from '../wire/resource.ts';
import type { TypeStatus, TypeUrl } from './source.ts';
import type { PartsView, Pointers, Position } from './view.ts';

interface SotwPosition extends Position {
  readonly hosts: Pointers | undefined;
}

/** What one state-of-the-world stream knows of one type. Only the newest response can be acknowledged. */
export class SotwType implements TypeStatus {
  readonly type: TypeUrl;
  wildcard = false;
  names = new Set<string>();
  pointers: Pointers | undefined;
  /** RouteConfiguration: what was sent of their virtual hosts. */
  hostPointers: Pointers | undefined;
  /** RouteConfiguration: `hostPointers` of the newest response, and of the newest that was accepted. */
  sentHosts: Pointers | undefined;
  ackedHosts: Pointers | undefined;
  /** Everything that is subscribed is to be sent. */
  due = false;
  /** Names to be sent of a type whose responses need not be complete. */
  readonly dueNames = new Set<string>();
  /** Of these what the client has just asked for: it is answered even if there is nothing. */
  readonly asked = new Set<string>();
  /** Clusters: what the client has, to keep those that are to be removed until nothing names them. */
  previous: readonly EncodedResource[] = [];
  unacked = false;
  unackedBytes = 0;
  sentNames: readonly string[] = [];
  lastError: string | undefined = undefined;
  sentVersion = '';
  ackedVersion = '';
  sentNonce = '';
  ackedNonce = '';
  sentAtMs = 0;
  /** What the last response was refused for, as far as it is known: the proxy has it not, or as it was before. */
  heldBack: readonly string[] = [];

  #sent: SotwPosition | undefined;
  #acked: SotwPosition | undefined;

  constructor(type: TypeUrl) {
    this.type = type;
  }

  get subscribed(): number | '*' {
    return this.wildcard ? '*' : this.names.size;
  }

  get state(): TypeStatus['state'] {
    if (this.lastError !== undefined) return 'ERROR';
    if (this.sentNonce === '') return 'NOT_SENT';
    return this.unacked ? 'STALE' : 'SYNCED';
  }

  has(name: string): boolean {
    return this.wildcard || this.names.has(name);
  }

  /** Sends from now on what the client will ask for. */
  expect(name: string): void {
    if (!this.wildcard) this.names.add(name);
  }

  private get isQuiet(): boolean {
    return !this.unacked && !this.due && this.dueNames.size === 0 && this.lastError === undefined;
  }

  /** Before changes are noted: as long as nothing was due, what was noted so far is what the client has. */
  caughtUp(view: PartsView): void {
    if (this.isQuiet && this.pointers !== undefined) this.#acked = { view, pointers: this.pointers, hosts: this.hostPointers };
  }

  accepted(): void {
    this.#acked = this.#sent ?? this.#acked;
  }

  /** What of resources, and of virtual hosts in route tables, the client has accepted; undefined before it has accepted anything of this view. */
  held(view: PartsView): Omit<SotwPosition, 'view'> | undefined {
    if (this.isQuiet) return this.pointers === undefined ? undefined : { pointers: this.pointers, hosts: this.hostPointers };
    return this.#acked?.view === view ? this.#acked : undefined;
  }

  /** `view`: that of the pointers, all of whose changes are in the response. */
  sent(nonce: string, version: string, nowMs: number, bytes: number, names: readonly string[], view: PartsView): void {
    this.#sent = this.pointers === undefined ? undefined : { view, pointers: this.pointers, hosts: this.hostPointers };
    this.sentNonce = nonce;
    this.sentVersion = version;
    this.sentAtMs = nowMs;
    this.unackedBytes = (this.unacked ? this.unackedBytes : 0) + bytes;
    this.unacked = true;
    this.sentNames = names;
  }
}
