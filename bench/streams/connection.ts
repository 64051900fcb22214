/** An ADS stream on a connection of its own, as every Envoy has. Plain HTTP/2: a gRPC library would double the cost of a simulated proxy. */
import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2';
import { FrameReader } from './frames.ts';
import type { Protocol } from './response.ts';

export interface ConnectionOptions {
  readonly protocol: Protocol;
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
  /** Once, however it ended: by the server, with the code of its gRPC status, by the network or by `close`. */
  readonly onEnd: (reason: string, code?: number) => void;
}

const service = '/envoy.service.discovery.v3.AggregatedDiscoveryService';
const paths: Readonly<Record<Protocol, string>> = {
  delta: `${service}/DeltaAggregatedResources`,
  sotw: `${service}/StreamAggregatedResources`,
};
/** Envoy's own windows are of this order. With HTTP/2's default of 64 KiB the first answer would take a round trip per 64 KiB. */
const streamWindow = 16 * 1024 * 1024;
/** The reason of an end that `close` made. */
export const closedHere = 'closed here';

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #session: ClientHttp2Session;
  readonly #stream: ClientHttp2Stream;
  readonly #frames: FrameReader;
  #ended = false;

  constructor(options: ConnectionOptions) {
    const { protocol, address, ca, serverName, token, bytesPerSecond, onMessage } = options;
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
      ':path': paths[protocol],
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
      if (status === undefined) return;
      this.#end(`gRPC status ${String(status)}: ${decodeURIComponent(String(headers['grpc-message'] ?? ''))}`, Number(status));
    };
    this.#stream.once('response', onStatus);
    this.#stream.once('trailers', onStatus);
    this.#stream.once('error', (error) => this.#end(error.message));
    this.#stream.once('close', () => this.#end('stream closed'));
  }

  /** A message in pieces. */
  send(pieces: readonly Buffer[]): void {
    if (this.#ended) return;
    const head = Buffer.alloc(5);
    head.writeUInt32BE(
      pieces.reduce((sum, { length }) => sum + length, 0),
      1,
    );
    // Small ones are one write, which is one frame; of a large one the pieces that streams share are not copied.
    const [first = head.subarray(0, 0), ...rest] = pieces;
    if (rest.length === 0) {
      this.#stream.write(Buffer.concat([head, first]));
      return;
    }
    this.#stream.cork();
    this.#stream.write(head);
    for (const piece of pieces) this.#stream.write(piece);
    this.#stream.uncork();
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

  #end(reason: string, code?: number): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#options.onEnd(reason, code);
    this.#session.destroy();
  }
}
