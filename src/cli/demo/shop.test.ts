import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { readText, startShopService, type Answer } from './shop.ts';

const servers: Server[] = [];
afterEach(async () => {
  await Promise.all(
    servers.splice(0).map((s) => {
      s.closeAllConnections();
      return once(s.close(), 'close');
    }),
  );
});

function addressOf(server: Server): { address: string; port: number } {
  servers.push(server);
  const { address, port } = server.address() as AddressInfo;
  return { address, port };
}

async function ask(port: number, headers: Record<string, string> = {}): Promise<{ status: number; text: string }> {
  const [response] = (await once(get({ host: '127.0.0.1', port, headers, agent: false }), 'response')) as [IncomingMessage];
  return { status: response.statusCode ?? 0, text: await readText(response) };
}

/** Stands for the page's sidecar: routes by Host. */
async function router(routes: Record<string, (request: IncomingMessage) => [number, string]>): Promise<{ address: string; port: number }> {
  const server = createServer((request, response) => {
    const [status, body] = routes[request.headers.host ?? '']?.(request) ?? [404, 'no route'];
    response.writeHead(status).end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return addressOf(server);
}

test('a leaf tells its version and the identity that its sidecar has proven', async () => {
  const server = await startShopService({ role: 'ratings', version: 'v1', address: '127.0.0.1', port: 0 });
  const { port } = addressOf(server);
  const xfcc =
    'By=spiffe://x;URI=spiffe://forged,By=spiffe://cluster.local/ns/b/sa/ratings;Hash=1;URI=spiffe://cluster.local/ns/b/sa/reviews';
  const { status, text } = await ask(port, { 'x-forwarded-client-cert': xfcc });
  expect(status).toBe(200);
  expect(JSON.parse(text)).toEqual({
    service: 'ratings',
    version: 'v1',
    caller: 'spiffe://cluster.local/ns/b/sa/reviews',
    body: { stars: [5, 4] },
  });
  expect((JSON.parse((await ask(port)).text) as Answer).caller).toBe('');
});

test('page asks details and reviews by Host and passes the trace on', async () => {
  const seen: (string | undefined)[] = [];
  const answer = (service: string): [number, string] => [200, JSON.stringify({ service, version: 'v2', caller: '', body: {} })];
  const egress = await router({
    'details:9080': (r) => {
      seen.push(r.headers['x-request-id'] as string);
      return answer('details');
    },
    'reviews:9080': () => answer('reviews'),
  });
  const { port } = addressOf(await startShopService({ role: 'page', version: 'v1', address: '127.0.0.1', port: 0, egress }));
  const { status, text } = await ask(port, { 'x-request-id': 'abc' });
  expect(status).toBe(200);
  expect((JSON.parse(text) as Answer).body).toMatchObject({ reviews: { service: 'reviews', version: 'v2' } });
  expect(seen).toEqual(['abc']);
});

test('what a callee refuses reaches the caller as 502 with its words', async () => {
  const egress = await router({ 'ratings:9080': () => [403, 'RBAC: access denied'] });
  const { port } = addressOf(await startShopService({ role: 'reviews', version: 'v3', address: '127.0.0.1', port: 0, egress }));
  expect(await ask(port)).toEqual({ status: 502, text: 'reviews v3: ratings answered 403: RBAC: access denied\n' });
});
