import { setTimeout as delay } from 'node:timers/promises';
import { status, type ServerDuplexStream, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { credentialsOf } from '../identity/grpc.ts';
import type { CallCredentials } from '../identity/proof.ts';
import type { DeltaDiscoveryRequest, DiscoveryRequest } from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import type { Joined } from '../wire/join.ts';
import type { StreamAdmission } from './admission.ts';
import { claimedNode } from './claimed-node.ts';
import { DebugSession, isDebugType, type DebugDesk } from './debug.ts';
import type { Form } from './encoder.ts';
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
  /** Answers `istioctl`. Absent: debug types are refused. */
  readonly desk?: DebugDesk;
  /** The transport keeps secrets secret: the TLS port. */
  readonly secure: boolean;
  /** Shared by all ports. */
  readonly admission: StreamAdmission;
  /** From the start of a stream to its first request. Default 10 s. */
  readonly firstRequestMs?: number;
  /** How long an ended stream may take to be gone before its connection is broken. Default 5 s. */
  readonly endGraceMs?: number;
  /** Breaks the connection of a peer that takes nothing, not even the end of its stream. */
  readonly breakConnection: (peer: string) => void;
  /** Lets nothing more begin on a connection, and closes it when its streams have ended. */
  readonly closeConnection: (peer: string) => void;
}

/** Implements AggregatedDiscoveryService over grpc-js. Requests come decoded, responses leave as bytes: see wire/services.ts. */
export class DiscoveryService {
  readonly #options: DiscoveryServiceOptions;

  constructor(options: DiscoveryServiceOptions) {
    this.#options = options;
  }

  /** For `Server.addService`. */
  get handlers(): UntypedServiceImplementation {
    return {
      DeltaAggregatedResources: (call: ServerDuplexStream<DeltaDiscoveryRequest, Joined>) => {
        const open: Open<DeltaDiscoveryRequest> = (node, caller, wire) => this.#options.hub.openDelta(node, caller, wire);
        this.#serve(call, open, 'delta', (request) => request.resourceNamesSubscribe);
      },
      StreamAggregatedResources: (call: ServerDuplexStream<DiscoveryRequest, Joined>) => {
        const open: Open<DiscoveryRequest> = (node, caller, wire) => this.#options.hub.openSotw(node, caller, wire);
        this.#serve(call, open, 'sotw', (request) => request.resourceNames);
      },
    };
  }

  #serve<Request extends { readonly typeUrl: string; readonly node?: DiscoveryRequest['node'] }>(
    call: ServerDuplexStream<Request, Joined>,
    open: Open<Request>,
    form: Form,
    namesOf: (request: Request) => readonly string[],
  ): void {
    const { admission, firstRequestMs = 10_000, observer, authenticate, secure, hub } = this.#options;
    const wire = new CallWire(call, this.#options);
    // Without a listener an error of one call would end the process.
    call.on('error', () => undefined);
    const entered = admission.enter();
    if (typeof entered !== 'number') {
      wire.end(entered.code, entered.reason, entered.elsewhere ? 'closing' : undefined);
      return;
    }
    const anonymous: Caller = { address: call.getPeer(), secure };
    let stream: (Stream & { receive(request: Request): void }) | undefined;
    const firstRequest = setTimeout(
      () => wire.end('DEADLINE_EXCEEDED', `no request within ${firstRequestMs} ms`),
      entered + firstRequestMs,
    );
    const turn = new AbortController();
    call.once('close', () => {
      admission.leave();
      turn.abort();
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
    let debug: DebugSession | undefined;
    const ask = ({ caller, validForMs = Infinity }: Authenticated, request: Request): void => {
      clearTimeout(firstRequest);
      const { desk } = this.#options;
      if (desk === undefined) {
        wire.end('INVALID_ARGUMENT', 'debug types are not answered here');
        return;
      }
      if (debug === undefined) {
        const session = (debug = new DebugSession(desk, form, caller, wire, validForMs));
        const ticks = setInterval(() => session.tick(stream === undefined), 1000);
        call.once('close', () => {
          clearInterval(ticks);
          session.close();
        });
      }
      debug.receive(request.typeUrl, namesOf(request));
    };
    const authenticated = async (): Promise<Authenticated | Refused> => {
      if (entered > 0) await delay(entered, undefined, { signal: turn.signal });
      return authenticate(credentialsOf(call, secure));
    };
    authenticated().then(
      (result) => {
        if (wire.ended) return;
        if ('refused' in result) {
          refuse('UNAUTHENTICATED', undefined, anonymous, result.refused);
          return;
        }
        call.on('data', (request: Request) => {
          if (wire.ended) return;
          try {
            if (isDebugType(request.typeUrl)) ask(result, request);
            else if (stream === undefined) begin(result, request);
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
          if (debug === undefined) wire.finish();
          else debug.whenDone(() => wire.finish());
        });
      },
      (error: unknown) => {
        if (!turn.signal.aborted)
          refuse(
            'UNAVAILABLE',
            undefined,
            anonymous,
            `credentials could not be checked: ${error instanceof Error ? error.message : String(error)}`,
          );
      },
    );
  }
}

type Open<Request> = (node: ClaimedNode, caller: Caller, wire: Wire) => (Stream & { receive(request: Request): void }) | Refused;

type Connection = Pick<DiscoveryServiceOptions, 'breakConnection' | 'closeConnection' | 'endGraceMs'>;

/** A grpc-js call as the streams see it. */
class CallWire implements Wire {
  readonly #call: ServerDuplexStream<unknown, Joined>;
  readonly #connection: Connection;
  ended = false;

  constructor(call: ServerDuplexStream<unknown, Joined>, connection: Connection) {
    this.#call = call;
    this.#connection = connection;
  }

  write(message: Joined, flushed: () => void): void {
    if (this.ended || this.#call.destroyed) return;
    this.#call.write(message, (error?: Error | null) => {
      if (error === undefined || error === null) flushed();
    });
  }

  end(code: EndCode, details: string, closing?: 'closing'): void {
    if (this.ended) return;
    this.ended = true;
    if (closing !== undefined) this.#connection.closeConnection(this.#call.getPeer());
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
    const { breakConnection, endGraceMs = 5000 } = this.#connection;
    const timer = setTimeout(() => breakConnection(peer), endGraceMs);
    this.#call.once('close', () => clearTimeout(timer));
    timer.unref();
  }
}
