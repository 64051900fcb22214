import { fromBinary } from '@bufbuild/protobuf';
import { DeltaDiscoveryResponseSchema, DiscoveryResponseSchema } from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import { clusterType, endpointType, listenerType, routeType, virtualHostType } from '../../wire/types.ts';
import type { DeltaRequest } from '../delta-stream.ts';
import type { SotwRequest } from '../sotw-stream.ts';
import type { TypeUrl } from '../source.ts';

/** One resource of a response, decoded as far as the model needs it. */
export interface Received {
  readonly type: TypeUrl;
  readonly name: string;
  /** Without the mark that a repair adds. State of the world: `contentOf` the bytes. */
  readonly version: string;
  readonly bytes: Uint8Array;
}

export interface FakeEnvoyOptions {
  readonly send: (request: DeltaRequest | SotwRequest) => void;
  readonly protocol?: 'delta' | 'sotw';
  /** Resources that it refuses. `semantic`: it names it and applies the others; `validation`: it names nothing and applies nothing. */
  readonly refuses?: (resource: Received) => 'semantic' | 'validation' | undefined;
  /** The clusters whose endpoints come by EDS. Default: all. */
  readonly isEds?: (cluster: Received) => boolean;
  /** The route tables that a listener names. */
  readonly routesOf?: (listener: Received) => readonly string[];
  /** State of the world: the name and version of a resource, which only its bytes say. */
  readonly describe?: (
    type: TypeUrl,
    bytes: Uint8Array,
  ) => { readonly name: string; readonly version: string; readonly hosts?: readonly Received[] };
  /** Further types to ask for, with names. */
  readonly also?: ReadonlyMap<TypeUrl, readonly string[]>;
}

/**
 * A model of an Envoy's ADS client. It holds the version of each resource and what it needs of Envoy's habits: it asks for endpoints of the
 * clusters and routes of the listeners that it has, holds back the ACKs of clusters while one warms, warms a changed cluster until its endpoints
 * come after it, drops hosts that come before their table, ignores the removal of endpoints, and after a refusal holds a mix whose versions
 * it does not tell.
 */
export class FakeEnvoy {
  /** What is in force: type to name to version. */
  readonly held = new Map<TypeUrl, Map<string, string>>();
  /** Rules of Envoy's that a response broke. */
  readonly violations: string[] = [];
  readonly refusals: string[] = [];
  readonly #options: FakeEnvoyOptions;
  readonly #protocol: 'delta' | 'sotw';
  /** What it tells on a reconnect. */
  readonly #claims = new Map<TypeUrl, Map<string, string>>();
  readonly #asked = new Map<TypeUrl, Set<string>>();
  /** Names that requests have asked for on demand; Envoy never unsubscribes from them. */
  readonly #demanded = new Map<TypeUrl, Set<string>>();
  readonly #warming = new Set<string>();
  readonly #heldBackAcks: DeltaRequest[] = [];
  readonly #nonces = new Map<TypeUrl, string>();
  #begun = new Set<TypeUrl>();
  #messages = 0;
  #bytes = 0;

  constructor(options: FakeEnvoyOptions) {
    this.#options = options;
    this.#protocol = options.protocol ?? 'delta';
  }

  get messages(): number {
    return this.#messages;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get warming(): ReadonlySet<string> {
    return this.#warming;
  }

  versions(type: TypeUrl): ReadonlyMap<string, string> {
    return this.#heldOf(type);
  }

  asksFor(type: TypeUrl, name: string): boolean {
    return this.#askedOf(type).has(name);
  }

