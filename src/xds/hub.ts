import { DeltaStream } from './delta-stream.ts';
import { Encoder } from './encoder.ts';
import { Fanout, type Pumped } from './fanout.ts';
import { FlightBudget } from './budget.ts';
import { JoinedRoutes } from './joined-routes.ts';
import { NameTables } from './name-tables.ts';
import { noMeter, type StreamMeter } from './meter.ts';
import { ResponseWriter } from './response.ts';
import { SotwStream } from './sotw-stream.ts';
import { defaultLimits, DoubtedClaims, type Stream, type StreamLimits, type StreamShared, type Wire } from './stream.ts';
import type { Caller, ClaimedNode, Part, ResourceSource, StreamObserver, Subscription, TrackedStream, TypeUrl } from './source.ts';

export interface HubOptions {
  readonly source: ResourceSource;
  readonly observer: StreamObserver;
  readonly meter?: StreamMeter;
  readonly limits?: Partial<StreamLimits>;
  /**
   * Bytes of large answers in flight over all streams; the transport holds about twice as much. Default 16 MiB: 500 proxies that connect at once
   * over loopback are served as fast as with 64 MiB, in 110 MB less.
   */
  readonly maxBytesInFlight?: number;
  /** Bytes of encoded tables kept for new streams. Default 32 MiB. */
  readonly maxCachedBytes?: number;
  /** ControlPlane.identifier of responses; `istioctl version` reads a JSON object in it. */
  readonly controlPlane?: string;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  /** `setImmediate`. */
  readonly later: (task: () => void) => void;
  /** 0 <= x < 1, for ages of streams. Default: always the middle. */
  readonly random?: () => number;
  /** A fault of ours, which ends the stream that it was met on. Default: it is thrown. */
  readonly onFault?: (error: unknown) => void;
}

export interface Refused {
  readonly refused: string;
}

function thrown(error: unknown): never {
  throw error;
}

/** A stream that may be sent elsewhere. */
export interface MovableStream extends TrackedStream {
  /** Nothing is on its way. */
  readonly quiet: boolean;
  /** Ends it with its connection. */
  leave(details: string): void;
}

/** All streams of a process, and who of them has to hear of a change. */
export class Hub {
  readonly #shared: StreamShared;
  readonly #fanout: Fanout;
  readonly #streams = new Set<Stream>();
  /** Streams by the parts that they read. */
  readonly #byPart = new Map<Part, Set<Stream>>();
  readonly #partsOf = new Map<Stream, readonly Part[]>();
  #follows = 0;
  readonly #awaitingSettled = new Set<Pumped>();
  readonly #stopListening: () => void;

