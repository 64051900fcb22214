/**
 * Responses straight to HTTP/2. grpc-js copies each message of each stream into memory of its own, and gives the next one to HTTP/2 only when the network has
 * the one before: at a connect of 200 proxies with 1,000 services the copies were 500 MB, a quarter of the CPU, and half of what the collector had to do, and
 * of a change that is several messages each was a write of its own. The call, its metadata and its status stay with grpc-js.
 */
import type { ServerHttp2Stream } from 'node:http2';
import { Metadata, ServerInterceptingCall, status, type ServerInterceptingCallInterface, type ServerInterceptor } from '@grpc/grpc-js';
import type { Joined } from '../wire/join.ts';
import { decoderOf, forgetLastMessage, type MessageDecoder, streamOf } from './http2-stream.ts';

/** What a handler writes to a call: a message, and who is told when the network has taken it, which the call itself does not wait for. */
export class Outgoing {
  readonly message: Joined;
  readonly taken: () => void;

  constructor(message: Joined, taken: () => void = () => undefined) {
    this.message = message;
    this.taken = taken;
  }
}

/** For the option `interceptors` of a server whose handlers write `Outgoing`. */
export const straightToHttp2: ServerInterceptor = (_method, call) => {
  const stream = streamOf(call);
  return stream === undefined ? new CopyingCall(call) : new StraightCall(call, stream);
};

/** With a grpc-js that has its stream elsewhere: every message is copied. */
class CopyingCall extends ServerInterceptingCall {
  override sendMessage(outgoing: unknown, callback: () => void): void {
    if (!(outgoing instanceof Outgoing)) {
      super.sendMessage(outgoing, callback);
      return;
    }
    super.sendMessage(outgoing.message, () => {
      outgoing.taken();
      callback();
    });
  }
}

/** A small message is cheaper in one piece: one frame, one copy. */
const largeBytes = 16 * 1024;

/**
 * A connection of Node's TLS keeps a buffer as large as the largest single write for the rest of its life: with whole first answers that was 1.4 MB for each proxy.
 */
const sliceBytes = { tls: 64 * 1024, plaintext: 256 * 1024 };

class StraightCall extends CopyingCall {
  readonly #stream: ServerHttp2Stream;
  readonly #decoder: MessageDecoder | undefined;

  constructor(call: ServerInterceptingCallInterface, stream: ServerHttp2Stream) {
    super(call);
    this.#stream = stream;
    this.#decoder = decoderOf(call);
  }

  /** The message before has been handed on. */
  override startRead(): void {
    if (this.#decoder !== undefined) forgetLastMessage(this.#decoder);
    super.startRead();
  }

  override sendMessage(outgoing: unknown, callback: () => void): void {
    const stream = this.#stream;
    if (!(outgoing instanceof Outgoing) || stream.destroyed || stream.closed) {
      super.sendMessage(outgoing, callback);
      return;
    }
    if (!stream.headersSent) this.sendMetadata(new Metadata());
    const { message, taken } = outgoing;
    if (message.byteLength < largeBytes) {
      this.#writeWhole(message, taken);
      callback();
      return;
    }
    const bytes = stream.session?.encrypted === true ? sliceBytes.tls : sliceBytes.plaintext;
    this.#writeSlices(slicesOf([headOf(message), ...message.pieces], bytes), () => {
      taken();
      callback();
    });
  }

  /** With all others that are written before the event loop goes on. */
  #writeWhole(message: Joined, taken: () => void): void {
    const stream = this.#stream;
    const frame = Buffer.allocUnsafe(headBytes + message.byteLength);
    headOf(message, frame);
    message.copy(frame, headBytes);
    if (stream.writableCorked === 0) {
      stream.cork();
      process.nextTick(() => stream.uncork());
    }
    stream.write(frame, (error) => this.#written(error, taken));
  }

  /** The next slice when the socket has the one before. */
  #writeSlices(slices: Iterator<Uint8Array[], void>, done: () => void): void {
    const { value: slice } = slices.next();
    const last = slice?.pop();
    if (slice === undefined || last === undefined) {
      done();
      return;
    }
    const stream = this.#stream;
    // A status may have been sent in between: the rest is of no use then.
    if (stream.destroyed || stream.writableEnded) return;
    stream.cork();
    for (const piece of slice) stream.write(piece);
    // Not of an empty write behind it: HTTP/2 calls that back as soon as it gets there, with nothing sent.
    stream.write(last, (error) => this.#written(error, () => this.#writeSlices(slices, done)));
    stream.uncork();
  }

  #written(error: Error | null | undefined, next: () => void): void {
    if (error === undefined || error === null) next();
    else this.sendStatus({ code: status.INTERNAL, details: 'the response could not be written', metadata: null });
  }
}

const headBytes = 5;

/** Length-prefixed message of gRPC: a flag for compression, and the length. */
function headOf(message: Joined, head = Buffer.allocUnsafe(headBytes)): Buffer {
  head[0] = 0;
  head.writeUInt32BE(message.byteLength, 1);
  return head;
}

/** All bytes in order, in lists of `bytes` together; no list and no piece is empty. */
function* slicesOf(pieces: Iterable<Uint8Array>, bytes: number): Generator<Uint8Array[], void> {
  let slice: Uint8Array[] = [];
  let room = bytes;
  for (const piece of pieces) {
    for (let start = 0; start < piece.byteLength;) {
      const part = piece.subarray(start, start + room);
      slice.push(part);
      start += part.byteLength;
      room -= part.byteLength;
      if (room > 0) continue;
      yield slice;
      slice = [];
      room = bytes;
    }
  }
  if (slice.length > 0) yield slice;
}
