import { createRequire } from 'node:module';
import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { decoderOf, forgetLastMessage, type MessageDecoder } from './http2-stream.ts';

const { StreamDecoder } = createRequire(import.meta.url)('@grpc/grpc-js/build/src/stream-decoder.js') as {
  StreamDecoder: new (maxBytes: number) => MessageDecoder & { write(data: Buffer): Buffer[] };
};

function framed(bytes: number, fill: number): Buffer {
  const message = Buffer.alloc(5 + bytes, fill);
  message[0] = 0;
  message.writeUInt32BE(bytes, 1);
  return message;
}

test('the decoder of grpc-js lets go of the message that it has handed on, and reads the next ones', () => {
  const decoder = new StreamDecoder(-1);
  expect(decoderOf({ decoder } as unknown as ServerInterceptingCallInterface)).toBe(decoder);
  const [first, second] = [framed(100_000, 1), framed(70_000, 2)];
  expect(decoder.write(first)).toEqual([first]);
  expect(decoder.readPartialMessage).toHaveLength(1);
  forgetLastMessage(decoder);
  expect(decoder.readPartialMessage).toEqual([]);
  expect(decoder.readCompressFlag).toHaveLength(0);
  // In the midst of a message nothing is lost.
  expect(decoder.write(second.subarray(0, 3))).toEqual([]);
  forgetLastMessage(decoder);
  expect(decoder.write(second.subarray(3, 1000))).toEqual([]);
  forgetLastMessage(decoder);
  expect(decoder.write(Buffer.concat([second.subarray(1000), first]))).toEqual([second, first]);
});

test('another version of grpc-js is left alone', () => {
  for (const call of [
    {},
    { decoder: null },
    { decoder: { readState: 0 } },
    { decoder: { readState: 0, readPartialMessage: 'x', readCompressFlag: 0 } },
  ])
    expect(decoderOf(call as unknown as ServerInterceptingCallInterface)).toBeUndefined();
});
