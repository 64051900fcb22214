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
    const url = new URL(request.url ?? '', 'http://b');
    const objects = url.searchParams.getAll('object').map((object) => reportOf(object));
    response.end(JSON.stringify(url.pathname.endsWith('refused') ? refused : { replica: 'b', unanswered: [], objects }));
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});

function reportOf(object: string): object {
  return { object, exists: true, pending: false, proxies: { total: 0, acked: 0 }, lagging: [], problems: [] };
}

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

test('names that are as long as names may be are asked for in requests that a replica takes', async () => {
  const objects = Array.from({ length: 50 }, (_, i) => `AuthorizationPolicy/${'n'.repeat(63)}/${'p'.repeat(250)}-${i + 10}`);
  const answer = await askPeer(`127.0.0.1:${port}`, objects);
  expect(answer?.objects.map(({ object }) => object)).toEqual(objects);
  expect(asked).toHaveLength(3);
  expect(Math.max(...asked.map((url) => url.length))).toBeLessThan(8_300);
});

test('names among those refused that are none are left out, and the others count', async () => {
  refused = ['Service/shop/reviews@east', 'VirtualService/shop/reviews', 'Pod//', ''];
  expect(await refusedAtPeer(`127.0.0.1:${port}`)).toEqual(['VirtualService/shop/reviews']);
});
