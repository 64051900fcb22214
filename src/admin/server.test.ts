import { expect, test } from 'vitest';
import { defaultMeshConfig } from '../apis/mesh-config.ts';
import { objectKey } from '../apis/object.ts';
import { clusterType, routeType } from '../wire/types.ts';
import { createLog } from './log.ts';
import { createMetrics } from './metrics.ts';
import { monitoringServer, readinessServer } from './server.ts';
import { fakeStream, synced } from './testing/stream.ts';
import type { AdminViews } from './views.ts';
import type { FastifyInstance } from 'fastify';

const logged: string[] = [];

function server(views: Partial<AdminViews> = {}): FastifyInstance {
  const log = createLog({}, { write: (line) => logged.push(line) });
  const metrics = createMetrics({ version: '0.1.0', nowMs: () => 0, serviceCount: () => 0, virtualServiceCount: () => 0 });
  return monitoringServer({
    views: {
      streams: () => [],
      problems: () => [],
      services: () => [],
      endpoints: () => [],
      dump: async () => undefined,
      dumpMessages: async () => undefined,
      objects: () => [],
      meshConfig: () => defaultMeshConfig,
      clusters: () => [],
      costs: () => ({ windowMs: 600_000, rows: [], forgotten: 0, other: { translationMs: 0, bytesSent: 0 } }),
      replicas: () => ({ self: 'a', leader: '', replicas: [] }),
      ...views,
    },
    metrics: metrics.registry,
    log,
    version: { version: '0.1.0', node: 'v24', envoy: '1.40' },
  });
}

test('/metrics and /version are for everybody, the debug API for callers on this machine', async () => {
  const app = server();
  const remoteAddress = '10.1.2.3';
  for (const url of ['/metrics', '/version', '//version']) expect((await app.inject({ url, remoteAddress })).statusCode).toBe(200);
  for (const url of ['/debug', '/debug/syncz', '//debug//syncz', '/debug/config_dump?proxyID=x', '/scopez']) {
    expect((await app.inject({ url, remoteAddress })).statusCode, url).toBe(403);
  }
  expect(logged.at(-1)).toContain('10.1.2.3');
  expect((await app.inject({ url: '/debug/syncz', remoteAddress: '::ffff:127.0.0.1' })).statusCode).toBe(200);
  expect((await app.inject({ url: '/debug/syncz', remoteAddress: '127.0.0.1', headers: { host: 'evil.example:15014' } })).statusCode).toBe(
    403,
  );
});

test('syncz shows each type and the worst of them', async () => {
  const error = { ...synced, ackedNonce: 'n6', state: 'ERROR' as const, lastError: 'Only unique values', heldBack: ['9080/reviews'] };
  const app = server({
    streams: () => [fakeStream('page', { [clusterType]: synced, [routeType]: error }), fakeStream('details', { [clusterType]: synced })],
  });
  const body = (await app.inject('/debug/syncz')).json<Record<string, unknown>[]>();
  expect(body).toMatchObject([
    {
      cluster_id: 'Kubernetes',
      proxy: 'page.shop',
      proxy_type: 'sidecar',
      identity: 'spiffe://cluster.local/ns/shop/sa/page',
      state: 'ERROR',
      cluster_sent: 'n7',
      cluster_acked: 'n7',
      route_sent: 'n7',
      route_acked: 'n6',
      resources: {
        [routeType]: {
          state: 'ERROR',
          lastError: 'Only unique values',
          heldBack: [{ name: '9080/reviews', madeFrom: ['VirtualService/shop/9080/reviews (reviews.yaml:3)'] }],
          sentTime: '2023-11-14T22:13:20.000Z',
        },
      },
    },
    { proxy: 'details.shop', state: 'SYNCED' },
  ]);
});

test('a dump is found by name.namespace, connection id or a part of it', async () => {
  const asked: string[] = [];
  const app = server({
    streams: () => [fakeStream('page-2'), fakeStream('page')],
    dump: async (id) => {
      asked.push(id);
      return { configs: [] };
    },
  });
  for (const id of ['page.shop', 'page-2', '~page-2.shop~']) {
    expect((await app.inject({ url: '/debug/config_dump', query: { proxyID: id } })).json()).toEqual({ configs: [] });
  }
  const id = (name: string): string => `sidecar~10.0.0.1~${name}.shop~shop.svc.cluster.local-1`;
  expect(asked).toEqual([id('page'), id('page-2'), id('page-2')]);
  expect((await app.inject('/debug/config_dump?proxyID=ratings')).statusCode).toBe(404);
  expect((await app.inject('/debug/config_dump')).statusCode).toBe(400);
});

test('problems are listed with their place', async () => {
  const problem = {
    object: objectKey('VirtualService', 'shop', 'reviews'),
    path: 'spec.http[0].fault',
    reason: 'NotTranslated',
    severity: 'error',
    message: 'is not translated',
    origin: { file: 'reviews.yaml', line: 3 },
  } as const;
  expect((await server({ problems: () => [problem] }).inject('/debug/problems')).json()).toEqual([problem]);
});

test('log levels change while the daemon runs, all or none', async () => {
  const app = server();
  const put = (payload: Record<string, string>) => app.inject({ method: 'PUT', url: '/scopez', payload });
  expect((await put({ ads: 'debug' })).json()).toMatchObject({ ads: 'debug', ca: 'info' });
  expect((await put({ ca: 'warn', adz: 'debug' })).statusCode).toBe(400);
  expect((await put({ ca: 'loud' })).json<{ error: string }>().error).toContain('the levels are trace, debug');
  expect((await app.inject('/scopez')).json()).toMatchObject({ ads: 'debug', ca: 'info' });
});

test('the index links every page, and a body that is too long is refused', async () => {
  const app = server();
  expect((await app.inject('/debug')).body).toContain('href="/debug/config_dump?proxyID=NAME.NAMESPACE"');
  expect((await app.inject({ method: 'PUT', url: '/scopez', payload: { ads: 'x'.repeat(5000) } })).statusCode).toBe(413);
});

test('/ready says why it is not', async () => {
  let reasons: string[] | undefined = ['still to be read: pods', 'the API server refuses services: forbidden'];
  const app = readinessServer(() => reasons);
  const before = await app.inject('/ready');
  expect(before.statusCode).toBe(503);
  expect(before.body).toBe('not ready\nstill to be read: pods\nthe API server refuses services: forbidden\n');
  reasons = undefined;
  const after = await app.inject('/ready');
  expect([after.statusCode, after.body]).toEqual([200, 'ready\n']);
});
