import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import type { ObjectReport } from '../admin/convergence.ts';
import { mizzen } from './testing/mizzen.ts';

// The first use of a command loads what it needs, and other suites may have the processors.
vi.setConfig({ testTimeout: 60_000 });
vi.stubEnv('KUBECONFIG', '');

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

async function serve(answer: (url: string) => unknown): Promise<string> {
  const server = createServer((request, response) => {
    const body = answer(request.url ?? '');
    response.statusCode = body === undefined ? 404 : 200;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(body ?? { kind: 'Status', message: 'not found' }));
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const there: ObjectReport = {
  object: 'VirtualService/shop/reviews',
  exists: true,
  read: true,
  resourceVersion: '7',
  generation: 1,
  translated: true,
  pending: false,
  proxies: { total: 2, acked: 2 },
  lagging: [],
  problems: [],
  behind: [],
  converged: true,
};
const lags: ObjectReport = {
  ...there,
  proxies: { total: 2, acked: 1 },
  lagging: [{ proxy: 'sidecar~10.0.0.1~page.shop~shop.svc', replica: 'r-1', type: 'LDS', since: '2026-01-01T00:00:00Z', state: 'pending' }],
  converged: false,
};

/** Answers with each report in turn, and the last one for ever. */
async function controlPlane(...reports: readonly ObjectReport[]): Promise<{ readonly address: string; readonly asked: string[] }> {
  const asked: string[] = [];
  const address = await serve((url) => {
    const report = reports[Math.min(asked.length, reports.length - 1)];
    asked.push(url);
    return { replica: 'r-1', unanswered: [], objects: [report] };
  });
  return { address, asked };
}

test('it asks until all proxies have it', async () => {
  const { address, asked } = await controlPlane(lags, { ...lags, pending: true }, there);
  expect(await mizzen('wait', '--for=converged', 'vs/reviews', '-n', 'shop', '--address', address)).toEqual({
    status: 0,
    out: 'VirtualService/shop/reviews: converged, 2 of 2 proxies have it\n',
    err: '',
  });
  expect(asked).toHaveLength(3);
  expect(asked[0]).toBe('/debug/convergence?object=VirtualService%2Fshop%2Freviews');
});

test('after the timeout it ends with 4 and lists who lags', async () => {
  const { address } = await controlPlane(lags);
  const { status, out, err } = await mizzen('wait', 'virtualservices/reviews', '-n', 'shop', '--timeout', '1s', '--address', address);
  expect(status).toBe(4);
  expect(err).toBe('mizzen: VirtualService/shop/reviews has not converged within 1 s: 1 of 2 proxies have it\n');
  expect(out).toMatch(/^PROXY +STATE +TYPE +SINCE +REPLICA +ERROR\npage\.shop +pending +LDS /m);
});

test('what is refused ends it with 1, as JSON too', async () => {
  const problems = [{ path: 'spec.hosts', reason: 'Invalid', severity: 'error', message: 'is required' }] as const;
  const { address } = await controlPlane({ ...there, problems });
  const { status, out } = await mizzen('wait', 'VirtualService/reviews', '-n', 'shop', '-o', 'json', '--address', address);
  expect(status).toBe(1);
  expect(JSON.parse(out)).toMatchObject({ object: there.object, problems });
});

test.each([
  ['a kind that is not read', ['wait', 'foo/bar'], 'mizzen reads no kind "foo"'],
  ['no name', ['wait', 'virtualservice'], 'is not KIND/NAME'],
  ['another condition', ['wait', '--for=ready', 'vs/a'], undefined],
])('%s ends it with 2', async (_name, args, text) => {
  const { status, err } = await mizzen(...args);
  expect(status).toBe(2);
  expect(err).toContain(text ?? '');
});

test('nobody who answers ends it with 3', async () => {
  const { address } = await controlPlane(there);
  servers.splice(0).forEach((server) => server.close().closeAllConnections());
  expect((await mizzen('wait', 'vs/reviews', '--address', address)).status).toBe(3);
});

test('it waits until the generation that was asked for was seen', async () => {
  const { address, asked } = await controlPlane(there, { ...there, generation: 2 });
  expect((await mizzen('wait', 'vs/reviews', '-n', 'shop', '--address', address, '--generation', '2')).status).toBe(0);
  expect(asked).toHaveLength(2);
});

test('a deletion is waited for until it was seen and all have dropped what it led to', async () => {
  const gone = { ...there, exists: false, read: false, translated: false };
  const { address, asked } = await controlPlane(there, { ...gone, converged: false, proxies: { total: 2, acked: 1 } }, gone);
  expect(await mizzen('wait', 'vs/reviews', '-n', 'shop', '--address', address, '--deleted')).toMatchObject({
    status: 0,
    out: 'VirtualService/shop/reviews: converged, it is gone from 2 of 2 proxies\n',
  });
  expect(asked).toHaveLength(3);
});

test('a kubeconfig that cannot be used ends it with 3 and says what to do', async () => {
  const { address } = await controlPlane(there);
  const { status, err } = await mizzen('wait', 'vs/reviews', '--address', address, '--kubeconfig', '/nowhere/kubeconfig');
  expect(status).toBe(3);
  expect(err).toContain('/nowhere/kubeconfig');
  expect(err).toContain('--resource-version');
});
