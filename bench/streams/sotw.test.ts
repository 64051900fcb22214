import { fromBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { DiscoveryRequestSchema } from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import { nodeOf } from '../workload/node.ts';
import type { ReceivedResource } from './response.ts';
import { SotwSidecar } from './sotw.ts';
import * as types from './types.ts';

const short = new Map(Object.entries(types).map(([name, type]) => [type as string, name]));

function resource(name: string, references: readonly string[] = []): ReceivedResource {
  return { name, version: '', references, vhds: false };
}

/** A sidecar, and what it has sent since it was last asked, in words: type, names, version, and what it accepts or refuses. */
function sidecar(refusedType?: string, secrets: readonly string[] = []) {
  const sent: string[] = [];
  const node = nodeOf({ name: 'w', namespace: 'ns', address: '10.0.0.1', serviceAccount: 'sa', labels: { app: 'w' } });
  const send = (request: readonly Buffer[]): void => {
    const r = fromBinary(DiscoveryRequestSchema, Buffer.concat(request));
    const words = [
      r.node === undefined ? '' : `(${r.node.id})`,
      short.get(r.typeUrl) ?? r.typeUrl,
      ...r.resourceNames,
      r.versionInfo === '' ? '' : `at ${r.versionInfo}`,
      r.responseNonce === '' ? '' : `${r.errorDetail === undefined ? 'ack' : `nack (${r.errorDetail.message})`} ${r.responseNonce}`,
    ];
    sent.push(words.filter((word) => word !== '').join(' '));
  };
  const proxy = new SotwSidecar({ node, send, secrets, ...(refusedType === undefined ? {} : { refusedType }) });
  const receive = (type: string, number: number, resources: readonly ReceivedResource[]): void => {
    const references = [...new Set(resources.flatMap((r) => r.references))];
    proxy.receive({ nonce: `n${number}`, version: `v${number}`, content: { type, resources, removed: [], references } });
  };
  return { proxy, receive, said: () => sent.splice(0) };
}

const id = '(sidecar~10.0.0.1~w.ns~ns.svc.cluster.local)';

test('asks in the order of Envoy, accepts with all names, and is in sync when everything has come', () => {
  const { proxy, receive, said } = sidecar();
  proxy.open();
  expect(said()).toEqual([`${id} clusters`]);
  receive(types.clusters, 1, [resource('a', ['a']), resource('b', ['b'])]);
  expect(said()).toEqual(['clusters at v1 ack n1', 'endpoints a b']);
  receive(types.endpoints, 2, [resource('a')]);
  expect(said()).toEqual(['endpoints a b at v2 ack n2']);
  receive(types.endpoints, 3, [resource('b')]);
  expect(said()).toEqual(['endpoints a b at v3 ack n3', 'listeners']);
  receive(types.listeners, 4, [resource('out', ['80', '8080'])]);
  expect(said()).toEqual(['listeners at v4 ack n4', 'routes 80 8080']);
  expect(proxy.synced).toBe(false);
  receive(types.routes, 5, [resource('80'), resource('8080')]);
  expect(proxy.synced).toBe(true);
});

test('what clusters no longer name is no longer asked for; other answers of the same names ask for nothing', () => {
  const { proxy, receive, said } = sidecar();
  proxy.open();
  receive(types.clusters, 1, [resource('a', ['a']), resource('b', ['b'])]);
  receive(types.endpoints, 2, [resource('a'), resource('b')]);
  said();
  receive(types.clusters, 3, [resource('a', ['a']), resource('b', ['b'])]);
  expect(said()).toEqual(['clusters at v3 ack n3']);
  receive(types.clusters, 4, [resource('b', ['b']), resource('c', ['c'])]);
  expect(said()).toEqual(['clusters at v4 ack n4', 'endpoints b c at v2 ack n2']);
});

test('without EDS clusters it goes on to listeners', () => {
  const { proxy, receive, said } = sidecar();
  proxy.open();
  receive(types.clusters, 1, [resource('static')]);
  expect(said()).toEqual([`${id} clusters`, 'clusters at v1 ack n1', 'listeners']);
  receive(types.listeners, 2, []);
  expect(proxy.synced).toBe(true);
});

test('a reconnect asks for everything at once with the versions that it holds', () => {
  const { proxy, receive, said } = sidecar();
  proxy.open();
  receive(types.clusters, 1, [resource('a', ['a'])]);
  receive(types.endpoints, 2, [resource('a')]);
  receive(types.listeners, 3, [resource('out', ['80'])]);
  receive(types.routes, 4, [resource('80')]);
  said();
  proxy.open();
  expect(said()).toEqual([`${id} clusters at v1`, 'endpoints a at v2', 'listeners at v3', 'routes 80 at v4']);
  expect(proxy.synced).toBe(false);
});

test('one that refuses a type goes on from the version that it accepted last', () => {
  const { proxy, receive, said } = sidecar(types.clusters);
  proxy.open();
  receive(types.clusters, 1, [resource('static')]);
  receive(types.listeners, 2, []);
  said();
  receive(types.clusters, 3, [resource('b', ['b'])]);
  expect(said()).toEqual(['clusters at v1 nack (refused by the bench) n3']);
});

test('one that wants secrets asks for them with the first clusters, and is not in sync without', () => {
  const { proxy, receive, said } = sidecar(undefined, ['default']);
  proxy.open();
  receive(types.clusters, 1, [resource('static')]);
  expect(said()).toEqual([`${id} clusters`, 'clusters at v1 ack n1', 'secrets default', 'listeners']);
  receive(types.listeners, 2, []);
  expect(proxy.synced).toBe(false);
  receive(types.secrets, 3, [resource('default')]);
  expect(proxy.synced).toBe(true);
});
