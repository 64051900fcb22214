import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, constants, type ClientHttp2Session } from 'node:http2';
import { afterEach, expect, test, vi } from 'vitest';
import { Server, ServerCredentials, status, type ServerDuplexStream } from '@grpc/grpc-js';
import { Joined } from '../wire/join.ts';
import { loadServices } from '../wire/services.ts';
import { Outgoing, straightToHttp2 } from './outgoing.ts';

const services = loadServices(readFileSync(new URL('../../generated/services.binpb', import.meta.url)));
type Call = ServerDuplexStream<unknown, Outgoing>;

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

/** A client that reads nothing by itself, and the server's side of its stream. */
async function open(): Promise<{ call: Call; stream: ReturnType<ClientHttp2Session['request']> }> {
  const server = new Server({ interceptors: [straightToHttp2], 'grpc.max_send_message_length': -1 });
  const { promise, resolve } = Promise.withResolvers<Call>();
  server.addService(services.aggregatedDiscovery, {
    StreamAggregatedResources: () => undefined,
    DeltaAggregatedResources: (call: Call) => {
      call.on('error', () => undefined);
      resolve(call);
    },
  });
  const port = await new Promise<number>((bound, failed) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, at) => (error === null ? bound(at) : failed(error)));
  });
  cleanups.push(() => server.forceShutdown());
  const session = connect(`http://127.0.0.1:${port}`);
  cleanups.push(() => session.destroy());
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: 'POST',
    [constants.HTTP2_HEADER_PATH]: services.aggregatedDiscovery.DeltaAggregatedResources.path,
    [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
    te: 'trailers',
  });
  stream.on('error', () => undefined);
  return { call: await promise, stream };
}

/** Different at each place, so that a byte out of order shows. */
function bytes(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 7 + seed) & 0xff);
}

function framed(message: Joined): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([head, message.toBytes()]);
}

test('large and small messages arrive whole and in order', async () => {
  const { call, stream } = await open();
  const shared = bytes(200_000, 1);
  const messages = [
    new Joined([bytes(3, 2), shared, bytes(0, 0), bytes(70_001, 3)]),
    new Joined([bytes(10, 4)]),
    new Joined([shared, bytes(1, 5)]),
    new Joined([bytes(65_531, 6), bytes(65_536, 7)]),
  ];
  const copied = messages.map((message) => vi.spyOn(message, 'copy'));
  for (const message of messages) call.write(new Outgoing(message));
  call.end();
  stream.end();
  const received: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) received.push(chunk);
  expect(Buffer.concat(received).equals(Buffer.concat(messages.map(framed)))).toBe(true);
  // Only the small one: were the stream of a call hidden by another version of grpc-js, all would be.
  expect(copied.map((copy) => copy.mock.calls.length)).toEqual([0, 1, 0, 0]);
});

test('small messages of one turn of the event loop are one write, and each is told of', async () => {
  const { call, stream } = await open();
  const messages = [100, 0, 2000].map((length, seed) => new Joined([bytes(length, seed)]));
  const taken: number[] = [];
  messages.forEach((message, i) => call.write(new Outgoing(message, () => taken.push(i))));
  const [chunk] = (await once(stream, 'data')) as [Buffer];
  expect(chunk.equals(Buffer.concat(messages.map(framed)))).toBe(true);
  await new Promise<void>((resolve) => stream.session?.ping(() => resolve()));
  expect(taken).toEqual([0, 1, 2]);
});

test('a message counts as taken only when the peer has let it in, and the status comes behind it', async () => {
  const { call, stream } = await open();
  let taken = 0;
  const more = Promise.withResolvers<void>();
  // The peer's window is 64 KiB, and it opens it only for what is read.
  const first = () => {
    taken++;
    more.resolve();
  };
  call.write(new Outgoing(new Joined([bytes(20_000, 1)]), first));
  call.write(new Outgoing(new Joined([bytes(500_000, 2)]), () => taken++));
  await more.promise;
  await new Promise<void>((resolve) => stream.once('readable', resolve));
  await new Promise<void>((resolve) => stream.session?.ping(() => resolve()));
  expect(taken).toBe(1);

  call.emit('error', Object.assign(new Error('going'), { code: status.UNAVAILABLE, details: 'going' }));
  const trailers = new Promise<Record<string, unknown>>((resolve) => stream.once('trailers', resolve));
  stream.resume();
  expect((await trailers)['grpc-status']).toBe(String(status.UNAVAILABLE));
  expect(taken).toBe(2);
});

test('a peer that goes away in the middle harms nobody', async () => {
  const { call, stream } = await open();
  const closed = new Promise<void>((resolve) => call.once('close', resolve));
  call.write(new Outgoing(new Joined([bytes(500_000, 2)])));
  await new Promise<void>((resolve) => stream.once('readable', resolve));
  stream.close(constants.NGHTTP2_CANCEL);
  call.resume();
  await closed;
  expect(call.destroyed).toBe(true);
});
