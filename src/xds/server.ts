import { status, type ServerDuplexStream, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { credentialsOf } from '../identity/grpc.ts';
import type { CallCredentials } from '../identity/proof.ts';
import type { DeltaDiscoveryRequest, DiscoveryRequest } from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import type { Joined } from '../wire/join.ts';
import { claimedNode } from './claimed-node.ts';
import type { Hub, Refused } from './hub.ts';
import type { Caller, ClaimedNode, StreamObserver } from './source.ts';
import { faultDetails, type EndCode, type Stream, type Wire } from './stream.ts';

/** A caller as proven. */
export interface Authenticated {
  readonly caller: Caller;
  /** Milliseconds from now until the proof ends. Absent: it does not. */
  readonly validForMs?: number;
}

/** Must not throw for bad credentials; what it throws is told to the caller as UNAVAILABLE. */
export type Authenticate = (credentials: CallCredentials) => Promise<Authenticated | Refused>;

export interface DiscoveryServiceOptions {
  readonly hub: Hub;
  readonly observer: StreamObserver;
  readonly authenticate: Authenticate;
  /** The transport keeps secrets secret: the TLS port. */
  readonly secure: boolean;
  /** Streams at once. Default 20,000. */
  readonly maxStreams?: number;
  /** From the start of a stream to its first request. Default 10 s. */
  readonly firstRequestMs?: number;
  /** How long an ended stream may take to be gone before its connection is broken. Default 5 s. */
  readonly endGraceMs?: number;
  /** Breaks the connection of a peer that takes nothing, not even the end of its stream. */
  readonly breakConnection: (peer: string) => void;
}

/** Implements AggregatedDiscoveryService over grpc-js. Requests come decoded, responses leave as bytes: see wire/services.ts. */
export class DiscoveryService {
  readonly #options: DiscoveryServiceOptions;
  #calls = 0;

  constructor(options: DiscoveryServiceOptions) {
    this.#options = options;
  }

  /** For `Server.addService`. */
  get handlers(): UntypedServiceImplementation {
    return {
      DeltaAggregatedResources: (call: ServerDuplexStream<DeltaDiscoveryRequest, Joined>) => {
        this.#serve<DeltaDiscoveryRequest>(call, (node, caller, wire) => this.#options.hub.openDelta(node, caller, wire));
      },
      StreamAggregatedResources: (call: ServerDuplexStream<DiscoveryRequest, Joined>) => {
        this.#serve<DiscoveryRequest>(call, (node, caller, wire) => this.#options.hub.openSotw(node, caller, wire));
      },
    };
  }

  #serve<Request extends { readonly node?: DiscoveryRequest['node'] }>(
    call: ServerDuplexStream<Request, Joined>,
    open: (node: ClaimedNode, caller: Caller, wire: Wire) => (Stream & { receive(request: Request): void }) | Refused,
  ): void {
    const {
      maxStreams = 20_000,
      firstRequestMs = 10_000,
      observer,
      authenticate,
      secure,
      endGraceMs = 5000,
      breakConnection,
      hub,
    } = this.#options;
    const wire = new CallWire(call, breakConnection, endGraceMs);
    // Without a listener an error of one call would end the process.
    call.on('error', () => undefined);
    if (this.#calls >= maxStreams) {
      wire.end('RESOURCE_EXHAUSTED', `there are ${maxStreams} streams already`);
      return;
    }
    this.#calls++;
    const anonymous: Caller = { address: call.getPeer(), secure };
    let stream: (Stream & { receive(request: Request): void }) | undefined;
    const firstRequest = setTimeout(() => wire.end('DEADLINE_EXCEEDED', `no request within ${firstRequestMs} ms`), firstRequestMs);
    call.once('close', () => {
      this.#calls--;
      clearTimeout(firstRequest);
      stream?.disconnected('closed by the peer');
    });
    const refuse = (code: EndCode, node: ClaimedNode | undefined, caller: Caller, reason: string): void => {
      clearTimeout(firstRequest);
      observer.refused(node, caller, reason);
      wire.end(code, reason);
    };
    const begin = ({ caller, validForMs }: Authenticated, request: Request): void => {
      clearTimeout(firstRequest);
      const node = claimedNode(request.node);
      if (typeof node === 'string') {
        refuse('INVALID_ARGUMENT', undefined, caller, node);
        return;
      }
      const opened = open(node, caller, wire);
      if ('refused' in opened) {
        wire.end('PERMISSION_DENIED', opened.refused);
        return;
      }
      stream = opened;
      if (validForMs !== undefined) opened.expireIn(validForMs);
      opened.receive(request);
    };
    authenticate(credentialsOf(call, secure)).then(
      (result) => {
        if (wire.ended) return;
        if ('refused' in result) {
          refuse('UNAUTHENTICATED', undefined, anonymous, result.refused);
          return;
        }
        call.on('data', (request: Request) => {
          if (wire.ended) return;
          try {
            if (stream === undefined) begin(result, request);
            else stream.receive(request);
          } catch (error) {
            // Thrown on, it would end the process: one caller, all streams.
            hub.onFault(error);
            if (stream === undefined) wire.end('INTERNAL', faultDetails);
            else stream.end('INTERNAL', faultDetails);
          }
        });
        call.once('end', () => {
          stream?.disconnected('ended by the peer');
          wire.finish();
        });
      },
      (error: unknown) => refuse('UNAVAILABLE', undefined, anonymous, `credentials could not be checked: ${String(error)}`),
    );
  }
}

/** A grpc-js call as the streams see it. */
class CallWire implements Wire {
  readonly #call: ServerDuplexStream<unknown, Joined>;
  readonly #breakConnection: (peer: string) => void;
  readonly #endGraceMs: number;
  ended = false;

  constructor(call: ServerDuplexStream<unknown, Joined>, breakConnection: (peer: string) => void, endGraceMs: number) {
    this.#call = call;
    this.#endGraceMs = endGraceMs;
    this.#breakConnection = breakConnection;
  }

  write(message: Joined, flushed: () => void): void {
    if (this.ended || this.#call.destroyed) return;
    this.#call.write(message, (error?: Error | null) => {
      if (error === undefined || error === null) flushed();
    });
  }

  end(code: EndCode, details: string): void {
    if (this.ended) return;
    this.ended = true;
    // The way in which grpc-js wants a status: its own listener turns the error into trailers.
    this.#call.emit('error', Object.assign(new Error(details), { code: status[code], details }));
    this.#watchEnd();
  }

  /** The peer has ended its side. */
  finish(): void {
    if (this.ended) return;
    this.ended = true;
    this.#call.end();
    this.#watchEnd();
  }

  /** The status waits behind what was written, and a peer that reads nothing never gets there. */
  #watchEnd(): void {
    if (this.#call.closed) return;
    const peer = this.#call.getPeer();
    // After the status grpc-js waits for the peer to half-close, and reads nothing without a reader.
    this.#call.resume();
    const timer = setTimeout(() => this.#breakConnection(peer), this.#endGraceMs);
    this.#call.once('close', () => clearTimeout(timer));
    timer.unref();
  }
}
