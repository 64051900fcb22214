import type { Encoder } from './encoder.ts';
import type { FlightBudget, Waiter } from './budget.ts';
import type { JoinedRoutes } from './joined-routes.ts';
import type { NameTables } from './name-tables.ts';
import type { Joined } from '../wire/join.ts';
import type { ResponseWriter } from './response.ts';
import type { Fanout, Pumped } from './fanout.ts';
import type { StreamMeter } from './meter.ts';
import type {
  Caller,
  ResourceSource,
  Standing,
  StreamObserver,
  Subscription,
  TableChange,
  TrackedStream,
  TypeStatus,
  TypeUrl,
} from './source.ts';

/** The transport of one stream. */
export interface Wire {
  /** `flushed` is called, later and once, when the network has taken the message; never after an end. */
  write(message: Joined, flushed: () => void): void;
  /** `closing`: the connection is closed too once the peer knows, so that it comes back by another. */
  end(code: EndCode, details: string, closing?: 'closing'): void;
}

/** Status codes of gRPC with which a stream is ended. */
export type EndCode =
  | 'UNAVAILABLE'
  | 'UNAUTHENTICATED'
  | 'PERMISSION_DENIED'
  | 'INVALID_ARGUMENT'
  | 'RESOURCE_EXHAUSTED'
  | 'ABORTED'
  | 'DEADLINE_EXCEEDED'
  | 'INTERNAL';

export interface StreamLimits {
  /** Names that one stream may hold for itself, per type. Default 50,000. */
  readonly maxNames: number;
  /** Bytes handed to the transport and not yet taken, above which a stream waits. Default 256 KiB. */
  readonly maxPendingBytes: number;
  /** Bytes of changes not yet acknowledged, above which changes are merged instead of sent. Default 1 MiB. */
  readonly maxUnackedBytes: number;
  /** After this time a response counts as acknowledged for `maxUnackedBytes`: Envoy holds back ACKs while it warms. Default 15 s. */
  readonly unackedPatienceMs: number;
  /** A stream that takes nothing for this time is ended. Default 60 s. */
  readonly stallMs: number;
  /** How long a large answer that is not taken holds its share of the budget of all streams. Default 5 s. */
  readonly budgetPatienceMs: number;
  /** Longest wait of removed clusters for the ACKs of the listeners and routes that no longer name them. Default 5 s. */
  readonly removalPatienceMs: number;
  /** Longest wait of listeners for CDS, which Envoy does not ask for while it warms after a reconnect. Default 5 s. */
  readonly clustersPatienceMs: number;
  /** Answers from this size on draw on the budget of all streams. Default 32 KiB. */
  readonly largeBytes: number;
  /**
   * A stream that is this old, a tenth more or less, is ended with its connection as soon as nothing is in flight, so that the proxies of a replica that
   * was alone for a while spread again. Default: never.
   */
  readonly maxAgeMs: number;
}

export const defaultLimits: StreamLimits = {
  maxNames: 50_000,
  maxPendingBytes: 256 * 1024,
  maxUnackedBytes: 1024 * 1024,
  unackedPatienceMs: 15_000,
  stallMs: 60_000,
  budgetPatienceMs: 5_000,
  removalPatienceMs: 5_000,
  clustersPatienceMs: 5_000,
  largeBytes: 32 * 1024,
  maxAgeMs: Infinity,
};

/** A stream that is never quiet is ended so long after its age all the same. */
const agePatienceMs = 60_000;

/** What all streams of a process share. */
export interface StreamShared {
  readonly source: ResourceSource;
  readonly observer: StreamObserver;
  readonly meter: StreamMeter;
  readonly encoder: Encoder;
  readonly joinedRoutes: JoinedRoutes;
  readonly nameTables: NameTables;
  readonly budget: FlightBudget;
  readonly fanout: Fanout;
  readonly now: () => number;
  /** 0 <= x < 1. */
  readonly random: () => number;
  readonly limits: StreamLimits;
  readonly responses: { readonly delta: ResponseWriter; readonly sotw: ResponseWriter };
  readonly doubted: DoubtedClaims;
  /** The stream has something to do as soon as the source is settled. */
  awaitSettled(stream: Pumped): void;
  /** A fault of ours. It ends the stream that it was met on and no other; what this throws goes on. */
  onFault(error: unknown): void;
}

