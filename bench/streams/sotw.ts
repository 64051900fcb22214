/** One simulated sidecar over the state of the world: every answer of CDS, LDS and RDS is whole, and every request names all that is wanted. */
import { encodeSotwRequest } from './request.ts';
import { refusalMessage, type SimulatedStream, type StreamOptions } from './proxy.ts';
import type { Response } from './response.ts';
import * as types from './types.ts';

/**
 * As Envoy does: clusters first, the endpoints of all EDS clusters in one request, listeners once those are there, and the route tables that listeners
 * name. Everything is acknowledged at once, with the names again. There are no virtual hosts on demand in this protocol.
 */
export class SotwSidecar implements SimulatedStream {
  readonly #options: StreamOptions;
  /** Names asked for, by type; none for a wildcard. */
  readonly #names = new Map<string, readonly string[]>();
  readonly #versions = new Map<string, string>();
  #nonces = new Map<string, string>();
  /** Asked for and never received on this stream. */
  #missing = new Map<string, Set<string>>();
  #begun = new Set<string>();
  #nodeSent = false;

  constructor(options: StreamOptions) {
    this.#options = options;
  }

  open(): void {
    const again = this.#begun;
    this.#begun = new Set();
    this.#nonces = new Map();
    this.#missing = new Map();
    this.#nodeSent = false;
    this.#begin(types.clusters, []);
    for (const type of [types.endpoints, types.listeners, types.routes])
      if (again.has(type)) this.#begin(type, this.#names.get(type) ?? []);
  }

  receive({ nonce, version, content }: Response): void {
    const { type } = content;
    this.#nonces.set(type, nonce);
    if (type === this.#options.refusedType && this.synced) {
      this.#send(type, refusalMessage);
      return;
    }
    this.#versions.set(type, version);
    const missing = this.#missing.get(type);
    if (missing !== undefined && missing.size > 0) for (const { name } of content.resources) missing.delete(name);
    missing?.delete('*');
    this.#send(type);
    if (type === types.clusters) {
      this.#want(types.endpoints, content.references);
      // Clusters of the mesh name them first.
      if (!this.#begun.has(types.secrets)) this.#begin(types.secrets, this.#options.secrets ?? []);
    } else if (type === types.listeners) this.#want(types.routes, content.references);
    if (!this.#begun.has(types.listeners) && this.#begun.has(types.clusters) && !this.#waitsFor(types.clusters, types.endpoints))
      this.#begin(types.listeners, []);
  }

  get synced(): boolean {
    if (!this.#begun.has(types.listeners)) return false;
    for (const names of this.#missing.values()) if (names.size > 0) return false;
    return true;
  }

  #waitsFor(...of: readonly string[]): boolean {
    return of.some((type) => (this.#missing.get(type)?.size ?? 0) > 0);
  }

  /** `names` replace those that were asked for. */
  #want(type: string, names: readonly string[]): void {
    const before = this.#names.get(type) ?? [];
    if (names === before || (names.length === before.length && names.every((name, i) => name === before[i]))) return;
    if (!this.#begun.has(type)) {
      this.#begin(type, names);
      return;
    }
    const [wanted, held] = [new Set(names), new Set(before)];
    const missing = new Set([...(this.#missing.get(type) ?? [])].filter((name) => wanted.has(name)));
    for (const name of names) if (!held.has(name)) missing.add(name);
    this.#missing.set(type, missing);
    this.#names.set(type, names);
    this.#send(type);
  }

  #begin(type: string, names: readonly string[]): void {
    const wildcard = type === types.clusters || type === types.listeners;
    // Names that nothing wants would ask for everything.
    if (!wildcard && names.length === 0) return;
    this.#begun.add(type);
    this.#names.set(type, names);
    this.#missing.set(type, new Set(wildcard ? ['*'] : names));
    this.#send(type);
  }

  /** Accepts the last response of the type, or refuses it, or asks for something else; the first request of a stream tells the node. */
  #send(type: string, error?: string): void {
    const nonce = this.#nonces.get(type);
    const first = !this.#nodeSent;
    this.#nodeSent = true;
    this.#options.send(
      encodeSotwRequest({
        type,
        version: this.#versions.get(type) ?? '',
        names: this.#names.get(type) ?? [],
        ...(first ? { node: this.#options.node } : {}),
        ...(nonce === undefined ? {} : { nonce }),
        ...(error === undefined ? {} : { error }),
      }),
    );
  }
}
