/**
 * Large responses without a copy. grpc-js writes each message of each stream into memory of its own: at a connect of 200 proxies with 1,000 services that was 500 MB,
 * a quarter of the CPU, and half of what the collector had to do. Pieces that streams share are handed to HTTP/2 as they are; it refers to them until the socket has them.
 */
import type { ServerHttp2Stream } from 'node:http2';
import { Metadata, ServerInterceptingCall, status, type ServerInterceptingCallInterface, type ServerInterceptor } from '@grpc/grpc-js';
import { Joined } from '../wire/join.ts';
import { streamOf } from './http2-stream.ts';

/** A small message is cheaper in one piece: one frame, one copy. */
const fromBytes = 16 * 1024;

/**
 * A connection of Node's TLS keeps a buffer as large as the largest single write for the rest of its life: with whole first answers that was 1.4 MB for each proxy.
 */
const sliceBytes = 64 * 1024;

/** For the option `interceptors` of a server whose responses are `Joined`. */
export const largeByReference: ServerInterceptor = (_method, call) => {
  const stream = streamOf(call);
  // Without it messages are copied as before.
  return stream === undefined ? new ServerInterceptingCall(call) : new ReferringCall(call, stream);
};

class ReferringCall extends ServerInterceptingCall {
  readonly #stream: ServerHttp2Stream;

  constructor(call: ServerInterceptingCallInterface, stream: ServerHttp2Stream) {
    super(call);
    this.#stream = stream;
  }

  override sendMessage(message: unknown, callback: () => void): void {
    const stream = this.#stream;
    if (!(message instanceof Joined) || message.byteLength < fromBytes || stream.destroyed || stream.closed) {
      super.sendMessage(message, callback);
      return;
    }
    if (!stream.headersSent) this.sendMetadata(new Metadata());
    // Length-prefixed message of gRPC: no compression, length.
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.byteLength, 1);
    this.#write(slicesOf([head, ...message.pieces]), callback);
  }

  /** The next slice when the socket has the one before. */
  #write(slices: Iterator<Uint8Array[], void>, callback: () => void): void {
    const { value: slice } = slices.next();
    const last = slice?.pop();
    if (slice === undefined || last === undefined) {
      callback();
      return;
    }
    const stream = this.#stream;
    // A status may have been sent in between: the rest is of no use then.
    if (stream.destroyed || stream.writableEnded) return;
    stream.cork();
    for (const piece of slice) stream.write(piece);
    // Not of an empty write behind it: HTTP/2 calls that back as soon as it gets there, with nothing sent.
    stream.write(last, (error) => {
      if (error === undefined || error === null) this.#write(slices, callback);
      else this.sendStatus({ code: status.INTERNAL, details: 'the response could not be written', metadata: null });
    });
    stream.uncork();
  }
}

/** All bytes in order, in lists of `sliceBytes` together; no list and no piece is empty. */
function* slicesOf(pieces: Iterable<Uint8Array>): Generator<Uint8Array[], void> {
  let slice: Uint8Array[] = [];
  let room = sliceBytes;
  for (const piece of pieces) {
    for (let start = 0; start < piece.byteLength;) {
      const part = piece.subarray(start, start + room);
      slice.push(part);
      start += part.byteLength;
      room -= part.byteLength;
      if (room > 0) continue;
      yield slice;
      slice = [];
      room = sliceBytes;
    }
  }
  if (slice.length > 0) yield slice;
}
