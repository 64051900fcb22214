import { defaultMeshConfig } from '../apis/mesh-config.ts';
import { createConnection } from 'node:net';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { Gauge, Registry } from 'prom-client';
import { expect, onTestFinished, test } from 'vitest';
import { Exposition } from './exposition.ts';
import { createLog } from './log.ts';
import { monitoringServer } from './server.ts';

function counting(): { registry: Registry } {
  const registry = new Registry();
  let renderings = 0;
  const gauge: Gauge = new Gauge({ name: 'renderings', help: 'h', registers: [registry], collect: () => gauge.set(++renderings) });
  return { registry };
}

const text = (n: number): string => `# HELP renderings h\n# TYPE renderings gauge\nrenderings ${n}\n`;

test('one rendering serves all who ask within a quarter of a second', async () => {
  const { registry } = counting();
  let nowMs = 0;
  const exposition = new Exposition(registry, () => nowMs);
  const bodies = await Promise.all([exposition.answer(undefined), exposition.answer('identity'), exposition.answer(undefined)]);
  expect(bodies.map(({ body }) => body.toString())).toEqual([text(1), text(1), text(1)]);
  expect(bodies[0]?.body).toBe(bodies[2]?.body);
  nowMs = 249;
  expect((await exposition.answer(undefined)).body.toString()).toBe(text(1));
  nowMs = 250;
  expect((await exposition.answer(undefined)).body.toString()).toBe(text(2));
});

test.each([
  ['gzip', true],
  ['deflate, gzip;q=0.5', true],
  ['deflate, GZIP', true],
  ['gzip;q=0', false],
  ['gzip; q=0.0', false],
  ['br', false],
  ['xgzip', false],
])('accept-encoding %s: compressed is %s', async (header, zipped) => {
  const { registry } = counting();
  const { body, encoding } = await new Exposition(registry).answer(header);
  expect(encoding).toBe(zipped ? 'gzip' : undefined);
  expect((zipped ? gunzipSync(body) : body).toString()).toBe(text(1));
});

test('a rendering that fails is not kept', async () => {
  const registry = new Registry();
  let fails = true;
  const gauge: Gauge = new Gauge({
    name: 'g',
    help: 'h',
    registers: [registry],
    collect: () => {
      if (fails) throw new Error('not now');
      gauge.set(1);
    },
  });
  const exposition = new Exposition(registry, () => 0);
  await expect(exposition.answer(undefined)).rejects.toThrow('not now');
  fails = false;
  expect((await exposition.answer(undefined)).body.toString()).toContain('g 1\n');
});

test('a scraper that does not read is cut off, and others are served meanwhile', async () => {
  const { registry } = counting();
  // More than the buffers of a connection hold.
  for (let i = 0; i < 60; i++) registry.registerMetric(new Gauge({ name: `g${i}`, help: 'x'.repeat(200_000), registers: [] }));
  const none = (): [] => [];
  const app = monitoringServer({
    views: {
      streams: none,
      problems: none,
      services: none,
      endpoints: none,
      dump: async () => undefined,
      dumpMessages: async () => undefined,
      objects: () => [],
      meshConfig: () => defaultMeshConfig,
      clusters: () => [],
      costs: () => ({ windowMs: 600_000, rows: [], forgotten: 0, other: { translationMs: 0, bytesSent: 0 } }),
      replicas: () => ({ self: '', leader: '', replicas: [] }),
    },
    metrics: registry,
    log: createLog({}, { write: () => undefined }),
    version: { version: '0.1.0', node: 'v24', envoy: '1.40' },
    scrapeLimitMs: 300,
  });
  onTestFinished(() => app.close());
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const slow = createConnection({ host: '127.0.0.1', port });
  const ended = new Promise((resolve) => slow.once('close', resolve));
  slow.on('error', () => undefined);
  slow.write('GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n');
  const served = await fetch(`http://127.0.0.1:${port}/metrics`);
  expect(served.headers.get('content-encoding')).toBe('gzip');
  expect(await served.text()).toMatch(/^renderings \d+$/m);
  // A paused socket learns of a reset only when it writes.
  const probe = setInterval(() => slow.write('x'), 50);
  onTestFinished(() => clearInterval(probe));
  await ended;
});