  /** On a new stream, the first or a later one. */
  connect(): void {
    this.#begun = new Set();
    this.#nonces.clear();
    this.#heldBackAcks.length = 0;
    // While a cluster warms CDS is paused, and with it the request for it.
    if (this.#warming.size === 0 || this.#protocol === 'sotw') this.#begin(clusterType, this.#wildcard(clusterType));
    if (this.#askedOf(endpointType).size > 0) this.#begin(endpointType, [...this.#askedOf(endpointType)]);
    this.#begin(listenerType, []);
    if (this.#askedOf(routeType).size > 0) this.#begin(routeType, [...this.#askedOf(routeType)]);
    if (this.#protocol === 'delta' && this.#asked.has(virtualHostType)) this.#begin(virtualHostType, this.#wildcard(virtualHostType));
    for (const [type, names] of this.#options.also ?? []) this.#begin(type, names);
  }

  /** Hosts that were asked for of tables that it has had ever since: it does not ask for them again. */
  readonly demandedHosts = new Set<string>();

  /** A request for a host or cluster that it lacks: `<table>/<Host header>`, or the cluster's name. Without the table there is no question. */
  demand(type: TypeUrl, name: string): void {
    if (type === virtualHostType) {
      if (!this.#heldOf(routeType).has(name.split('/')[0] ?? '') || this.demandedHosts.has(name)) return;
      this.demandedHosts.add(name);
    }
    entry(this.#demanded, type, () => new Set()).add(name);
    if (!this.#begun.has(type)) return;
    this.#options.send({
      typeUrl: type,
      resourceNamesSubscribe: [name],
      resourceNamesUnsubscribe: [],
      initialResourceVersions: [],
      responseNonce: '',
    });
  }

  /** Names of a first request for everything. */
  #wildcard(type: TypeUrl): readonly string[] {
    const demanded = this.#demanded.get(type);
    return demanded === undefined ? [] : ['*', ...demanded];
  }

  /** One response, as bytes. */
  receive(message: Uint8Array): void {
    this.#messages++;
    this.#bytes += message.byteLength;
    if (this.#protocol === 'delta') this.#receiveDelta(message);
    else this.#receiveSotw(message);
  }

  // Delta

  #receiveDelta(message: Uint8Array): void {
    const { typeUrl: type, nonce, resources, removedResources: removed } = fromBinary(DeltaDiscoveryResponseSchema, message);
    const received = resources.map(({ name, version, resource }) => ({ type, name, version, bytes: resource?.value ?? new Uint8Array() }));
    const names = [...received.map(({ name }) => name), ...removed];
    if (new Set(names).size !== names.length) {
      this.violations.push(`${type}: a name twice in one response: ${names.join(' ')}`);
      this.#answer(type, nonce, 'duplicate name found');
      return;
    }
    if (type === virtualHostType && new Set(names.map((name) => name.split('/')[0])).size > 1) {
      this.violations.push(`one response with hosts of several tables: ${names.join(' ')}`);
    }
    const refused = received
      .map((resource) => ({ resource, kind: this.#options.refuses?.(resource) }))
      .filter(({ kind }) => kind !== undefined);
    const invalid = refused.find(({ kind }) => kind === 'validation' || type === virtualHostType);
    if (invalid !== undefined) {
      this.#answer(type, nonce, 'Proto constraint validation failed');
      return;
    }
    const bad = new Set(refused.map(({ resource }) => resource.name));
    const good = received.filter((resource) => !bad.has(resource.name));
    this.#apply(type, good, removed);
    if (bad.size > 0) {
      const [name] = bad;
      this.#answer(type, nonce, `Error adding/updating listener(s) ${[...bad].map((each) => `${each}: no`).join('\n') || name}`);
      return;
    }
    const claims = this.#claimsOf(type);
    const isNamed = type === endpointType || type === routeType;
    for (const { name, version } of received) if (!isNamed || this.#askedOf(type).has(name)) claims.set(name, version);
    for (const name of removed) claims.delete(name);
    this.#answer(type, nonce);
  }

  #answer(type: TypeUrl, nonce: string, error?: string): void {
    if (error !== undefined) this.refusals.push(error);
    const request: DeltaRequest = {
      typeUrl: type,
      resourceNamesSubscribe: [],
      resourceNamesUnsubscribe: [],
      initialResourceVersions: [],
      responseNonce: nonce,
      ...(error !== undefined && { errorDetail: { message: error } }),
    };
    if (type === clusterType && this.#warming.size > 0) this.#heldBackAcks.push(request);
    else this.#options.send(request);
  }

  #apply(type: TypeUrl, resources: readonly Received[], removed: readonly string[]): void {
    const held = this.#heldOf(type);
    if (type === clusterType) this.#applyClusters(resources, removed);
    else if (type === endpointType) {
      for (const { name, version } of resources) {
        if (!this.#askedOf(endpointType).has(name)) continue;
        held.set(name, plain(version));
        this.#warm(name);
      }
    } else if (type === listenerType) {
      for (const name of removed) held.delete(name);
      for (const resource of resources) held.set(resource.name, plain(resource.version));
      this.#applyListeners(resources, removed);
    } else if (type === routeType) {
      for (const { name, version } of resources) if (this.#askedOf(routeType).has(name)) held.set(name, plain(version));
      if (resources.length > 0 && this.#protocol === 'delta' && !this.#asked.has(virtualHostType)) {
        this.#asked.set(virtualHostType, new Set());
        this.#begin(virtualHostType, this.#wildcard(virtualHostType));
      }
    } else if (type === virtualHostType) {
      const tables = this.#heldOf(routeType);
      for (const name of removed) held.delete(name);
      for (const { name, version } of resources) if (tables.has(name.split('/')[0] ?? '')) held.set(name, plain(version));
    } else {
      for (const name of removed) held.delete(name);
      for (const { name, version } of resources) held.set(name, plain(version));
    }
  }

  #applyClusters(resources: readonly Received[], removed: readonly string[]): void {
    const held = this.#heldOf(clusterType);
    const added: string[] = [];
    const ended = [...removed];
    for (const resource of resources) {
      const { name, version } = resource;
      const before = held.get(name);
      held.set(name, plain(version));
      if (before === plain(version)) continue;
      if (this.#options.isEds?.(resource) === false) {
        // It may have been one before.
        ended.push(name);
        continue;
      }
      this.#warming.add(name);
      if (!this.#askedOf(endpointType).has(name)) added.push(name);
    }
    for (const name of removed) held.delete(name);
    for (const name of ended) {
      this.#warm(name);
      this.#heldOf(endpointType).delete(name);
    }
    this.#change(
      endpointType,
      added,
      ended.filter((name) => this.#askedOf(endpointType).has(name)),
    );
  }

  #warm(cluster: string): void {
    if (!this.#warming.delete(cluster) || this.#warming.size > 0) return;
    if (!this.#begun.has(clusterType)) this.#begin(clusterType, this.#wildcard(clusterType));
    for (const ack of this.#heldBackAcks.splice(0)) this.#options.send(ack);
  }

  readonly #routes = new Map<string, readonly string[]>();

  #applyListeners(resources: readonly Received[], removed: readonly string[]): void {
    for (const name of removed) this.#routes.delete(name);
    for (const resource of resources) this.#routes.set(resource.name, this.#options.routesOf?.(resource) ?? []);
    const wanted = new Set([...this.#routes.values()].flat());
    const asked = this.#askedOf(routeType);
    const dropped = [...asked].filter((name) => !wanted.has(name));
    for (const name of dropped) {
      this.#heldOf(routeType).delete(name);
      // Its hosts go with it, but are still claimed.
      for (const host of [...this.#heldOf(virtualHostType).keys()])
        if (host.startsWith(`${name}/`)) this.#heldOf(virtualHostType).delete(host);
      for (const host of this.demandedHosts) if (host.startsWith(`${name}/`)) this.demandedHosts.delete(host);
    }
    this.#change(
      routeType,
      [...wanted].filter((name) => !asked.has(name)),
      dropped,
    );
  }

  /** Subscribes to and unsubscribes from names of a type. */
  #change(type: TypeUrl, added: readonly string[], dropped: readonly string[]): void {
    if (added.length + dropped.length === 0) return;
    const asked = this.#askedOf(type);
    for (const name of added) asked.add(name);
    for (const name of dropped) {
      asked.delete(name);
      this.#claimsOf(type).delete(name);
    }
    if (!this.#begun.has(type)) {
      this.#begin(type, [...asked]);
      return;
    }
    if (this.#protocol === 'sotw') {
      this.#options.send({ typeUrl: type, resourceNames: [...asked], responseNonce: this.#nonces.get(type) ?? '' });
      return;
    }
    this.#options.send({
      typeUrl: type,
      resourceNamesSubscribe: added,
      resourceNamesUnsubscribe: dropped,
      initialResourceVersions: [],
      responseNonce: '',
    });
  }

  #begin(type: TypeUrl, names: readonly string[]): void {
    this.#begun.add(type);
    if (this.#protocol === 'sotw') {
      this.#options.send({ typeUrl: type, resourceNames: names, responseNonce: '' });
      return;
    }
    this.#options.send({
      typeUrl: type,
      resourceNamesSubscribe: names,
      resourceNamesUnsubscribe: [],
      initialResourceVersions: [...this.#claimsOf(type)].flat(),
      responseNonce: '',
    });
  }

  // State of the world

  #receiveSotw(message: Uint8Array): void {
    const { typeUrl: type, nonce, resources } = fromBinary(DiscoveryResponseSchema, message);
    const { describe, refuses } = this.#options;
    if (describe === undefined) throw new Error('a state-of-the-world client needs to describe resources');
    const described = resources.map(({ value }) => ({ type, bytes: value, ...describe(type, value) }));
    this.#nonces.set(type, nonce);
    const refused = described.filter((resource) => refuses?.(resource) !== undefined);
    if (refused.length > 0) {
      this.refusals.push(refused.map(({ name }) => name).join(' '));
      this.#answerSotw(type, nonce, 'Proto constraint validation failed');
      return;
    }
    const held = this.#heldOf(type);
    if (type === clusterType || type === listenerType) {
      const present = new Set(described.map(({ name }) => name));
      const changed = described.filter(({ name, version }) => held.get(name) !== version);
      this.#apply(
        type,
        changed,
        [...held.keys()].filter((name) => !present.has(name)),
      );
      this.#answerSotw(type, nonce);
      // Envoy asks again for what it has, the names in another order.
      if (type === clusterType && this.#begun.has(endpointType)) {
        this.#options.send({
          typeUrl: endpointType,
          resourceNames: [...this.#askedOf(endpointType)].reverse(),
          responseNonce: this.#nonces.get(endpointType) ?? '',
        });
      }
      return;
    }
    this.#apply(type, described, []);
    const hosts = this.#heldOf(virtualHostType);
    for (const { name, hosts: inline } of described) {
      if (inline === undefined) continue;
      for (const host of [...hosts.keys()]) if (host.startsWith(`${name}/`)) hosts.delete(host);
      for (const host of inline) hosts.set(host.name, host.version);
    }
    this.#answerSotw(type, nonce);
  }

  #answerSotw(type: TypeUrl, nonce: string, error?: string): void {
    const names = type === clusterType || type === listenerType ? [] : [...(this.#options.also?.get(type) ?? this.#askedOf(type))];
    this.#options.send({
      typeUrl: type,
      resourceNames: names,
      responseNonce: nonce,
      ...(error !== undefined && { errorDetail: { message: error } }),
    });
  }

  #heldOf(type: TypeUrl): Map<string, string> {
    return entry(this.held, type, () => new Map());
  }

  #claimsOf(type: TypeUrl): Map<string, string> {
    return entry(this.#claims, type, () => new Map());
  }

  #askedOf(type: TypeUrl): Set<string> {
    return this.#asked.get(type) ?? (type === virtualHostType ? new Set() : entry(this.#asked, type, () => new Set()));
  }
}

/** The version without the mark that keeps a claim of it from being believed. */
export function plain(version: string): string {
  const mark = version.indexOf('~');
  return mark < 0 ? version : version.slice(0, mark);
}

function entry<K, V>(map: Map<K, V>, key: K, create: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = create()));
  return value;
}
