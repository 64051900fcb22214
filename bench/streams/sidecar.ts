/** One simulated sidecar over delta: what Envoy asks for and when, without what it does with the answers. */
import { refusalMessage, type SimulatedStream, type StreamOptions } from './proxy.ts';
import { encodeRequest } from './request.ts';
import type { Content, Response } from './response.ts';
import * as types from './types.ts';

export interface SidecarOptions extends StreamOptions {
  /** Encodes a subscription; streams that ask for the same names share the bytes. Default: `encodeRequest` each time. */
  readonly encode?: typeof encodeRequest;
}

/**
 * As Envoy does: clusters first, endpoints of every EDS cluster, listeners once all those endpoints are there, the route tables that listeners name,
 * and one wildcard subscription to virtual hosts from the first table that wants them. Everything is acknowledged at once. (A real Envoy holds the ACK of
 * clusters back until they have warmed.)
 */
export class Sidecar implements SimulatedStream {
  readonly #options: SidecarOptions;
  readonly #encode: typeof encodeRequest;
  /** Names asked for, by type. */
  #asked = new Map<string, Set<string>>();
  /** Asked for and never received on this stream. */
  #missing = new Map<string, Set<string>>();
  #begun = new Set<string>();
  /** The tables of each listener, and the load assignment of each cluster. */
  readonly #references = new Map<string, Map<string, readonly string[]>>();
  /** Tables whose hosts come by VHDS, and those of them of which none has come. */
  readonly #tables = new Set<string>();
  readonly #emptyTables = new Set<string>();
  /** Every content in order of receipt, from which the versions of a reconnect follow. Kept only when they are asked for. */
  #history: Content[] = [];
  readonly #keepVersions: boolean;
  #nodeSent = false;

  constructor(options: SidecarOptions, keepVersions = false) {
    this.#options = options;
    this.#encode = options.encode ?? encodeRequest;
    this.#keepVersions = keepVersions;
  }

  /** Begins on a new stream. After a reconnect it tells the versions that it holds. */
  open(): void {
    const held = this.#heldVersions();
    const asked = this.#asked;
    this.#begun = new Set();
    this.#missing = new Map();
    this.#nodeSent = false;
    const first = (type: string): void => this.#begin(type, [...(asked.get(type) ?? [])], held.get(type));
    first(types.clusters);
    if (held.size === 0) return;
    first(types.endpoints);
    if (asked.has(types.secrets)) first(types.secrets);
    first(types.listeners);
    if (asked.has(types.routes)) first(types.routes);
    if (held.has(types.virtualHosts)) first(types.virtualHosts);
  }