  constructor(options: HubOptions) {
    const { source, observer, meter = noMeter, controlPlane, now, later } = options;
    const onFault = options.onFault ?? thrown;
    this.#fanout = new Fanout({ now, later });
    this.#shared = {
      source,
      observer,
      meter,
      now,
      random: options.random ?? (() => 0.5),
      encoder: new Encoder(options.maxCachedBytes === undefined ? {} : { maxCachedBytes: options.maxCachedBytes }),
      responses: { delta: new ResponseWriter('delta', controlPlane), sotw: new ResponseWriter('sotw', controlPlane) },
      joinedRoutes: new JoinedRoutes(),
      nameTables: new NameTables(),
      budget: new FlightBudget(options.maxBytesInFlight ?? 16 * 1024 * 1024),
      fanout: this.#fanout,
      limits: { ...defaultLimits, ...options.limits },
      doubted: new DoubtedClaims(),
      awaitSettled: (stream) => this.#awaitingSettled.add(stream),
      onFault: (error) => {
        meter.faulted();
        onFault(error);
      },
    };
    this.#stopListening = source.onSettled((changed) => this.#settled(changed));
  }

  /** Connected streams, for the debug API. */
  get streams(): ReadonlySet<MovableStream> {
    return this.#streams;
  }

  onFault(error: unknown): void {
    this.#shared.onFault(error);
  }

  get bytesInFlight(): number {
    return this.#shared.budget.bytesInFlight;
  }

  /** Streams that have something to send and wait for their turn. */
  get waiting(): number {
    return this.#fanout.due;
  }

  /** How often streams share: `follows` counts each part as often as a stream reads it, `parts` once. */
  get sharing(): { readonly parts: number; readonly follows: number } {
    return { parts: this.#byPart.size, follows: this.#follows };
  }

  /** Pumps it in one of the next slices of the event loop, in its turn with the streams that have something to send. */
  soon(pumped: Pumped): void {
    this.#fanout.add(pumped);
  }

  /** What was to be pumped soon is gone. */
  forget(pumped: Pumped): void {
    this.#fanout.remove(pumped);
  }

  openDelta(node: ClaimedNode, caller: Caller, wire: Wire): DeltaStream | Refused {
    return this.#open(node, caller, 'delta', (subscription) => new DeltaStream(this.#shared, subscription, caller, wire, this.#ended));
  }

  openSotw(node: ClaimedNode, caller: Caller, wire: Wire): SotwStream | Refused {
    return this.#open(node, caller, 'sotw', (subscription) => new SotwStream(this.#shared, subscription, caller, wire, this.#ended));
  }

  /** Once a second or so: deadlines of streams. */
  tick(): void {
    const nowMs = this.#shared.now();
    for (const stream of this.#streams) stream.tick(nowMs);
  }

  /** While memory is short, large answers fly one at a time. */
  set memoryShort(short: boolean) {
    this.#shared.budget.short = short;
  }

  /** Ends every stream and stops listening. */
  close(): void {
    this.#stopListening();
    for (const stream of this.#streams) stream.end('UNAVAILABLE', 'the control plane is stopping');
  }

  #open<S extends Stream>(
    node: ClaimedNode,
    caller: Caller,
    protocol: Stream['protocol'],
    create: (subscription: Subscription) => S,
  ): S | Refused {
    const opened = this.#shared.source.open(node, caller, protocol);
    if ('refused' in opened) {
      this.#shared.observer.refused(node, caller, opened.refused);
      return opened;
    }
    const stream = create(opened);
    this.#streams.add(stream);
    this.#index(stream);
    opened.onPartsChanged(() => {
      this.#unindex(stream);
      this.#index(stream);
      stream.partsChanged();
    });
    opened.onFailed((reason) => stream.end('INTERNAL', reason));
    this.#shared.observer.connected(stream);
    return stream;
  }

  readonly #ended = (stream: Stream): void => {
    this.#streams.delete(stream);
    this.#awaitingSettled.delete(stream);
    this.#unindex(stream);
  };

  #settled(changed: ReadonlyMap<Part, ReadonlySet<TypeUrl>>): void {
    const due = new Set<Pumped>(this.#awaitingSettled);
    this.#awaitingSettled.clear();
    for (const [part, types] of changed) {
      for (const stream of this.#byPart.get(part) ?? []) {
        stream.tablesChanged(types);
        due.add(stream);
      }
    }
    this.#fanout.addAll(due);
  }

  #index(stream: Stream): void {
    const { parts } = stream.subscription;
    this.#partsOf.set(stream, parts);
    this.#follows += parts.length;
    for (const part of parts) {
      const streams = this.#byPart.get(part);
      if (streams === undefined) this.#byPart.set(part, new Set([stream]));
      else streams.add(stream);
    }
  }

  #unindex(stream: Stream): void {
    const parts = this.#partsOf.get(stream) ?? [];
    this.#follows -= parts.length;
    for (const part of parts) {
      const streams = this.#byPart.get(part);
      streams?.delete(stream);
      if (streams?.size === 0) this.#byPart.delete(part);
    }
    this.#partsOf.delete(stream);
  }
}
