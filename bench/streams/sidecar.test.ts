import { fromBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { DeltaDiscoveryRequestSchema } from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import { nodeOf } from '../workload/node.ts';
import type { ReceivedResource } from './response.ts';
import { Sidecar } from './sidecar.ts';
import * as types from './types.ts';

const short = new Map(Object.entries(types).map(([name, type]) => [type as string, name]));

function resource(name: string, references: readonly string[] = [], vhds = false): ReceivedResource {
  return { name, version: `v-${name}`, references, vhds };
}

/** A sidecar, and what it has sent since it was last asked, in words. */
function sidecar(keepVersions = false, refusedType?: string, secrets: readonly string[] = []) {
  const sent: string[] = [];
  const node = nodeOf({ name: 'w', namespace: 'ns', address: '10.0.0.1', serviceAccount: 'sa', labels: { app: 'w' } });
  const send = (request: readonly Buffer[]): void => {
    const r = fromBinary(DeltaDiscoveryRequestSchema, Buffer.concat(request));
    const versions = Object.entries(r.initialResourceVersions).map(([name, version]) => `${name}=${version}`);
    const words = [
      r.node === undefined ? '' : `(${r.node.id})`,
      short.get(r.typeUrl) ?? r.typeUrl,
      ...r.resourceNamesSubscribe.map((name) => `+${name}`),
      ...r.resourceNamesUnsubscribe.map((name) => `-${name}`),
      ...versions,
      r.responseNonce === '' ? '' : `${r.errorDetail === undefined ? 'ack' : 'nack'} ${r.responseNonce}`,
    ];
    sent.push(words.filter((word) => word !== '').join(' '));
  };
  const proxy = new Sidecar({ node, send, secrets, ...(refusedType === undefined ? {} : { refusedType }) }, keepVersions);
  const receive = (type: string, nonce: string, resources: readonly ReceivedResource[], removed: readonly string[] = []): void => {
    const references = [...new Set(resources.flatMap((r) => r.references))];
    proxy.receive({ nonce, version: '', content: { type, resources, removed, references } });
  };
  return { proxy, receive, said: () => sent.splice(0) };
}

const id = '(sidecar~10.0.0.1~w.ns~ns.svc.cluster.local)';

test('asks in the order of Envoy: clusters, their endpoints, listeners, their routes, hosts once', () => {
  const { proxy, receive, said } = sidecar();
  proxy.open();
  expect(said()).toEqual([`${id} clusters`]);
  receive(types.clusters, 'c1', [resource('a', ['a']), resource('b', ['b']), resource('static')]);
  expect(said()).toEqual(['clusters ack c1', 'endpoints +a +b']);
  receive(types.endpoints, 'e1', [resource('a')]);
  expect(said()).toEqual(['endpoints ack e1']);
  receive(types.endpoints, 'e2', [resource('b')]);
  expect(said()).toEqual(['endpoints ack e2', 'listeners']);
  receive(types.listeners, 'l1', [resource('out', ['80', '8080'])]);
  expect(said()).toEqual(['listeners ack l1', 'routes +80 +8080']);
  receive(types.routes, 'r1', [resource('80', [], true)]);
  expect(said()).toEqual(['routes ack r1', 'virtualHosts']);
  receive(types.virtualHosts, 'v1', [resource('80/h')]);
  expect(proxy.synced).toBe(false);
  receive(types.routes, 'r2', [resource('8080', [], true)]);
  expect(said()).toEqual(['virtualHosts ack v1', 'routes ack r2']);
  expect(proxy.synced).toBe(false);
  receive(types.virtualHosts, 'v2', [resource('8080/h')]);
  expect(proxy.synced).toBe(true);
});

test('without EDS clusters it goes on to listeners; whole tables need no hosts', () => {
  const { proxy, receive, said } = sidecar();
  proxy.open();
  receive(types.clusters, 'c1', [resource('static')]);
  receive(types.listeners, 'l1', [resource('out', ['80'])]);
  expect(said()).toEqual([`${id} clusters`, 'clusters ack c1', 'listeners', 'listeners ack l1', 'routes +80']);
  expect(proxy.synced).toBe(false);
  receive(types.routes, 'r1', [resource('80')]);
  expect(proxy.synced).toBe(true);
});

test('follows what is added and removed', () => {
  const { proxy, receive, said } = sidecar();
  proxy.open();
  receive(types.clusters, 'c1', [resource('a', ['a'])]);
  receive(types.endpoints, 'e1', [resource('a')]);
  receive(types.listeners, 'l1', [resource('one', ['80', '81']), resource('two', ['80'])]);
  receive(types.routes, 'r1', [resource('80'), resource('81')]);
  said();
  receive(types.clusters, 'c2', [resource('b', ['b'])], ['a']);
  expect(said()).toEqual(['clusters ack c2', 'endpoints +b -a']);
  expect(proxy.synced).toBe(false);
  receive(types.listeners, 'l2', [], ['one']);
  expect(said()).toEqual(['listeners ack l2', 'routes -81']);
});

test('a reconnect tells the versions that it holds', () => {
  const { proxy, receive, said } = sidecar(true);
  proxy.open();
  receive(types.clusters, 'c1', [resource('a', ['a']), resource('old', ['old'])]);
  receive(types.endpoints, 'e1', [resource('a'), resource('old')]);
  receive(types.clusters, 'c2', [], ['old']);
  receive(types.listeners, 'l1', [resource('out', ['80'])]);
  receive(types.routes, 'r1', [resource('80', [], true)]);
  receive(types.virtualHosts, 'v1', [resource('80/h')]);
  said();
  proxy.open();
  expect(said()).toEqual([
    `${id} clusters a=v-a`,
    'endpoints +a a=v-a',
    'listeners out=v-out',
    'routes +80 80=v-80',
    'virtualHosts 80/h=v-80/h',
  ]);
});

test('one that refuses a type does so once it is in sync, and does not follow what it refused', () => {
  const { proxy, receive, said } = sidecar(false, types.clusters);
  proxy.open();
  receive(types.clusters, 'c1', [resource('a', ['a'])]);
  receive(types.endpoints, 'e1', [resource('a')]);
  receive(types.listeners, 'l1', []);
  expect(proxy.synced).toBe(true);
  said();
  receive(types.clusters, 'c2', [resource('b', ['b'])], ['a']);
  receive(types.endpoints, 'e2', [resource('a')]);
  expect(said()).toEqual(['clusters nack c2', 'endpoints ack e2']);
});

test('one that wants secrets asks for them with the first clusters, and tells their versions on a reconnect', () => {
  const { proxy, receive, said } = sidecar(true, undefined, ['default', 'ROOTCA']);
  proxy.open();
  receive(types.clusters, 'c1', [resource('static')]);
  expect(said()).toEqual([`${id} clusters`, 'clusters ack c1', 'secrets +default +ROOTCA', 'listeners']);
  receive(types.listeners, 'l1', []);
  expect(proxy.synced).toBe(false);
  receive(types.secrets, 's1', [resource('default'), resource('ROOTCA')]);
  expect(proxy.synced).toBe(true);
  said();
  proxy.open();
  expect(said()).toContain('secrets +default +ROOTCA default=v-default ROOTCA=v-ROOTCA');
});
