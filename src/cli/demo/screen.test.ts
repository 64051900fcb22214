import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { objectKey } from '../../apis/object.ts';
import { syncStatus } from '../../admin/syncz.ts';
import { fakeStream, synced } from '../../admin/testing/stream.ts';
import { clusterType, routeType } from '../../wire/types.ts';
import { plainScreen } from './screen.ts';
import { allInSync, type DemoState } from './state.ts';
import { Traffic, type Outcome } from './traffic.ts';
import { viewLines } from './view.ts';

const answered = (version: string, mutualTls = true): Outcome => ({ status: 200, version, mutualTls, latencyMs: 8, error: '' });

function state(change: Partial<DemoState> = {}): DemoState {
  const traffic = new Traffic();
  for (const version of ['v1', 'v1', 'v1', 'v2']) traffic.add(answered(version));
  return {
    gatewayUrl: 'http://127.10.0.2:18080/page',
    debugUrl: 'http://127.0.0.1:1/debug',
    expected: ['page.shop', 'details.shop'],
    proxies: [syncStatus(fakeStream('page', { [clusterType]: synced, [routeType]: { ...synced, state: 'ERROR' } }))],
    problems: [],
    traffic: traffic.summary(),
    canaryFile: 'reviews.yaml',
    logDir: '/tmp/x',
    uptimeSeconds: 62,
    ...change,
  };
}

test('the live view shows each proxy, each version and how to shift the canary', () => {
  const lines = viewLines(state(), 120).map((line) => stripVTControlCharacters(line).trimEnd());
  expect(lines).toContain('page.shop     ✓    ·    ·    ✗    ·     ·    spiffe://cluster.local/ns/shop/sa/page');
  expect(lines).toContain('details.shop  not connected');
  expect(lines).toContain('0 of 2 connected and in sync');
  expect(lines).toContain(`reviews v2  ${'█'.repeat(13)}${'░'.repeat(37)} 1`);
  expect(lines).toContain('4 requests, no errors, median 8 ms');
  expect(lines).toContain('mutual TLS: on, every hop');
  expect(lines).toContain('Shift the canary: edit the weights in reviews.yaml and save.');
  for (const line of viewLines(state(), 40)) expect(stripVTControlCharacters(line).length).toBeLessThanOrEqual(40);
});

test('a failed request and a hop without mutual TLS are told', () => {
  const traffic = new Traffic();
  traffic.add(answered('v1', false));
  traffic.add({ status: 503, version: '', mutualTls: false, latencyMs: 1, error: '503: no healthy upstream' });
  const text = viewLines(state({ traffic: traffic.summary() }), 120)
    .map(stripVTControlCharacters)
    .join('\n');
  expect(text).toContain('2 requests, 1 errors, the last: 503: no healthy upstream');
  expect(text).toContain('mutual TLS: on for 0 of 1 requests');
});

test('plain lines tell each change once, and a summary every ten seconds', () => {
  let out = '';
  const screen = plainScreen((text) => (out += text));
  const page = syncStatus(fakeStream('page', { [clusterType]: synced }));
  const problem = {
    object: objectKey('VirtualService', 'shop', 'x'),
    path: 'spec.http',
    reason: 'Invalid',
    severity: 'error',
    message: 'is bad',
  } as const;
  const early = state({ expected: ['page.shop'], proxies: [page], problems: [problem], uptimeSeconds: 1 });
  expect(allInSync(early)).toBe(true);
  screen.show(early);
  screen.show(early);
  screen.show({ ...early, proxies: [], uptimeSeconds: 11 });
  expect(out).toBe(
    [
      'connected: page.shop',
      'error: VirtualService/shop/x spec.http: is bad',
      'in sync: all 1 proxies',
      'gone: page.shop',
      'in sync: not all proxies',
      'requests: 4 sent, 0 failed; last 4 answered by v1 3, v2 1; mutual TLS: on, every hop',
      '',
    ].join('\n'),
  );
});

test('only the last hundred requests count for the shares', () => {
  const traffic = new Traffic();
  for (let i = 0; i < 100; i++) traffic.add(answered('v1'));
  for (let i = 0; i < 30; i++) traffic.add(answered('v3'));
  expect(traffic.summary()).toMatchObject({ sent: 130, failed: 0, versions: { v1: 70, v3: 30 } });
});
