import { expect, test } from 'vitest';
import { FrameReader } from './frames.ts';

function framed(...messages: string[]): Buffer {
  return Buffer.concat(
    messages.map((message) => {
      const head = Buffer.alloc(5);
      head.writeUInt32BE(message.length, 1);
      return Buffer.concat([head, Buffer.from(message)]);
    }),
  );
}

test.each([1, 2, 3, 5, 7, 100])('messages are whole however the connection cuts them: %i bytes at a time', (size) => {
  const received: string[] = [];
  const reader = new FrameReader((message) => received.push(message.toString()));
  const bytes = framed('first', '', 'the second');
  for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size));
  expect(received).toEqual(['first', '', 'the second']);
});

test('a compressed message is an error', () => {
  const bytes = framed('x');
  bytes[0] = 1;
  expect(() => new FrameReader(() => {}).push(bytes)).toThrow('compresses');
});
