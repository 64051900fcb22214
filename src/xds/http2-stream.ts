import type { ServerHttp2Stream } from 'node:http2';
import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';

/** grpc-js offers its HTTP/2 stream to nobody; undefined where a later version has it elsewhere. */
export function streamOf(call: ServerInterceptingCallInterface): ServerHttp2Stream | undefined {
  const stream: unknown = 'stream' in call ? call.stream : undefined;
  const isStream = typeof stream === 'object' && stream !== null && 'headersSent' in stream && 'write' in stream && 'cork' in stream;
  return isStream ? (stream as ServerHttp2Stream) : undefined;
}
