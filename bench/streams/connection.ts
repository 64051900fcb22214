/** A delta ADS stream on a connection of its own, as every Envoy has. Plain HTTP/2: a gRPC library would double the cost of a simulated proxy. */
import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2';

export interface ConnectionOptions {
  /** `host:port`. */
  readonly address: string;
  /** Roots of the server's certificate, PEM; without it the stream is in plaintext. */
  readonly ca?: string;
  /** Name in the server's certificate. */
  readonly serverName?: string;
  /** Bearer token. */
  readonly token?: string;
  /** Reads at most so many bytes a second and leaves the rest in the server. */
  readonly bytesPerSecond?: number;
  readonly onMessage: (message: Buffer) => void;
  /** Once, however it ended: by the server, by the network or by `close`. */
  readonly onEnd: (reason: string) => void;
}

const path = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
/** Envoy's own windows are of this order. With HTTP/2's default of 64 KiB the first answer would take a round trip per 64 KiB. */
const streamWindow = 16 * 1024 * 1024;
/** The reason of an end that `close` made. */
export const closedHere = 'closed here';
const maxMessageBytes = 256 * 1024 * 1024;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #session: ClientHttp2Session;
  readonly #stream: ClientHttp2Stream;
  readonly #frames: FrameReader;
  #ended = false;

  constructor(options: ConnectionOptions) {
    const { address, ca, serverName, token, bytesPerSecond, onMessage } = options;
    this.#options = options;
    this.#frames = new FrameReader(onMessage);
    const settings = bytesPerSecond === undefined ? { settings: { initialWindowSize: streamWindow } } : {};
    const tls = ca === undefined ? {} : { ca, servername: serverName ?? 'istiod.istio-system.svc' };
    this.#session = connect(`${ca === undefined ? 'http' : 'https'}://${address}`, { ...settings, ...tls });
    this.#session.once('error', (error) => this.#end(error.message));
    this.#session.once('close', () => this.#end('connection closed'));
    if (bytesPerSecond === undefined) this.#session.once('connect', () => this.#session.setLocalWindowSize(streamWindow));
    this.#stream = this.#session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    });
    this.#stream.on('data', (chunk: Buffer) => {
      if (bytesPerSecond !== undefined) this.#rest((chunk.length / bytesPerSecond) * 1000);
      this.#frames.push(chunk);
    });
    const onStatus = (headers: IncomingHttpHeaders): void => {
      const status = headers['grpc-status'];
      if (status !== undefined) this.#end(`gRPC status ${String(status)}: ${decodeURIComponent(String(headers['grpc-message'] ?? ''))}`);
    };
    this.#stream.once('response', onStatus);
    this.#stream.once('trailers', onStatus);
    this.#stream.once('error', (error) => this.#end(error.message));
    this.#stream.once('close', () => this.#end('stream closed'));
  }

  send(message: Buffer): void {
    if (this.#ended) return;
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    // One write: two would be two frames.
    this.#stream.write(Buffer.concat([head, message]));
  }

  close(): void {
    this.#end(closedHere);
    this.#stream.close(constants.NGHTTP2_CANCEL);
    this.#session.destroy();
  }

  #rest(ms: number): void {
    this.#stream.pause();
    setTimeout(() => this.#stream.resume(), ms).unref();
  }

  #end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#options.onEnd(reason);
    this.#session.destroy();
  }
}

/** Puts gRPC messages together from what the connection delivers: a flag, the length in 4 bytes, the message. */
export class FrameReader {
  readonly #onMessage: (message: Buffer) => void;
  readonly #head = Buffer.alloc(5);
  /** Bytes of the head, then of the message, that are there. */
  #filled = 0;
  #message: Buffer | undefined;

  constructor(onMessage: (message: Buffer) => void) {
    this.#onMessage = onMessage;
  }

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) {
      const target = this.#message ?? this.#head;
      const taken = chunk.copy(target, this.#filled, at);
      at += taken;
      this.#filled += taken;
      if (this.#filled < target.length) return;
      this.#filled = 0;
      const done = this.#message;
      this.#message = done === undefined ? this.#announced() : undefined;
      if (done !== undefined) this.#onMessage(done);
      else if (this.#message?.length === 0) {
        this.#onMessage(this.#message);
        this.#message = undefined;
      }
    }
  }

  /** Room for the message that the head announces. */
  #announced(): Buffer {
    if (this.#head[0] !== 0) throw new Error('the server compresses its messages, which was not asked for');
    const length = this.#head.readUInt32BE(1);
    if (length > maxMessageBytes) throw new Error(`a message of ${length} bytes is longer than ${maxMessageBytes}`);
    return Buffer.allocUnsafe(length);
  }
}
