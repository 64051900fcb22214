import { totalLength } from '../wire/join.ts';
import { clusterType, endpointType, listenerType, nameTableType, routeType, virtualHostType } from '../wire/types.ts';
import { ClusterRemovals } from './cluster-removals.ts';
import { firstAnswer, laterAnswer, ownFrame, sizeOf, type Draft, type Standpoint } from './delta-answers.ts';
import { DeltaHosts } from './delta-hosts.ts';
import { answersWithNothing, DeltaType, isReport, isWildcardByDefault, type OwnFrame, type ResponseContent } from './delta-type.ts';
import { DueTypes } from './due-types.ts';
import { deltaFrame, routeOf } from './encoder.ts';
import { refusalText } from './refusal-text.ts';
import { maxTypes, RequestStream } from './request-stream.ts';
import type { Doubts, Stream, StreamShared, Wire } from './stream.ts';
import { PartsView, type Pointers } from './view.ts';
import type { EncodedResource } from '../wire/resource.ts';
import type { Caller, ClaimedNode, OnDemand, Standing, Subscription, TableChange, TypeUrl } from './source.ts';

/** The fields of a DeltaDiscoveryRequest that matter after the first message. */
export interface DeltaRequest {
  readonly typeUrl: string;
  readonly resourceNamesSubscribe: readonly string[];
  readonly resourceNamesUnsubscribe: readonly string[];
  /** Names and versions in turn. */
  readonly initialResourceVersions: readonly string[];
  readonly responseNonce: string;
  readonly errorDetail?: { readonly message: string; readonly code?: number } | undefined;
}

/** How long a warming client may take to ask for clusters before it gets no endpoints where there are none. */
const goneEndpointsPatienceMs = 1000;

/** The incremental form of ADS for one proxy. */
export class DeltaStream extends RequestStream<DeltaRequest> {
  readonly protocol = 'delta';
  readonly #due = new DueTypes();
  readonly types: ReadonlyMap<TypeUrl, DeltaType> = this.#due.byUrl;
  #view: PartsView;
  readonly #hosts = new DeltaHosts();
  readonly #doubts: Doubts;
  /** Clusters that went out on this stream before EDS was subscribed; undefined: all of them. */
  #clustersSent: Set<string> | undefined = new Set();
  /** Endpoints of clusters that are to go, asked for by a client that has not asked for clusters: it warms, maybe for want of these. */
  readonly #goneEndpoints = new Set<string>();
  readonly #removals: ClusterRemovals;
  /** The list of parts is another, and the client may not have all of it yet. */
  #adopting = false;
  /** The client came with clusters. */
  #isReconnect = false;

  constructor(shared: StreamShared, subscription: Subscription, caller: Caller, wire: Wire, onEnd: (stream: Stream) => void) {
    super(shared, subscription, caller, wire, onEnd);
    this.#view = new PartsView(subscription.parts);
    this.#removals = new ClusterRemovals(shared.limits.removalPatienceMs);
    this.#doubts = shared.doubted.take(claimant(subscription.node, caller));
  }

  /** Another list of parts: everything that differs by version from what was sent is sent. */
  override partsChanged(): void {
    const next = new PartsView(this.subscription.parts);
    for (const state of this.types.values()) {
      if (state.pointers === undefined) continue;
      const differences = this.#view.differences(state.type, state.pointers, next);
      if (differences === undefined) {
        this.#tooFarBehind();
        return;
      }
      for (const name of differences) state.touched.add(name);
      state.pointers = next.pointers(state.type);
      state.isBehind = true;
    }
    this.#view = next;
    this.#due.askAll();
    // It may have become lazy: Envoy does not ask for these again.
    const { onDemand } = this.subscription;
    for (const name of (onDemand && this.types.get(virtualHostType)?.selection.named) ?? none) onDemand?.ask(virtualHostType, name);
    this.#adopting = true;
    this.resume();
  }

  override tablesChanged(types: Iterable<TypeUrl>): void {
    this.#due.tablesChanged(types);
  }

