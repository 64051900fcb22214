import { expect, test } from 'vitest';
import { defaultMeshConfig } from '../apis/mesh-config.ts';
import type { ConfigObject } from '../apis/object.ts';
import { clusterType, endpointType, nameTableType, secretType } from '../wire/types.ts';
import type { StreamStatus } from '../xds/source.ts';
import { debugPages, type Page } from './debug-pages.ts';
import { AdsDebug, controlPlaneIdentifier } from './debug-source.ts';
import type { DumpRequest } from './dump.ts';
import { fakeStream, synced } from './testing/stream.ts';
import type { AdminViews } from './views.ts';

function viewsWith(views: Partial<AdminViews>): AdminViews {
  return {
    streams: () => [],
    problems: () => [],
    services: () => [],
    endpoints: () => [],
    dump: async () => undefined,
    dumpMessages: async () => undefined,
    objects: () => [],
    meshConfig: () => defaultMeshConfig,
    replicas: () => ({ self: '', leader: '', replicas: [] }),
    clusters: () => [],
    costs: () => ({ windowMs: 600_000, rows: [], forgotten: 0, other: { translationMs: 0, bytesSent: 0 } }),
    ...views,
  };
}

async function page(views: Partial<AdminViews>, path: string, namespace?: string): Promise<Page> {
  const [name, query] = path.split('?');
  const found = debugPages(viewsWith(views)).find((p) => p.name === name);
  if (found === undefined) throw new Error(path);
  return found.answer({ query: new URLSearchParams(query), ...(namespace !== undefined && { namespace }) });
}

function object(kind: string, apiVersion: string, name: string, more: Partial<ConfigObject> = {}): ConfigObject {
  return { kind, apiVersion, name, namespace: 'shop', labels: {}, annotations: {}, spec: { secret: 'x' }, origin: {}, ...more };
}

test("configz has objects of Istio's kinds as they were written, and no Secret", async () => {
  const objects = [
    object('Secret', 'v1', 'key'),
    object('ConfigMap', 'v1', 'istio'),
    object('Gateway', 'networking.istio.io.evil.example/v1', 'x'),
    object('Gateway', 'networking.istio.io/v1', 'gw', {
      labels: { a: 'b' },
      creationTimestamp: '2026-01-01T00:00:00Z',
      origin: { resourceVersion: '7' },
    }),
  ];
  expect(await page({ objects: () => objects }, 'configz')).toEqual({
    status: 200,
    body: [
      {
        kind: 'Gateway',
        apiVersion: 'networking.istio.io/v1',
        metadata: {
          name: 'gw',
          namespace: 'shop',
          labels: { a: 'b' },
          creationTimestamp: '2026-01-01T00:00:00Z',
          resourceVersion: '7',
        },
        spec: { secret: 'x' },
      },
    ],
  });
});

test('what a dump holds is asked for by its query', async () => {
  const asked: DumpRequest[] = [];
  const views = {
    streams: () => [fakeStream('page')],
    dump: async (_id: string, request: DumpRequest) => {
      asked.push(request);
      return { configs: [] };
    },
  };
  for (const path of ['config_dump?', 'config_dump?include_eds&explain&', 'config_dump?types=cds,sds&', 'edsz?', 'ndsz?types=sds&'])
    expect((await page(views, `${path}proxyID=page.shop`)).status).toBe(200);
  expect(asked).toEqual([
    { endpoints: false, explain: false },
    { endpoints: true, explain: true },
    { types: [clusterType, secretType], endpoints: false, explain: false },
    { types: [endpointType], endpoints: false, explain: false },
    { types: [nameTableType], endpoints: false, explain: false },
  ]);
  expect((await page(views, 'config_dump?types=nosuch&proxyID=page.shop')).status).toBe(400);
});

test('who may see one namespace sees no proxy of another, whatever its connection id', async () => {
  const views = { streams: () => [fakeStream('page')], dump: async () => ({ configs: [] }) };
  const { connectionId } = fakeStream('page').subscription;
  for (const proxyID of ['page.shop', connectionId, 'sidecar', '~']) {
    expect((await page(views, `ndsz?proxyID=${proxyID}`, 'shop')).status, proxyID).toBe(200);
    expect((await page(views, `ndsz?proxyID=${proxyID}`, 'other')).status, proxyID).toBe(404);
  }
});

test('the namespace of a proxy is that of its metadata, as it was checked, before that of its id', async () => {
  const moved = fakeStream('page');
  const { subscription } = moved;
  const node = { ...subscription.node, metadata: { NAMESPACE: 'real' } };
  const stream: StreamStatus = { ...moved, subscription: { ...subscription, node } };
  const views = { streams: () => [stream], dump: async () => ({ configs: [] }) };
  expect([(await page(views, 'edsz?proxyID=page', 'shop')).status, (await page(views, 'edsz?proxyID=page', 'real')).status]).toEqual([
    404, 200,
  ]);
  expect([(await page(views, 'syncz?namespace=shop')).body, (await page(views, 'syncz?namespace=real')).body]).toMatchObject([[], [{}]]);
});

test('syncz leaves out what has not happened, because its readers parse times and compare nonces', async () => {
  const fresh = { ...synced, sentNonce: '', ackedNonce: '', sentAtMs: 0, state: 'NOT_SENT' as const };
  const { body } = await page({ streams: () => [fakeStream('page', { [clusterType]: fresh })] }, 'syncz');
  const [status] = body as { resources: Record<string, object> }[];
  expect(status).not.toHaveProperty('cluster_sent');
  expect(status?.resources[clusterType]).toEqual({ subscribed: '*', state: 'NOT_SENT', heldBack: [] });
});

const callerIn = (namespace: string) => ({
  address: '',
  secure: true,
  identity: { spiffeId: `spiffe://td/ns/${namespace}/sa/a`, trustDomain: 'td', namespace, serviceAccount: 'a' },
});

test("over ADS the control plane's and the root namespace see all", async () => {
  const views = viewsWith({ streams: () => [fakeStream('page')], meshConfig: () => ({ ...defaultMeshConfig, rootNamespace: 'root' }) });
  const debug = new AdsDebug(views, 'system', () => undefined);
  const seen = async (namespace: string): Promise<[number | undefined, string | undefined]> => {
    const all = await debug.answer({ type: 'istio.io/debug/syncz', name: undefined, caller: callerIn(namespace) });
    const mesh = await debug.answer({ type: 'istio.io/debug', name: 'mesh', caller: callerIn(namespace) });
    return ['resources' in all ? all.resources.length : undefined, 'code' in mesh ? mesh.code : undefined];
  };
  expect([await seen('system'), await seen('root'), await seen('shop'), await seen('istio-system')]).toEqual([
    [1, undefined],
    [1, undefined],
    [1, 'PERMISSION_DENIED'],
    [0, 'PERMISSION_DENIED'],
  ]);
});

test('the identifier is what istioctl parses', () => {
  expect(JSON.parse(controlPlaneIdentifier('replica-1', '1.2.3', 'v24'))).toEqual({
    Component: 'mizzen',
    ID: 'replica-1',
    Info: { version: '1.2.3', revision: 'unknown', golang_version: 'node v24', status: 'unknown', tag: '1.2.3' },
  });
});
