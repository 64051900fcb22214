/** How long it takes from a change of objects until proxies were sent, and have accepted, what it means for them. */
import type { Part, StreamStatus, TypeUrl } from '../../xds/source.ts';

export interface ConvergenceRecorder {
  /** The first response that carries a change to a proxy: seconds since the change became visible to the streams, and since it came in. */
  sent(queuedSeconds: number, seconds: number): void;
  /** The proxy has accepted a response that carries the change; `kinds` are those of the objects that changed together. */
  accepted(kinds: Iterable<string>, seconds: number): void;
}

/** Changes that were translated together. */
interface Group {
  readonly number: number;
  /** When the first of them came. */
  readonly sinceMs: number;
  readonly visibleAtMs: number;
  readonly kinds: ReadonlySet<string>;
}

interface Step {
  readonly group: Group;
  readonly types: ReadonlySet<TypeUrl>;
}

interface Carried {
  readonly nonce: string;
  readonly group: Group;
}

interface StreamState {
  /** Number of the last group before the stream came: of those before it, everything that it gets is its first state. */
  readonly from: number;
  /** Number of the last group that was looked at, by type. */
  readonly seen: Map<TypeUrl, number>;
  /** Responses that carry a change and are not answered yet, oldest first. */
  readonly unanswered: Map<TypeUrl, Carried[]>;
  /** Number of the last group of which something was sent. */
  sent: number;
}

/** Steps that a part remembers. A stream that is further behind is measured from the oldest of them. */
const maxSteps = 8;
/** Envoy may hold answers back for as long as a cluster warms. */
const maxUnanswered = 64;

/**
 * A change is kept by the parts that it has changed, and a stream looks at its own parts when it sends: a change costs the parts that it touches and the
 * streams that have something to send, whatever the number of streams.
 */
export class Convergence {
  readonly #nowMs: () => number;
  readonly #recorder: ConvergenceRecorder;
  readonly #steps = new WeakMap<Part, Step[]>();
  readonly #streams = new Map<StreamStatus, StreamState>();
  #pending: { readonly sinceMs: number; readonly kinds: Set<string> } | undefined;
  #groups = 0;

  constructor(nowMs: () => number, recorder: ConvergenceRecorder) {
    this.#nowMs = nowMs;
    this.#recorder = recorder;
  }

  /** An object of this kind has changed. */
  changed(kind: string): void {
    this.#pending ??= { sinceMs: this.#nowMs(), kinds: new Set() };
    this.#pending.kinds.add(kind);
  }

  /** When the first change came that is not translated yet; undefined when there is none. */
  get pendingSinceMs(): number | undefined {
    return this.#pending?.sinceMs;
  }

  /** These parts have changed and are visible to the streams, which have not sent anything of it yet. */
  settled(changed: ReadonlyMap<Part, ReadonlySet<TypeUrl>>): void {
    if (this.#pending === undefined) return;
    const group = { ...this.#pending, number: ++this.#groups, visibleAtMs: this.#nowMs() };
    for (const [part, types] of changed) {
      const steps = this.#steps.get(part);
      if (steps === undefined) this.#steps.set(part, [{ group, types }]);
      else if (steps.push({ group, types }) > maxSteps) steps.shift();
    }
  }

  /** Everything that had changed is translated, whether a part has changed by it or not. */
  flushed(): void {
    this.#pending = undefined;
  }

  connected(stream: StreamStatus): void {
    this.#streams.set(stream, { from: this.#groups, seen: new Map(), unanswered: new Map(), sent: this.#groups });
  }

  disconnected(stream: StreamStatus): void {
    this.#streams.delete(stream);
  }

  sent(stream: StreamStatus, type: TypeUrl): void {
    const state = this.#streams.get(stream);
    if (state === undefined) return;
    const after = state.seen.get(type) ?? state.from;
    state.seen.set(type, this.#groups);
    const group = this.#oldest(stream, type, after);
    if (group === undefined) return;
    const carried = state.unanswered.get(type) ?? [];
    state.unanswered.set(type, carried);
    if (carried.push({ nonce: stream.types.get(type)?.sentNonce ?? '', group }) > maxUnanswered) carried.shift();
    if (group.number <= state.sent) return;
    state.sent = this.#groups;
    const nowMs = this.#nowMs();
    this.#recorder.sent((nowMs - group.visibleAtMs) / 1000, (nowMs - group.sinceMs) / 1000);
  }

  /** Responses of the type before this one count as accepted too. */
  acked(stream: StreamStatus, type: TypeUrl, nonce: string): void {
    const carried = this.#streams.get(stream)?.unanswered.get(type);
    const last = carried?.findIndex((one) => one.nonce === nonce) ?? -1;
    if (carried === undefined || last < 0) return;
    const nowMs = this.#nowMs();
    for (const { group } of carried.splice(0, last + 1)) this.#recorder.accepted(group.kinds, (nowMs - group.sinceMs) / 1000);
  }

  /** What was refused does not converge; it is counted elsewhere. */
  rejected(stream: StreamStatus, type: TypeUrl): void {
    this.#streams.get(stream)?.unanswered.delete(type);
  }

  #oldest(stream: StreamStatus, type: TypeUrl, after: number): Group | undefined {
    let oldest: Group | undefined;
    for (const part of stream.subscription.parts) {
      for (const { group, types } of this.#steps.get(part) ?? []) {
        if (group.number > after && types.has(type) && (oldest === undefined || group.number < oldest.number)) oldest = group;
      }
    }
    return oldest;
  }
}
