import { setTimeout as delay } from 'node:timers/promises';
import { status, type Server, type ServerDuplexStream } from '@grpc/grpc-js';
import { credentialsOf } from '../identity/grpc.ts';
import type { CallCredentials } from '../identity/proof.ts';
import { decodeDeltaRequest, decodeSotwRequest, type DeltaRequestFields, type SotwRequestFields } from '../wire/discovery-request.ts';
import type { Joined } from '../wire/join.ts';
import type { Services } from '../wire/services.ts';
import type { StreamAdmission } from './admission.ts';
import { claimedNode } from './claimed-node.ts';
import { DebugSession, isDebugType, type DebugDesk } from './debug.ts';
import type { Form } from './encoder.ts';
import type { Hub, Refused } from './hub.ts';
import { Outgoing } from './outgoing.ts';
import { RequestQueue } from './request-queue.ts';
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

/** Implements AggregatedDiscoveryService over grpc-js. Requests come as bytes and are decoded when they are served; responses leave as bytes. */
export class DiscoveryService {
  readonly #options: DiscoveryServiceOptions;

  constructor(options: DiscoveryServiceOptions) {
    this.#options = options;
  }

  /** `received` is told the size of each request. */
  addTo(server: Server, service: Services['aggregatedDiscovery'], received: (bytes: number) => void = () => undefined): void {
    const requestDeserialize = (bytes: Buffer): Buffer => {
      received(bytes.byteLength);
      return bytes;
    };
    const { DeltaAggregatedResources: delta, StreamAggregatedResources: sotw } = service;
    const { hub } = this.#options;
    server.addService(
      { DeltaAggregatedResources: { ...delta, requestDeserialize }, StreamAggregatedResources: { ...sotw, requestDeserialize } },
      {
        DeltaAggregatedResources: (call: Call) =>
          this.#serve<DeltaRequestFields>(call, {
            form: 'delta',
            decode: decodeDeltaRequest,
            open: (node, caller, wire) => hub.openDelta(node, caller, wire),
            namesOf: (request) => request.resourceNamesSubscribe,
          }),
        StreamAggregatedResources: (call: Call) =>
          this.#serve<SotwRequestFields>(call, {
            form: 'sotw',
            decode: decodeSotwRequest,
            open: (node, caller, wire) => hub.openSotw(node, caller, wire),
            namesOf: (request) => request.resourceNames,
          }),
      },
    );
  }

  #serve<Request extends DeltaRequestFields | SotwRequestFields>(call: Call, { form, decode, open, namesOf }: Method<Request>): void {
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
    let stream: RequestTaker<Request> | undefined;
    const firstRequest = setTimeout(
      () => wire.end('DEADLINE_EXCEEDED', `no request within ${firstRequestMs} ms`),
      entered + firstRequestMs,
    );
    const turn = new AbortController();
    call.once('close', () => {
      admission.leave();
      turn.abort();
      clearTimeout(firstRequest);
      queue.close();
      hub.forget(queue);
      stream?.disconnected('closed by the peer');
    });
    const refuse = (code: EndCode, node: ClaimedNode | undefined, caller: Caller, reason: string): void => {
      clearTimeout(firstRequest);
      observer.refused(node, caller, reason);
      wire.end(code, reason);
    };
    const begin = ({ caller, validForMs }: Authenticated, request: Request, accepted: () => void): void => {
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
      opened.receive(request, accepted);
    };
    let debug: DebugSession | undefined;
    const ask = ({ caller, validForMs = Infinity }: Authenticated, request: Request): void => {
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
    let proven: Authenticated | undefined;
    const end = (code: EndCode, details: string): void => {
      if (stream === undefined) wire.end(code, details);
      else stream.end(code, details);
    };
    const serve = (message: Uint8Array, accepted: () => void): void => {
      if (wire.ended || proven === undefined) return;
      let request: Request;
      try {
        request = decode(message);
      } catch {
        // In the words of grpc-js.
        end('INTERNAL', 'Error deserializing request');
        return;
      }
      try {
        if (isDebugType(request.typeUrl)) {
          ask(proven, request);
          accepted();
        } else if (stream === undefined) begin(proven, request, accepted);
        else stream.receive(request, accepted);
      } catch (error) {
        // Thrown on, it would end the process: one caller, all streams.
        hub.onFault(error);
        end('INTERNAL', faultDetails);
      }
    };
    const ended = (): void => {
      stream?.disconnected('ended by the peer');
      if (debug === undefined) wire.finish();
      else debug.whenDone(() => wire.finish());
    };
    const queue = new RequestQueue({ source: call, soon: (due) => hub.soon(due), serve, ended });
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
        proven = result;
        call.on('data', (message: Buffer) => {
          clearTimeout(firstRequest);
          if (!wire.ended) queue.receive(message);
        });
        call.once('end', () => queue.end());
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

/** Requests are bytes. */
type Call = ServerDuplexStream<Buffer, Outgoing>;

type RequestTaker<Request> = Stream & { receive(request: Request, accepted: () => void): void };

/** One of the two forms of ADS. */
interface Method<Request> {
  readonly form: Form;
  /** Throws when the bytes are no such message. */
  readonly decode: (message: Uint8Array) => Request;
  readonly open: (node: ClaimedNode, caller: Caller, wire: Wire) => RequestTaker<Request> | Refused;
  readonly namesOf: (request: Request) => readonly string[];
}

type Connection = Pick<DiscoveryServiceOptions, 'breakConnection' | 'closeConnection' | 'endGraceMs'>;

/** A grpc-js call as the streams see it. */
class CallWire implements Wire {
  readonly #call: ServerDuplexStream<unknown, Outgoing>;
  readonly #connection: Connection;
  ended = false;

  constructor(call: ServerDuplexStream<unknown, Outgoing>, connection: Connection) {
    this.#call = call;
    this.#connection = connection;
  }

  write(message: Joined, flushed: () => void): void {
    if (this.ended || this.#call.destroyed) return;
    this.#call.write(new Outgoing(message, flushed));
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
