import { clusterType, routeType } from '../wire/types.ts';
import { servingRank, type DeltaType } from './delta-type.ts';
import type { TypeUrl } from './source.ts';

/**
 * The types of one delta stream: of which something may be due, and which have responses that are not acknowledged. Most pumps are for a change of one type,
 * or for an acknowledgement, and the types of five hundred streams are more than a processor's cache: a look at all of them costs more than what is sent.
 */
export class DueTypes {
  readonly byUrl = new Map<TypeUrl, DeltaType>();
  /** In the order in which they are served. */
  #ordered: readonly DeltaType[] = [];
  /** Undefined: any. */
  #asked: Set<DeltaType> | undefined;
  readonly #unanswered = new Set<DeltaType>();

  add(state: DeltaType): void {
    this.byUrl.set(state.type, state);
    this.#ordered = [...this.byUrl.values()].sort((a, b) => servingRank(a.type) - servingRank(b.type));
    this.askAll();
  }

  askAll(): void {
    this.#asked = undefined;
  }

  tablesChanged(types: Iterable<TypeUrl>): void {
    for (const type of types) {
      const state = this.byUrl.get(type);
      if (state === undefined) continue;
      state.isBehind = true;
      // What goes out of these makes something of another type due.
      if (type === clusterType || type === routeType) this.askAll();
      else this.#asked?.add(state);
    }
  }

  /** Those to look at, in the order in which they are served. */
  get asked(): readonly DeltaType[] {
    const asked = this.#asked;
    if (asked === undefined) return this.#ordered;
    return asked.size < 2 ? [...asked] : this.#ordered.filter((state) => asked.has(state));
  }

  /** All that were asked have been served as far as they can be. */
  served(isDue: (state: DeltaType) => boolean): void {
    if (this.asked.some(isDue)) this.askAll();
    else this.#asked = new Set();
  }

  sent(state: DeltaType): void {
    this.#unanswered.add(state);
  }

  answered(state: DeltaType): void {
    if (state.inFlight === 0) this.#unanswered.delete(state);
  }

  /** Of changes sent after `sinceMs`. */
  unackedBytes(sinceMs: number): number {
    let bytes = 0;
    for (const state of this.#unanswered) bytes += state.unackedBytes(sinceMs);
    return bytes;
  }

  /** Responses that are not answered. */
  get inFlight(): number {
    let responses = 0;
    for (const state of this.#unanswered) responses += state.inFlight;
    return responses;
  }
}
