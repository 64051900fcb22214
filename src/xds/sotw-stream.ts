import { clusterType, endpointType, listenerType, nameTableType, routeType, virtualHostType } from '../wire/types.ts';
import { answersWithNothing, isReport, isWildcardByDefault, servingRank } from './delta-type.ts';
import { routeOf, sotwFrame } from './encoder.ts';
import { suspectsIn } from './repair.ts';
import { SotwType } from './sotw-type.ts';
import { refusalText } from './refusal-text.ts';
import { maxTypes, RequestStream } from './request-stream.ts';
import type { Stream, StreamShared, Wire } from './stream.ts';
import { PartsView } from './view.ts';
import type { EncodedResource } from '../wire/resource.ts';
import type { Caller, Standing, Subscription, TableChange, TypeUrl } from './source.ts';

/** The fields of a DiscoveryRequest that matter after the first message. */
export interface SotwRequest {
  readonly typeUrl: string;
  readonly resourceNames: readonly string[];
  readonly responseNonce: string;
  readonly errorDetail?: { readonly message: string; readonly code?: number } | undefined;
}

interface Draft {
  readonly frames: readonly Uint8Array[];
  readonly names: readonly string[];
  readonly resources?: readonly EncodedResource[];
  /** Resources that have no name. */
  readonly unnamed?: number;
}

/** The state-of-the-world form of ADS for one proxy: whole route tables, and no removal but by absence. */
export class SotwStream extends RequestStream<SotwRequest> {
  readonly protocol = 'sotw';
  readonly types = new Map<TypeUrl, SotwType>();
  #ordered: readonly SotwType[] = [];
  #view: PartsView;
  /** The list of parts is another, and the client may not have all of it yet. */
  #adopting = false;
  /** Since when clusters that have gone are still sent. */
  #keepingClustersSinceMs: number | undefined;
  /** Clusters that the client has until it acknowledges the last response. */
  #dropped: ReadonlySet<string> = none;

  constructor(shared: StreamShared, subscription: Subscription, caller: Caller, wire: Wire, onEnd: (stream: Stream) => void) {
    super(shared, subscription, caller, wire, onEnd);
    this.#view = new PartsView(subscription.parts);
  }

  override partsChanged(): void {
    const next = new PartsView(this.subscription.parts);
    for (const state of this.types.values()) {
      if (state.pointers === undefined) continue;
      const differences = this.#view.differences(state.type, state.pointers, next);
      // A state of the world needs no names to remove: what is not known is sent.
      if (differences === undefined) state.due = true;
      else this.#touch(state, differences);
      if (state.type === routeType) {
        state.due = true;
        state.hostPointers = next.pointers(virtualHostType);
        state.ackedHosts = undefined;
        state.sentHosts = undefined;
      }
      state.pointers = next.pointers(state.type);
    }
    this.#view = next;
    this.#adopting = true;
    this.resume();
  }

  override tablesChanged(): void {
    // All types are asked: of clusters and routes the whole goes out anyway.
  }

