import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { askPeer, refusedAtPeer } from './peers.ts';

let server: Server;
let port: number;
let asked: string[];
let refused: string[];

beforeEach(async () => {
  asked = [];
  refused = ['VirtualService/shop/reviews'];
  server = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.end(request.url?.includes('refused') === true ? JSON.stringify(refused) : '{"replica":"b","unanswered":[],"objects":[]}');
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});

afterEach(() => void server.close().closeAllConnections());

test('a replica is asked at its address', async () => {
  expect(await askPeer(`127.0.0.1:${port}`, ['VirtualService/shop/reviews'])).toMatchObject({ replica: 'b' });
  expect(await refusedAtPeer(`127.0.0.1:${port}`)).toEqual(['VirtualService/shop/reviews']);
  expect(asked).toHaveLength(2);
});

test.each([
  '',
  'localhost:PORT',
  '127.0.0.1',
  '127.0.0.1:PORT/latest/meta-data?',
  'user@127.0.0.1:PORT',
  '127.0.0.1:PORT#',
  '[127.0.0.1]:PORT',
  '0x7f000001:PORT',
])('nobody is asked at "%s", which a Lease may say', async (said) => {
  const address = said.replace('PORT', String(port));
  expect(await askPeer(address, ['VirtualService/shop/reviews'])).toBeUndefined();
  expect(await refusedAtPeer(address)).toEqual([]);
  expect(asked).toEqual([]);
});

test('more than a replica tells is no answer', async () => {
  refused = Array.from({ length: 1_001 }, (_, i) => `VirtualService/shop/v-${i}`);
  expect(await refusedAtPeer(`127.0.0.1:${port}`)).toEqual([]);
  refused.pop();
  expect(await refusedAtPeer(`127.0.0.1:${port}`)).toHaveLength(1_000);
});