/** Names of which it is not known what the client has, by type. */
export type Doubts = ReadonlyMap<TypeUrl, ReadonlySet<string>>;

/**
 * What a proxy claims on a reconnect is wrong for the names of responses that it refused: some were applied. The refusal may even be lost with
 * its stream, held back by a warming cluster. So the names of every unanswered and unrepaired response are remembered, for a bounded number of
 * proxies and names.
 */
export class DoubtedClaims {
  readonly #doubts = new Map<string, Doubts>();
  readonly #maxNames: number;
  #names = 0;

  constructor(maxNames = 250_000) {
    this.#maxNames = maxNames;
  }

  add(node: string, doubts: Doubts): void {
    this.take(node);
    this.#doubts.set(node, doubts);
    this.#names += sizeOf(doubts);
    for (const oldest of this.#doubts.keys()) {
      if (this.#names <= this.#maxNames) break;
      this.take(oldest);
    }
  }

  /** Takes the entry: the new stream puts things right, or adds it again. */
  take(node: string): Doubts {
    const doubts = this.#doubts.get(node) ?? new Map<TypeUrl, ReadonlySet<string>>();
    if (this.#doubts.delete(node)) this.#names -= sizeOf(doubts);
    return doubts;
  }
}

function sizeOf(doubts: Doubts): number {
  let names = 1;
  for (const some of doubts.values()) names += some.size;
  return names;
}

/** What a caller is told of a fault of ours; the log has it. */
export const faultDetails = 'a fault of the control plane, see its log';

/** What both forms of ADS have in common: the transport, flow control and the end of a stream. */
export abstract class Stream implements TrackedStream, Waiter, Pumped {
  abstract readonly protocol: 'delta' | 'sotw';
  abstract readonly types: ReadonlyMap<TypeUrl, TypeStatus>;
  readonly subscription: Subscription;
  readonly caller: Caller;
  readonly connectedAtMs: number;
  protected readonly shared: StreamShared;
  readonly #wire: Wire;
  readonly #onEnd: (stream: Stream) => void;
  #closed = false;
  #pendingBytes = 0;
  #budgetBytes = 0;
  #inLine = false;
  #expiresAtMs = Infinity;
  readonly #agedAtMs: number;
  #progressAtMs: number;
  #nonce = 0;
  /** Since when the next response has been worked on. */
  #workSinceMs = 0;
  /** Types of the responses that the network has not taken yet, oldest first. */
  readonly #untaken: TypeUrl[] = [];

  constructor(shared: StreamShared, subscription: Subscription, caller: Caller, wire: Wire, onEnd: (stream: Stream) => void) {
    this.shared = shared;
    this.subscription = subscription;
    this.caller = caller;
    this.#wire = wire;
    this.#onEnd = onEnd;
    this.connectedAtMs = shared.now();
    this.#progressAtMs = this.connectedAtMs;
    this.#agedAtMs = this.connectedAtMs + shared.limits.maxAgeMs * (0.9 + 0.2 * shared.random());
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Bytes that the network has not taken yet. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Sends what there is to send, as far as flow control lets it. */
  pump(): void {
    if (this.#closed) return;
    if (!this.shared.source.settled) {
      this.shared.awaitSettled(this);
      return;
    }
    // Its parts will pump it.
    if (!this.subscription.placed) return;
    try {
      this.#workSinceMs = this.shared.now();
      this.settled();
      if (!this.writable) return;
      this.#inLine = false;
      this.sendDue();
    } catch (error) {
      this.shared.onFault(error);
      this.end('INTERNAL', faultDetails);
    }
    if (!this.#closed && !this.#inLine) this.shared.budget.leave(this);
  }

  resume(): void {
    if (!this.#closed) this.shared.fanout.add(this);
  }

  /** What was proven of the caller ends then, and the stream with it. */
  expireIn(ms: number): void {
    this.#expiresAtMs = this.shared.now() + ms;
  }

  /** Called about once a second. */
  tick(nowMs: number): void {
    if (this.#closed) return;
    if (nowMs >= this.#expiresAtMs) {
      this.end('UNAUTHENTICATED', 'the credentials with which the stream was opened have expired');
      return;
    }
    if (this.#pendingBytes > 0 && nowMs - this.#progressAtMs > this.shared.limits.stallMs) {
      this.shared.meter.stalled(this.#untaken[0] ?? '');
      this.end('RESOURCE_EXHAUSTED', `nothing was read for ${Math.round((nowMs - this.#progressAtMs) / 1000)} s`);
      return;
    }
    if (nowMs >= this.#agedAtMs && (this.quiet || nowMs >= this.#agedAtMs + agePatienceMs)) {
      this.leave(`the stream is ${Math.round((nowMs - this.connectedAtMs) / 1000)} s old; streams are spread anew from time to time`);
      return;
    }
    // A slow reader goes on by itself, and nobody waits for it.
    if (this.#pendingBytes > 0 && nowMs - this.#progressAtMs > this.shared.limits.budgetPatienceMs) this.#giveBack(this.#budgetBytes);
    this.checkDeadlines(nowMs);
  }

  end(code: EndCode, details: string): void {
    if (this.#closed) return;
    this.#wire.end(code, details);
    this.disconnected(`${code}: ${details}`);
  }

  /** Nothing is on its way: all that was sent is answered, and nothing waits to be sent. */
  get quiet(): boolean {
    return this.#pendingBytes === 0 && !this.#inLine && [...this.types.values()].every(({ state }) => state !== 'STALE');
  }

  /** Ends the stream and its connection: the proxy is to come back by a new one, which may lead to another replica. */
  leave(details: string): void {
    if (this.#closed) return;
    this.#wire.end('UNAVAILABLE', details, 'closing');
    this.disconnected(`UNAVAILABLE: ${details}`);
  }

  /** The peer or the transport has ended the stream. */
  disconnected(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.shared.budget.leave(this);
    this.#giveBack(this.#budgetBytes);
    this.shared.fanout.remove(this);
    this.released();
    this.subscription.close();
    this.#onEnd(this);
    this.shared.observer.disconnected(this, reason);
  }

  /** Parts may be read: the place for what came while they could not. */
  protected abstract settled(): void;
  protected abstract sendDue(): void;
  protected abstract checkDeadlines(nowMs: number): void;
  protected abstract released(): void;
  abstract partsChanged(): void;
  /** Tables of these types have changed in one of its parts. */
  abstract tablesChanged(types: Iterable<TypeUrl>): void;
  abstract standing(change: TableChange): Standing;
  abstract standingInPlan(): Standing;

  protected get writable(): boolean {
    return !this.#closed && this.#pendingBytes < this.shared.limits.maxPendingBytes;
  }

  protected nextNonce(): string {
    return (++this.#nonce).toString(36);
  }

  /** False when the answer has to wait for its turn; the stream is pumped again then. */
  protected reserve(bytes: number): boolean {
    if (bytes < this.shared.limits.largeBytes || this.shared.budget.take(bytes, this)) return true;
    this.#inLine = true;
    return false;
  }

  #giveBack(bytes: number): void {
    const given = Math.min(bytes, this.#budgetBytes);
    if (given === 0) return;
    this.#budgetBytes -= given;
    this.shared.budget.give(given);
  }

  /** `reserved`: what `reserve` was asked for. */
  protected write(type: TypeUrl, message: Joined, reserved: number): void {
    const { meter, now, limits } = this.shared;
    const bytes = message.byteLength;
    const taken = reserved < limits.largeBytes ? 0 : reserved;
    const writtenAtMs = now();
    if (this.#pendingBytes === 0) this.#progressAtMs = writtenAtMs;
    this.#untaken.push(type);
    this.#pendingBytes += bytes;
    this.#budgetBytes += taken;
    this.#wire.write(message, () => {
      const wasWritable = this.writable;
      this.#pendingBytes -= bytes;
      this.#progressAtMs = now();
      this.#untaken.shift();
      meter.taken(type, this.#progressAtMs - writtenAtMs);
      if (this.#closed) return;
      this.#giveBack(taken);
      if (!wasWritable && this.writable) this.shared.fanout.add(this);
    });
    this.shared.fanout.wrote(bytes);
    const writtenByMs = now();
    meter.built(type, writtenByMs - this.#workSinceMs);
    this.#workSinceMs = writtenByMs;
  }
}