  override standing(change: TableChange): Standing {
    const own = this.#view.parts.includes(change.part) ? change : this.subscription.onDemand?.heldOf(change);
    if (own === undefined) return 'unconcerned';
    const { part, type, version, names } = own;
    const state = this.types.get(type);
    const index = this.#view.parts.indexOf(part);
    if (state === undefined || index < 0 || !this.#isConcerned(state, index, names)) return 'unconcerned';
    if (hasAny(names, state.heldBack)) return 'rejected';
    if (hasAny(names, state.repair?.names() ?? none)) return 'pending';
    if (type === clusterType && (hasAny(names, this.#removals.names) || state.isRemoving((name) => names.has(name)))) return 'pending';
    if (type === virtualHostType && this.#hosts.areDue) return 'pending';
    return (state.held(this.#view)?.[index] ?? -1) >= version ? 'has' : 'pending';
  }

  override standingInPlan(): Standing {
    if (!this.#adopting) return 'has';
    let pending = this.#hosts.areDue || this.#removals.names.size > 0;
    for (const state of this.types.values()) {
      if (state.heldBack.length > 0) return 'rejected';
      // Of hosts nothing is due to a client that has asked for no table.
      if (state.type === virtualHostType && !this.types.has(routeType)) continue;
      if (state.held(this.#view) === undefined || state.repair !== undefined) pending = true;
      if (state.type === clusterType && state.isRemoving(() => true)) pending = true;
    }
    this.#adopting = pending;
    return pending ? 'pending' : 'has';
  }

  /** Of virtual hosts only those of tables that the client has count. */
  #isConcerned(state: DeltaType, index: number, names: ReadonlySet<string>): boolean {
    for (const name of names) {
      if (state.type === virtualHostType ? !this.#hosts.has(routeOf(name)) : !this.#asksFor(state, name)) continue;
      if (!this.#view.covers(state.type, index, name)) return true;
    }
    return false;
  }

  #asksFor(state: DeltaType, name: string): boolean {
    return state.selection.has(name) || state.type === nameTableType;
  }

  protected override sendDue(): void {
    const { onDemand } = this.subscription;
    if (onDemand !== undefined) {
      onDemand.commit();
      // What was asked for changes without a change of the source's.
      this.#due.askAll();
    }
    const { asked } = this.#due;
    if (asked.length > 0) {
      const withChanges = this.#unackedBytes() <= this.shared.limits.maxUnackedBytes;
      for (const state of asked) {
        if ((onDemand !== undefined || this.#mayBeDue(state)) && !this.#serve(state, withChanges)) return;
      }
      this.#due.served((state) => this.#mayBeDue(state));
    }
    this.#removeClusters();
  }

  #mayBeDue(state: DeltaType): boolean {
    return state.mayBeDue || (state.type === virtualHostType && !this.#hosts.isIdle);
  }

  protected override checkDeadlines(nowMs: number): void {
    const { clustersPatienceMs, unackedPatienceMs } = this.shared.limits;
    for (const state of this.types.values()) {
      if (state.repair?.underWay === true && nowMs - state.sentAtMs > unackedPatienceMs) state.repair.giveUpOutstanding();
    }
    const listenersDue = nowMs - this.connectedAtMs >= clustersPatienceMs && [...namesClusters].some((type) => this.#isDue(type));
    const endpoints = this.types.get(endpointType);
    if (nowMs - this.connectedAtMs >= goneEndpointsPatienceMs && endpoints !== undefined) {
      for (const name of this.#goneEndpoints) endpoints.owed.add(name);
      if (this.#goneEndpoints.size > 0) {
        this.#due.askAll();
        this.resume();
      }
      this.#goneEndpoints.clear();
    }
    if (!this.#removals.isOverdue(nowMs) && !listenersDue && this.#due.inFlight === 0) return;
    this.#due.askAll();
    this.resume();
  }

  #isDue(type: TypeUrl): boolean {
    const state = this.types.get(type);
    return state !== undefined && (state.answerDue || state.owed.size > 0);
  }

  protected override released(): void {
    const doubts = new Map<TypeUrl, ReadonlySet<string>>();
    for (const state of this.types.values()) {
      const names = state.unknownNames();
      if (state.type === clusterType) for (const name of this.#removals.names) names.add(name);
      if (names.size > 0) doubts.set(state.type, names);
    }
    // What was not answered on this stream is as doubtful as before.
    for (const [type, names] of this.#doubts) {
      const state = this.types.get(type);
      if (state === undefined || state.claims !== undefined) doubts.set(type, new Set([...names, ...(doubts.get(type) ?? none)]));
    }
    if (doubts.size > 0) this.shared.doubted.add(claimant(this.subscription.node, this.caller), doubts);
  }

  // Requests

  protected override accept(request: DeltaRequest): void {
    if (isReport(request.typeUrl)) return;
    let state = this.types.get(request.typeUrl);
    const first = state === undefined;
    if (state === undefined) {
      if (this.types.size >= maxTypes) {
        this.end('RESOURCE_EXHAUSTED', `more than ${maxTypes} types are subscribed`);
        return;
      }
      state = this.#begin(request);
    }
    const names = request.resourceNamesSubscribe.length + request.resourceNamesUnsubscribe.length;
    if (first || names > 0 || request.errorDetail !== undefined) this.#due.askAll();
    if (request.responseNonce !== '') this.#answered(state, request);
    for (const name of request.resourceNamesUnsubscribe) this.#unsubscribe(state, name);
    if (first && this.#asksForAllEndpoints(state, request.resourceNamesSubscribe)) state.selection.follow();
    else for (const name of request.resourceNamesSubscribe) this.#subscribe(state, name);
    if (first && request.resourceNamesSubscribe.length === 0 && isWildcardByDefault(state.type)) this.#subscribeAll(state);
    if (first) this.#compareNamedClaims(state);
    if (state.selection.size > this.shared.limits.maxNames) {
      this.end('RESOURCE_EXHAUSTED', `more than ${this.shared.limits.maxNames} names of ${state.type} are subscribed`);
      return;
    }
    if (state.type === endpointType && request.resourceNamesSubscribe.length > 0) this.#followEndpoints(state);
  }

  #begin(request: DeltaRequest): DeltaType {
    const state = new DeltaType(request.typeUrl);
    this.#due.add(state);
    if (state.type === clusterType) this.#goneEndpoints.clear();
    const doubts = this.#doubts.get(state.type) ?? none;
    const claims = this.#claimsOf(state, request.initialResourceVersions);
    const { onDemand } = this.subscription;
    if (onDemand?.isAskedFor(state.type) === true) for (const name of claims.keys()) onDemand.adopt(state.type, name);
    if (state.type === clusterType && claims.size > 0) this.#isReconnect = true;
    for (const name of doubts) claims.set(name, '');
    if (claims.size > 0) state.claims = claims;
    state.answerDue = request.resourceNamesSubscribe.length > 0 || isWildcardByDefault(state.type);
    return state;
  }

  #claimsOf(state: DeltaType, claimed: readonly string[]): Map<string, string> {
    // Without belief the names still count: what the client claims, or may have without a claim, and is gone now is removed.
    const believed = state.type !== endpointType || this.types.has(clusterType);
    const claims = new Map<string, string>();
    for (let i = 0; i < claimed.length; i += 2) {
      const name = claimed[i] ?? '';
      const version = claimed[i + 1] ?? '';
      const resource = this.#view.find(state.type, name);
      // The table's strings, so that the request's own copies can be freed while the claims wait to be compared.
      claims.set(resource?.name ?? name, !believed ? '' : resource?.version === version ? resource.version : version);
    }
    return claims;
  }

  /** The usual first request: the endpoints of all clusters, none of which the client claims to have. Nothing is kept of its names. */
  #asksForAllEndpoints({ type, claims }: DeltaType, names: readonly string[]): boolean {
    if (this.subscription.onDemand !== undefined) return false;
    if (type !== endpointType || claims !== undefined || this.types.get(clusterType)?.selection.wildcard !== true) return false;
    let size = 0;
    for (const part of this.#view.parts) size += part.table(endpointType)?.size ?? 0;
    if (size === 0 || size !== names.length || new Set(names).size !== size) return false;
    return names.every((name) => this.#view.find(endpointType, name) !== undefined);
  }

  #subscribe(state: DeltaType, name: string): void {
    if (name === '*') {
      this.#subscribeAll(state);
      return;
    }
    const { onDemand } = this.subscription;
    if (onDemand?.isAskedFor(state.type) === true) {
      this.#ask(state, name, onDemand);
      return;
    }
    const resource = this.#view.find(state.type, name);
    // The table's string, so that the request's own copy can be freed.
    const shared = resource?.name ?? name;
    state.selection.subscribe(shared, resource !== undefined);
    state.owed.add(shared);
  }

  /** Nothing is kept of the name itself: Envoy does not unsubscribe from what it asks for on demand, and asks again for what it loses. */
  #ask(state: DeltaType, name: string, onDemand: OnDemand): void {
    const answer = onDemand.ask(state.type, name);
    if (answer !== undefined) {
      // On a reconnect the names of all that it has asked for come again: what it claims is compared with the rest.
      if (state.claims?.has(answer) !== true) state.owed.add(answer);
    } else if (state.type === clusterType && state.claims?.has(name) !== true) state.owed.add(name);
  }

  #subscribeAll(state: DeltaType): void {
    if (state.selection.follows && state.selection.wildcard) return;
    state.selection.subscribeAll();
    state.answerDue = true;
    // A wildcard that comes later: everything is sent once more.
    if (state.pointers !== undefined) state.pointers = undefined;
  }

  #unsubscribe(state: DeltaType, name: string): void {
    if (name === '*') {
      state.selection.unsubscribeAll();
      return;
    }
    state.owed.delete(name);
    state.selection.unsubscribe(this.#view.find(state.type, name)?.name ?? name);
    if (state.type === routeType && this.#hosts.routeReleased(name, this.#view)) {
      this.subscription.onDemand?.release(name);
      // Envoy may claim hosts that it lacks if the stream breaks after the table is there again and before its hosts are.
      state.marks.set(name, `${state.sentNonce}r`);
    }
  }

  /** First request with names: what is claimed in its present version is not sent again. */
  #compareNamedClaims(state: DeltaType): void {
    const { claims } = state;
    if (claims === undefined || state.selection.follows) return;
    const clusters = state.type === endpointType ? this.#clustersSent : none;
    if (state.type === endpointType) this.#compareEndpointClaims(state, claims);
    for (const name of state.owed) {
      const version = claims.get(name);
      if (clusters === undefined || clusters.has(name) || version === undefined) continue;
      const resource = this.#view.find(state.type, name);
      if (resource?.version !== version) continue;
      state.owed.delete(name);
      if (state.type === routeType && resource.vhds === true)
        this.#hosts.routeClaimed(name, this.types.get(virtualHostType)?.pointers !== undefined);
    }
    // What changes from here on is not what was compared, even if the answer has to wait.
    state.pointers ??= this.#view.pointers(state.type);
    state.claims = undefined;
  }

  /**
   * The client's routes are those of its earlier stream and may be until they are compared. Endpoints of a cluster that is to go stay until it goes,
   * and those of a cluster that is new to the client are not waited for: it has the cluster before its request for them arrives, and the routes.
   */
  #compareEndpointClaims(state: DeltaType, claims: ReadonlyMap<string, string>): void {
    const clusters = this.types.get(clusterType);
    if (clusters !== undefined && !clusters.selection.wildcard) return;
    for (const name of state.owed) {
      const gone = this.#view.find(endpointType, name) === undefined && this.#view.find(clusterType, name) === undefined;
      if (!gone || !claims.has(name)) continue;
      state.owed.delete(name);
      if (clusters === undefined) this.#goneEndpoints.add(name);
    }
    for (const name of this.#clustersSent ?? none) {
      if (this.#view.find(endpointType, name) !== undefined) this.#subscribe(state, name);
    }
  }

  /** The names of all clusters' endpoints, as Envoy asks for them: hold none of them. */
  #followEndpoints(state: DeltaType): void {
    if (this.subscription.onDemand !== undefined) return;
    if (state.selection.follows || this.types.get(clusterType)?.selection.wildcard !== true) return;
    const { named } = state.selection;
    let size = 0;
    for (const part of this.#view.parts) size += part.table(endpointType)?.size ?? 0;
    if (size !== named.size) return;
    for (const name of named) if (this.#view.find(endpointType, name) === undefined) return;
    const all = state.owed.size === size && state.pointers === undefined;
    state.selection.follow();
    if (!all) {
      // What is not owed is known from claims.
      state.pointers ??= this.#view.pointers(endpointType);
      return;
    }
    state.owed.clear();
    state.claims = undefined;
  }

  #answered(state: DeltaType, request: DeltaRequest): void {
    const sent = state.answered(request.responseNonce);
    this.#due.answered(state);
    if (sent === undefined) {
      this.shared.meter.nonceExpired(state.type);
      return;
    }
    if (request.errorDetail === undefined) {
      state.accepted(request.responseNonce, sent);
      if (state.type === clusterType && sent.content.removed.length > 0) this.#removals.accepted();
      this.shared.observer.acked(this, state.type, request.responseNonce, this.shared.now() - sent.sentAtMs);
      return;
    }
    const { code } = request.errorDetail;
    const message = refusalText(request.errorDetail.message);
    const refused = state.refused(request.responseNonce, sent, message);
    const suspects = state.heldBack.filter((name) => refused.versions.has(name));
    this.shared.observer.rejected(this, state.type, suspects.length > 0 ? suspects : [...refused.versions.keys()], message, code);
    if (state.type === clusterType && refused.removed.length > 0) this.#removals.refused(refused.removed, this.shared.now());
  }

  // Responses

  /** False when the stream has to wait. */
  #serve(state: DeltaType, withChanges: boolean): boolean {
    if (namesClusters.has(state.type) && this.#clustersAreMissing()) return true;
    if (state.type === virtualHostType) return this.#serveHosts(state, withChanges) && this.#serveRepair(state);
    if (state.type === nameTableType) return this.#serveNames(state, withChanges);
    if (state.pointers === undefined && !state.answerDue && state.owed.size === 0) return true;
    const draft =
      state.pointers === undefined ? firstAnswer(state, this.#standpoint()) : laterAnswer(state, this.#standpoint(), withChanges);
    if (draft === 'too far behind') {
      this.#tooFarBehind();
      return false;
    }
    if (draft === undefined) state.isBehind &&= !withChanges;
    else {
      const bytes = sizeOf(draft);
      const isEmpty = draft.steps.length + draft.own.length + draft.removed.length === 0;
      if (!isEmpty && !this.reserve(bytes)) return false;
      const isDue = !isEmpty || (state.answerDue && answersWithNothing(state.type));
      if (isDue) this.#send(state, draft, bytes, draft.pointers, state.answerDue || state.owed.size > 0);
      this.#commit(state, draft, withChanges);
    }
    return this.writable && this.#serveRepair(state);
  }

  /** On a reconnect during warming Envoy asks for endpoints, listeners and routes before it asks for clusters. */
  #clustersAreMissing(): boolean {
    if (this.types.has(clusterType) || !this.types.has(endpointType)) return false;
    return this.shared.now() - this.connectedAtMs < this.shared.limits.clustersPatienceMs;
  }

  #standpoint(): Standpoint {
    const { encoder } = this.shared;
    return { view: this.#view, encoder, clusters: this.types.get(clusterType), onDemand: this.subscription.onDemand !== undefined };
  }

  #commit(state: DeltaType, draft: Draft, withChanges: boolean): void {
    state.served(this.#view, draft.pointers, withChanges);
    for (const name of draft.later) this.#removals.add(name, this.shared.now());
  }

  /** `pointers`: what the client has once it accepts this, and all before; undefined where that is no more than before. */
  #send(state: DeltaType, content: ResponseContent, reserved: number, pointers: Pointers | undefined, asked = false): string {
    const nonce = this.nextNonce();
    const frames = [...content.steps.flatMap((step) => step.frames), ...content.own.flatMap((own) => own.frames)];
    const version = this.shared.source.version;
    const message = this.shared.responses.delta.write(state.type, version, nonce, frames, content.removed);
    state.sent(nonce, {
      content,
      unaskedBytes: asked ? 0 : message.byteLength,
      sentAtMs: this.shared.now(),
      version,
      position: pointers === undefined ? undefined : { view: this.#view, pointers },
    });
    this.#due.sent(state);
    this.write(state.type, message, reserved);
    let resources = content.own.length + (content.unnamed ?? 0);
    for (const step of content.steps) resources += step.resources.length;
    this.shared.observer.sent(this, state.type, message.byteLength, resources, content.removed.length);
    if (state.type === clusterType) this.#clustersWereSent(state, content);
    if (state.type === routeType) this.#routesWereSent(state, content);
    return nonce;
  }

  /**
   * A changed EDS cluster warms until its endpoints come after it, changed or not; Envoy does not ask for them again. For those of a new cluster it
   * will ask, but routes may name the cluster before that request is here.
   */
  #clustersWereSent(state: DeltaType, content: ResponseContent): void {
    const endpoints = this.types.get(endpointType);
    if (endpoints === undefined && content.steps.length > 0) this.#clustersSent = undefined;
    const names = endpoints?.touched ?? this.#clustersSent;
    if (names === undefined) return;
    const add = ({ name }: EncodedResource): void => {
      if (endpoints !== undefined) {
        if (this.#view.find(endpointType, name) === undefined) return;
        if (state.selection.wildcard) endpoints.selection.subscribe(name, true);
      }
      names.add(name);
    };
    for (const step of content.steps) step.resources.forEach(add);
    for (const own of content.own) add(own.resource);
  }

  #routesWereSent(state: DeltaType, content: ResponseContent): void {
    const add = (resource: EncodedResource): void => {
      state.marks.delete(resource.name);
      if (resource.vhds === true) this.#hosts.routeSent(resource.name);
    };
    for (const step of content.steps) step.resources.forEach(add);
    for (const own of content.own) add(own.resource);
  }

  #serveHosts(state: DeltaType, withChanges: boolean): boolean {
    // Claims mean nothing before it is known which tables the client has.
    if (state.claims !== undefined && !this.types.has(routeType)) return true;
    if (state.pointers !== undefined && this.#hosts.isIdle && state.touched.size + state.owed.size === 0) {
      if (!withChanges) return true;
      if (this.#view.isAt(virtualHostType, state.pointers)) {
        state.isBehind = false;
        return true;
      }
    }
    const plan = this.#hosts.plan(state, this.#view, this.shared.encoder, withChanges);
    if (plan === undefined) {
      this.#tooFarBehind();
      return false;
    }
    let bytes = 0;
    for (const { content } of plan.responses) bytes += sizeOf(content);
    if (!this.reserve(bytes)) return false;
    const last = plan.responses.length - 1;
    plan.responses.forEach(({ content }, i) => this.#send(state, content, i === 0 ? bytes : 0, i === last ? plan.pointers : undefined));
    this.#hosts.commit(plan);
    state.served(this.#view, plan.pointers, withChanges);
    return this.writable;
  }

  /** Always the whole of what the proxy sees: the agent replaces its table with it. */
  #serveNames(state: DeltaType, withChanges: boolean): boolean {
    const isCurrent = state.pointers !== undefined && !state.answerDue && state.touched.size === 0;
    if (isCurrent && !withChanges) return true;
    if (isCurrent && this.#view.isAt(nameTableType, state.pointers ?? [])) {
      state.isBehind = false;
      return true;
    }
    const pointers = this.#view.pointers(nameTableType);
    const frames = this.shared.nameTables.frames('delta', this.shared.source.version, this.#view);
    if (frames !== undefined) {
      const steps = [{ frames, byteLength: totalLength(frames), resources: [], gone: [] }];
      const content = { steps, own: [], removed: [], unnamed: 1 };
      const bytes = sizeOf(content);
      if (!this.reserve(bytes)) return false;
      this.#send(state, content, bytes, pointers, state.answerDue);
    }
    state.served(this.#view, pointers, true);
    return this.writable;
  }

  /** One repair response at a time, so that a further refusal is narrowed down. */
  #serveRepair(state: DeltaType): boolean {
    for (;;) {
      const group = state.repair?.next();
      if (group === undefined || state.repair === undefined) return true;
      const own: OwnFrame[] = [];
      const removed: string[] = [];
      const mark = `${state.sentNonce}n`;
      for (const name of new Set([...group.names, ...group.removed])) {
        if (!this.#isWanted(state, name)) continue;
        const resource = this.#view.find(state.type, name);
        if (resource !== undefined) own.push({ resource, frames: deltaFrame(state.type, resource, `${resource.version}~${mark}`) });
        else if (state.type === clusterType) this.#removals.add(name, this.shared.now());
        else if (state.type === endpointType) own.push(ownFrame(state, this.shared.encoder, this.shared.encoder.emptyLoadAssignment(name)));
        else removed.push(name);
      }
      const content = { steps: [], own, removed };
      if (own.length + removed.length === 0) {
        state.repair.sent(undefined);
        if (state.repair.isDone) state.repair = undefined;
        continue;
      }
      const bytes = sizeOf(content);
      if (!this.reserve(bytes)) return false;
      state.repair.sent(this.#send(state, content, bytes, undefined));
      return this.writable;
    }
  }

  #isWanted(state: DeltaType, name: string): boolean {
    if (state.type === virtualHostType) return this.#hosts.has(name.slice(0, Math.max(0, name.indexOf('/'))));
    return state.selection.has(name);
  }

  /** Last of all, when the client has said that it has the listeners and routes that no longer name them. */
  #removeClusters(): void {
    const state = this.types.get(clusterType);
    const nowMs = this.shared.now();
    if (state === undefined || !this.#removals.isOpen(nowMs)) return;
    const listeners = this.types.get(listenerType);
    const used =
      // After a reconnect the listeners and routes are yet to be compared.
      listeners === undefined ||
      listeners.answerDue ||
      (this.#isReconnect && [routeType, virtualHostType].some((type) => this.#isYetToBeCompared(type))) ||
      [listenerType, routeType, virtualHostType].some((type) => (this.types.get(type)?.inFlight ?? 0) > 0);
    if (used && !this.#removals.isOverdue(nowMs)) return;
    const removed = this.#removals.take().filter((name) => this.#view.find(clusterType, name) === undefined);
    if (removed.length > 0) this.#send(state, { steps: [], own: [], removed }, 0, undefined);
  }

  /** The client may have such resources of an earlier stream, and has not asked for their present versions or has not been answered. */
  #isYetToBeCompared(type: TypeUrl): boolean {
    if (this.types.get(type)?.pointers !== undefined) return false;
    return this.#view.parts.some((part) => (part.table(type)?.size ?? 0) > 0);
  }

  #tooFarBehind(): void {
    // Envoy comes back at once and says what it has.
    this.end('ABORTED', 'the stream is too far behind to know what has changed since');
  }

  #unackedBytes(): number {
    return this.#due.unackedBytes(this.shared.now() - this.shared.limits.unackedPatienceMs);
  }
}

/** A node names itself: whoever has not proven the same takes nothing of what is known of its claims. */
function claimant({ id }: ClaimedNode, { identity }: Caller): string {
  return `${identity?.spiffeId ?? ''} ${id}`;
}

const none: ReadonlySet<string> = new Set();
/** Types whose resources are of no use before the clusters that they name. */
const namesClusters: ReadonlySet<TypeUrl> = new Set([listenerType, routeType, virtualHostType]);

function hasAny(names: ReadonlySet<string>, of: Iterable<string>): boolean {
  for (const name of of) if (names.has(name)) return true;
  return false;
}