  receive({ nonce, content }: Response): void {
    const { type, resources, removed } = content;
    if (type === this.#options.refusedType && this.synced) {
      this.#send({ type, nonce, error: refusalMessage });
      return;
    }
    if (this.#keepVersions) this.#history.push(content);
    this.#send({ type, nonce });
    const missing = this.#missing.get(type);
    if (missing !== undefined && missing.size > 0) for (const { name } of resources) missing.delete(name);
    if (type === types.clusters) {
      this.#follow(content, types.endpoints);
      // Clusters of the mesh name them first.
      const { secrets = [] } = this.#options;
      if (secrets.length > 0 && !this.#begun.has(types.secrets)) this.#begin(types.secrets, secrets);
    } else if (type === types.listeners) this.#follow(content, types.routes);
    else if (type === types.routes) {
      for (const { name, vhds } of resources) if (vhds) this.#expectHosts(name);
    } else if (type === types.virtualHosts && this.#emptyTables.size > 0) {
      for (const { name } of resources) this.#emptyTables.delete(tableOf(name));
      for (const name of removed) this.#emptyTables.delete(tableOf(name));
    }
    if (!this.#begun.has(types.listeners) && this.#begun.has(types.endpoints) && this.#missingOf(types.endpoints) === 0)
      this.#begin(types.listeners, []);
  }

  /** Everything that was asked for has come. */
  get synced(): boolean {
    if (!this.#begun.has(types.listeners) || this.#missing.has(types.listeners)) return false;
    for (const names of this.#missing.values()) if (names.size > 0) return false;
    return this.#emptyTables.size === 0;
  }

  #missingOf(type: string): number {
    return this.#missing.get(type)?.size ?? 0;
  }

  #expectHosts(table: string): void {
    if (!this.#begun.has(types.virtualHosts)) this.#begin(types.virtualHosts, []);
    // Only the first answer matters for readiness; later versions of a table keep its hosts.
    if (!this.#tables.has(table)) this.#emptyTables.add(table);
    this.#tables.add(table);
  }

  /** Subscribes to what new resources refer to and unsubscribes from what nothing refers to any more. */
  #follow(content: Content, type: string): void {
    // The first answer of a wildcard subscription, even an empty one.
    this.#missing.delete(content.type);
    const byName = this.#references.get(content.type) ?? new Map<string, readonly string[]>();
    this.#references.set(content.type, byName);
    const dropped: string[] = [];
    for (const { name, references } of content.resources) {
      const before = byName.get(name);
      if (before !== undefined) dropped.push(...before.filter((reference) => !references.includes(reference)));
      byName.set(name, references);
    }
    for (const name of content.removed) {
      dropped.push(...(byName.get(name) ?? []));
      byName.delete(name);
    }
    const asked = this.#asked.get(type) ?? new Set<string>();
    // The same array for all streams that begin with this content, so that the request is encoded once.
    const added = asked.size === 0 ? content.references : content.references.filter((name) => !asked.has(name));
    const unsubscribe = dropped.length === 0 ? [] : this.#unused(dropped, byName, asked);
    for (const name of unsubscribe) {
      asked.delete(name);
      this.#missing.get(type)?.delete(name);
      this.#tables.delete(name);
      this.#emptyTables.delete(name);
    }
    if (!this.#begun.has(type)) {
      this.#asked.set(type, asked);
      if (added.length > 0 || type === types.endpoints) this.#begin(type, added);
      return;
    }
    if (added.length + unsubscribe.length === 0) return;
    for (const name of added) asked.add(name);
    this.#asked.set(type, asked);
    this.#expect(type, added);
    this.#send({ type, subscribe: added, unsubscribe });
  }

  #unused(dropped: readonly string[], byName: ReadonlyMap<string, readonly string[]>, asked: ReadonlySet<string>): string[] {
    const used = new Set([...byName.values()].flat());
    return [...new Set(dropped)].filter((name) => !used.has(name) && asked.has(name));
  }

  #begin(type: string, names: readonly string[], initialVersions?: ReadonlyMap<string, string>): void {
    this.#begun.add(type);
    const wildcard = type === types.clusters || type === types.listeners || type === types.virtualHosts;
    if (!wildcard) {
      this.#asked.set(type, new Set(names));
      // What it claims in the version that the server has is not sent again.
      if (initialVersions === undefined) this.#expect(type, names);
      if (names.length === 0) return;
    } else if (type !== types.virtualHosts && initialVersions === undefined) this.#expect(type, ['*']);
    this.#send({ type, subscribe: names, ...(initialVersions === undefined ? {} : { initialVersions }) });
  }

  #expect(type: string, names: readonly string[]): void {
    const missing = this.#missing.get(type);
    if (missing === undefined) this.#missing.set(type, new Set(names));
    else for (const name of names) missing.add(name);
  }

  #send(request: Parameters<typeof encodeRequest>[0]): void {
    const first = !this.#nodeSent;
    this.#nodeSent = true;
    this.#options.send([this.#encode(first ? { ...request, node: this.#options.node } : request)]);
  }

  #heldVersions(): Map<string, Map<string, string>> {
    const held = new Map<string, Map<string, string>>();
    for (const { type, resources, removed } of this.#history) {
      let versions = held.get(type);
      if (versions === undefined) held.set(type, (versions = new Map()));
      for (const { name, version } of resources) versions.set(name, version);
      for (const name of removed) versions.delete(name);
    }
    for (const type of [types.endpoints, types.routes, types.secrets]) {
      const asked = this.#asked.get(type);
      for (const name of held.get(type)?.keys() ?? []) if (asked?.has(name) !== true) held.get(type)?.delete(name);
    }
    return held;
  }
}

function tableOf(host: string): string {
  return host.slice(0, host.lastIndexOf('/'));
}