  override standing({ part, type, version, names }: TableChange): Standing {
    const ofHosts = type === virtualHostType;
    const state = this.types.get(ofHosts ? routeType : type);
    const index = this.#view.parts.indexOf(part);
    if (state === undefined || index < 0 || !this.#isConcerned(state, type, index, names)) return 'unconcerned';
    if (type === clusterType && (this.#keeps(state, names) || !this.#dropped.isDisjointFrom(names))) return 'pending';
    const held = state.held(this.#view);
    if (((ofHosts ? held?.hosts : held?.pointers)?.[index] ?? -1) >= version) return 'has';
    return state.lastError === undefined ? 'pending' : 'rejected';
  }

  override standingInPlan(): Standing {
    if (!this.#adopting) return 'has';
    let pending = this.#keepingClustersSinceMs !== undefined || this.#dropped.size > 0;
    for (const state of this.types.values()) {
      if (state.lastError !== undefined) return 'rejected';
      if (state.held(this.#view) === undefined) pending = true;
    }
    this.#adopting = pending;
    return pending ? 'pending' : 'has';
  }

  #isConcerned(state: SotwType, type: TypeUrl, index: number, names: ReadonlySet<string>): boolean {
    for (const name of names) {
      const asked = state.has(type === virtualHostType ? routeOf(name) : name) || type === nameTableType;
      if (asked && !this.#view.covers(type, index, name)) return true;
    }
    return false;
  }

  /** Clusters that have gone and are still sent. */
  #keeps(state: SotwType, names: ReadonlySet<string>): boolean {
    if (this.#keepingClustersSinceMs === undefined) return false;
    return state.previous.some(({ name }) => names.has(name) && this.#view.find(clusterType, name) === undefined);
  }

  protected override sendDue(): void {
    const withChanges = this.#unackedBytes() <= this.shared.limits.maxUnackedBytes;
    for (const state of this.#ordered) {
      if (!this.#serve(state, withChanges)) return;
    }
    this.#dropClusters();
  }

  protected override checkDeadlines(nowMs: number): void {
    const { removalPatienceMs, clustersPatienceMs } = this.shared.limits;
    const dropDue = this.#keepingClustersSinceMs !== undefined && nowMs - this.#keepingClustersSinceMs >= removalPatienceMs;
    const listenersDue =
      nowMs - this.connectedAtMs >= clustersPatienceMs && [listenerType, routeType].some((type) => this.types.get(type)?.due === true);
    if (dropDue || listenersDue || this.#ordered.some((state) => state.unacked)) this.resume();
  }

  protected override released(): void {}

  // Requests

  protected override accept(request: SotwRequest): void {
    if (isReport(request.typeUrl)) return;
    const known = this.types.get(request.typeUrl);
    if (known === undefined) {
      if (this.types.size >= maxTypes) this.end('RESOURCE_EXHAUSTED', `more than ${maxTypes} types are subscribed`);
      else this.#begin(request);
      return;
    }
    // A request that crossed a newer response: what it says comes again with the answer to that.
    if (request.responseNonce !== known.sentNonce) {
      if (request.responseNonce !== '') this.shared.meter.nonceExpired(known.type);
      return;
    }
    const repeated = !known.unacked;
    if (!repeated) this.#answered(known, request);
    this.#subscribe(known, request.resourceNames, repeated);
  }

  #begin(request: SotwRequest): void {
    const state = new SotwType(request.typeUrl);
    this.types.set(request.typeUrl, state);
    this.#ordered = [...this.types.values()].sort((a, b) => servingRank(a.type) - servingRank(b.type));
    state.wildcard = request.resourceNames.includes('*') || (request.resourceNames.length === 0 && isWildcardByDefault(state.type));
    this.#setNames(state, request.resourceNames);
    state.due = state.wildcard || state.names.size > 0;
    const clusters = this.types.get(clusterType);
    if (state.type !== endpointType || clusters?.wildcard !== true) return;
    // A reconnect: the names are those of the clusters that it had.
    for (const { name } of clusters.previous) this.#expectEndpoints(state, name);
  }

  #answered(state: SotwType, request: SotwRequest): void {
    state.unacked = false;
    state.unackedBytes = 0;
    if (request.errorDetail === undefined) {
      state.ackedNonce = state.sentNonce;
      state.ackedVersion = state.sentVersion;
      state.lastError = undefined;
      state.heldBack = [];
      state.ackedHosts = state.sentHosts;
      state.accepted();
      if (state.type === clusterType) this.#dropped = none;
      this.shared.observer.acked(this, state.type, request.responseNonce, this.shared.now() - state.sentAtMs);
      return;
    }
    // The proxy keeps what it has; to send the same again would only be refused again.
    const { code } = request.errorDetail;
    const message = refusalText(request.errorDetail.message);
    state.lastError = message;
    const suspects = suspectsIn(message, state.sentNames);
    const blamed = suspects.length > 0 ? suspects : state.sentNames;
    state.heldBack = state.type === routeType ? [...blamed, ...this.#changedHosts(state, blamed)] : blamed;
    this.shared.observer.rejected(this, state.type, state.heldBack, message, code);
  }

  /** Virtual hosts of these tables that have changed since the proxy last accepted tables; all of them where that is not known. */
  #changedHosts(state: SotwType, tables: readonly string[]): string[] {
    const changes = state.ackedHosts === undefined ? undefined : this.#view.changes(virtualHostType, state.ackedHosts);
    const names =
      changes === undefined
        ? tables.flatMap((table) => [...this.#view.namesUnder(virtualHostType, table)])
        : changes.flatMap((change) => [...change.names]).filter((name) => tables.includes(routeOf(name)));
    return [...new Set(names)].filter((name) => this.#view.find(virtualHostType, name) !== undefined);
  }

  #subscribe(state: SotwType, names: readonly string[], repeated: boolean): void {
    if (names.includes('*')) state.wildcard = true;
    else if (names.length > 0) state.wildcard = false;
    if (state.wildcard) return;
    const before = state.names;
    // The usual acknowledgement repeats what is subscribed, a thousand names of clusters: they are not looked up again.
    const isSame = names.length === before.size && names.every((name) => before.has(name));
    if (!isSame) this.#setNames(state, names);
    const added = isSame ? [] : [...state.names].filter((name) => !before.has(name));
    if (added.length > 0) {
      if (state.type !== endpointType) state.due = true;
      else {
        for (const name of added) {
          state.dueNames.add(name);
          state.asked.add(name);
        }
      }
    } else if (repeated && state.names.size > 0) {
      // After CDS Envoy asks for the endpoints of changed clusters with what looks like one more ACK, the names in another order.
      state.due = true;
    }
  }

  #setNames(state: SotwType, names: readonly string[]): void {
    if (names.length > this.shared.limits.maxNames) {
      this.end('RESOURCE_EXHAUSTED', `more than ${this.shared.limits.maxNames} names of ${state.type} are subscribed`);
      return;
    }
    state.names = new Set(names.filter((name) => name !== '*').map((name) => this.#view.find(state.type, name)?.name ?? name));
  }

  // Responses

  /** False when the stream has to wait. */
  #serve(state: SotwType, withChanges: boolean): boolean {
    if ((state.type === listenerType || state.type === routeType) && this.#clustersAreMissing()) return true;
    if (state.pointers !== undefined && withChanges && !this.#noteChanges(state)) return false;
    if (!state.due && state.dueNames.size === 0) return true;
    if (state.type === clusterType && this.#onlyRemoves(state)) return true;
    const draft = this.#draft(state);
    if (draft.frames.length === 0 && (!state.due || !answersWithNothing(state.type))) {
      state.due = false;
      state.pointers ??= this.#view.pointers(state.type);
      state.dueNames.clear();
      state.asked.clear();
      return true;
    }
    let bytes = 128;
    for (const frame of draft.frames) bytes += frame.byteLength;
    if (!this.reserve(bytes)) return false;
    this.#send(state, draft, bytes);
    return this.writable;
  }

  #clustersAreMissing(): boolean {
    if (this.types.has(clusterType) || !this.types.has(endpointType)) return false;
    return this.shared.now() - this.connectedAtMs < this.shared.limits.clustersPatienceMs;
  }

  /** Turns what has changed since the pointers into what is due. */
  #noteChanges(state: SotwType): boolean {
    state.caughtUp(this.#view);
    const changes = this.#view.changes(state.type, state.pointers ?? []);
    state.pointers = this.#view.pointers(state.type);
    if (changes === undefined) state.due = true;
    else for (const change of changes) this.#touch(state, change.names, (name) => this.#view.affected(state.type, name, changes));
    if (state.type !== routeType) return true;
    const hosts = state.hostPointers === undefined ? [] : this.#view.changes(virtualHostType, state.hostPointers);
    state.hostPointers = this.#view.pointers(virtualHostType);
    if (hosts === undefined) state.due = true;
    else for (const change of hosts) for (const name of change.names) if (state.names.has(routeOf(name))) state.due = true;
    return true;
  }

  #touch(state: SotwType, names: Iterable<string>, isVisible: (name: string) => boolean = () => true): void {
    for (const name of names) {
      if (!state.has(name) || !isVisible(name)) continue;
      if (state.type === endpointType && !state.wildcard) state.dueNames.add(name);
      else state.due = true;
    }
  }

  #draft(state: SotwType): Draft {
    if (state.type === clusterType) return this.#clusters(state, true);
    if (state.type === nameTableType) {
      return { frames: this.shared.nameTables.frames('sotw', this.shared.source.version, this.#view) ?? [], names: [], unnamed: 1 };
    }
    if (state.wildcard) {
      return this.#all(state, [...this.#view.resources(state.type)]);
    }
    const resources: EncodedResource[] = [];
    let found = 0;
    for (const name of state.due ? state.names : state.dueNames) {
      const resource = this.#view.find(state.type, name);
      if (resource !== undefined) found = resources.push(resource);
      else if (state.type === endpointType && (state.asked.has(name) || !this.#isToGo(name)))
        resources.push(this.shared.encoder.emptyLoadAssignment(name));
    }
    // The usual first request for endpoints: those of all clusters.
    return found === resources.length && found === this.#sizeOf(state.type) ? this.#all(state, resources) : this.#some(state, resources);
  }

  /** How many resources there are, if no part covers what another has. */
  #sizeOf(type: TypeUrl): number {
    let size = 0;
    for (const part of this.#view.parts) size += part.table(type)?.size ?? 0;
    return size;
  }

  /** `resources` are all that there are of the type: in the bytes that streams share, if no part covers what another has. */
  #all(state: SotwType, resources: readonly EncodedResource[]): Draft {
    const tables = state.type === routeType ? undefined : this.#view.disjointTables(state.type);
    if (tables === undefined) return this.#some(state, resources);
    const frames = tables.flatMap((table) => this.shared.encoder.whole('sotw', state.type, table).frames);
    return { frames, names: resources.map((resource) => resource.name) };
  }

  #some(state: SotwType, resources: readonly EncodedResource[]): Draft {
    const frames = resources.flatMap((resource) =>
      state.type === routeType ? [this.shared.joinedRoutes.frame(this.#view, resource)] : sotwFrame(state.type, resource),
    );
    return { frames, names: resources.map((resource) => resource.name) };
  }

  /** The clusters there are and, as long as listeners and routes may still name them, those that have gone. */
  #clusters(state: SotwType, keepGone: boolean): Draft {
    const now = this.#subscribed(state);
    const present = new Set(now.map((resource) => resource.name));
    const gone = keepGone ? state.previous.filter((resource) => !present.has(resource.name)) : [];
    if (gone.length > 0) this.#keepingClustersSinceMs ??= this.shared.now();
    const before = new Map(state.previous.map((resource) => [resource.name, resource.version]));
    const endpoints = this.types.get(endpointType);
    for (const { name, version } of now) {
      if (endpoints?.pointers === undefined || before.get(name) === version) continue;
      if (state.wildcard) this.#expectEndpoints(endpoints, name);
      if (endpoints.has(name)) endpoints.dueNames.add(name);
    }
    const all = [...now, ...gone];
    const isAll = state.wildcard && gone.length === 0;
    return { ...(isAll ? this.#all(state, all) : this.#some(state, all)), resources: all };
  }

  /** Envoy asks for the endpoints of a new cluster, but routes may name the cluster before that request is here. */
  #expectEndpoints(endpoints: SotwType, cluster: string): void {
    if (this.#view.find(endpointType, cluster) !== undefined) endpoints.expect(cluster);
  }

  /** Listeners and routes may still name a cluster that is to go: its endpoints stay until then. */
  #isToGo(cluster: string): boolean {
    return this.types.get(clusterType)?.wildcard === true && this.#view.find(clusterType, cluster) === undefined;
  }

  #subscribed(state: SotwType): EncodedResource[] {
    const resources = [...this.#view.resources(state.type)];
    return state.wildcard ? resources : resources.filter((resource) => state.names.has(resource.name));
  }

  /** Nothing new: the removal alone comes last. */
  #onlyRemoves(state: SotwType): boolean {
    if (state.sentNonce === '' || state.previous.length === 0) return false;
    const before = new Map(state.previous.map((resource) => [resource.name, resource.version]));
    const now = this.#subscribed(state);
    if (now.length >= before.size || now.some((resource) => before.get(resource.name) !== resource.version)) return false;
    state.due = false;
    this.#keepingClustersSinceMs ??= this.shared.now();
    return true;
  }

  #dropClusters(): void {
    const state = this.types.get(clusterType);
    if (this.#keepingClustersSinceMs === undefined || state === undefined) return;
    const used = [listenerType, routeType].some((type) => this.types.get(type)?.unacked === true);
    if (used && this.shared.now() - this.#keepingClustersSinceMs < this.shared.limits.removalPatienceMs) return;
    const draft = this.#clusters(state, false);
    let bytes = 128;
    for (const frame of draft.frames) bytes += frame.byteLength;
    if (!this.reserve(bytes)) return;
    this.#keepingClustersSinceMs = undefined;
    this.#dropped = new Set(state.previous.map(({ name }) => name)).difference(new Set(draft.names));
    this.#send(state, draft, bytes);
  }

  #send(state: SotwType, draft: Draft, reserved: number): void {
    const nonce = this.nextNonce();
    const { version } = this.shared.source;
    const message = this.shared.responses.sotw.write(state.type, version, nonce, draft.frames);
    state.pointers ??= this.#view.pointers(state.type);
    if (state.type === routeType) {
      state.hostPointers ??= this.#view.pointers(virtualHostType);
      state.sentHosts = this.#view.pointers(virtualHostType);
    }
    state.sent(nonce, version, this.shared.now(), message.byteLength, draft.names, this.#view);
    if (draft.resources !== undefined) state.previous = draft.resources;
    state.due = false;
    state.dueNames.clear();
    state.asked.clear();
    this.write(state.type, message, reserved);
    this.shared.observer.sent(this, state.type, message.byteLength, draft.names.length + (draft.unnamed ?? 0), 0);
  }

  #unackedBytes(): number {
    const sinceMs = this.shared.now() - this.shared.limits.unackedPatienceMs;
    let bytes = 0;
    for (const state of this.#ordered) if (state.unacked && state.sentAtMs > sinceMs) bytes += state.unackedBytes;
    return bytes;
  }
}

const none: ReadonlySet<string> = new Set();
