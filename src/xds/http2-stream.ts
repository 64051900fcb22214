import type { ServerHttp2Stream } from 'node:http2';
import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';

/** grpc-js offers its HTTP/2 stream to nobody; undefined where a later version has it elsewhere. */
export function streamOf(call: ServerInterceptingCallInterface): ServerHttp2Stream | undefined {
  const stream: unknown = 'stream' in call ? call.stream : undefined;
  const isStream = typeof stream === 'object' && stream !== null && 'headersSent' in stream && 'write' in stream && 'cork' in stream;
  return isStream ? (stream as ServerHttp2Stream) : undefined;
}

/** grpc-js' StreamDecoder, as far as it is looked into. */
export interface MessageDecoder {
  /** 0: between messages. */
  readonly readState: number;
  readonly readPartialMessage: unknown;
  readonly readCompressFlag: unknown;
}

/** That of the call's requests; undefined where a later version of grpc-js has none of this shape. */
export function decoderOf(call: ServerInterceptingCallInterface): MessageDecoder | undefined {
  const decoder: unknown = 'decoder' in call ? call.decoder : undefined;
  const isDecoder =
    typeof decoder === 'object' &&
    decoder !== null &&
    'readState' in decoder &&
    'readPartialMessage' in decoder &&
    Array.isArray(decoder.readPartialMessage) &&
    'readCompressFlag' in decoder;
  return isDecoder ? (decoder as unknown as MessageDecoder) : undefined;
}

const nothing = Buffer.alloc(0);

/**
 * The decoder keeps the pieces of the last message until the next one begins: of a proxy that has asked for the endpoints of 10,000 clusters half a megabyte,
 * and the 64 KB that were read from the socket with a message's first byte.
 */
export function forgetLastMessage(decoder: MessageDecoder): void {
  if (decoder.readState === 0) Object.assign(decoder, { readPartialMessage: [], readCompressFlag: nothing });
}
