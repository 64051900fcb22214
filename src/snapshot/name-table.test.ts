import { fromBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { NameTableSchema, type NameTable_NameInfo } from '#gen/istio/networking/nds/v1/nds_pb.js';
import type { ConfigObject } from '../apis/object.ts';
import { Joined } from '../wire/join.ts';
import { DeltaDiscoveryResponseSchema } from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import { nameTableType } from '../wire/types.ts';
import { NameTables } from '../xds/name-tables.ts';
import type { Subscription } from '../xds/source.ts';
import { PartsView } from '../xds/view.ts';
import { nodeOf, openProxy, snapshotOf } from './testing/snapshots.ts';

function object(kind: string, namespace: string, name: string, spec: object, labels: Record<string, string> = {}): ConfigObject {
  return { kind, apiVersion: 'v1', namespace, name, labels, annotations: {}, spec, origin: {} };
}

function service(namespace: string, name: string, clusterIP: string, annotations: Record<string, string> = {}): ConfigObject {
  return { ...object('Service', namespace, name, { clusterIP, ports: [{ name: 'http', port: 80 }] }), annotations };
}

function entry(namespace: string, name: string, spec: object): ConfigObject {
  return object('ServiceEntry', namespace, name, { ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], ...spec });
}

const tables = new NameTables();

/** What the agent of a proxy is sent: `ips registry shortname namespace` by host. */
function tableOf({ parts }: Subscription): Record<string, string> | undefined {
  const frames = tables.frames('delta', '1', new PartsView(parts));
  if (frames === undefined) return undefined;
  const { resources } = fromBinary(DeltaDiscoveryResponseSchema, new Joined(frames).toBytes());
  const [resource] = resources;
  expect([resources.length, resource?.name, resource?.resource?.typeUrl]).toEqual([1, '', nameTableType]);
  const { table } = fromBinary(NameTableSchema, resource?.resource?.value ?? new Uint8Array());
  const text = ({ ips, registry, shortname, namespace }: NameTable_NameInfo): string =>
    [ips.join(','), registry, shortname, namespace].join(' ').trim();
  return Object.fromEntries(Object.entries(table).map(([host, info]) => [host, text(info)]));
}

const withDns = { DNS_CAPTURE: 'true' };

test('an agent that answers DNS gets the virtual addresses of what its proxy sees, another gets no table', () => {
  const snapshot = snapshotOf([
    service('shop', 'page', '10.0.0.1'),
    service('shop', 'secret', '10.0.0.2', { 'networking.istio.io/exportTo': '.' }),
    entry('shop', 'bank', { hosts: ['bank.example', 'www.bank.example'], addresses: ['240.0.0.1', '240.9.0.0/16'], resolution: 'STATIC' }),
    entry('shop', 'far', { hosts: ['far.example'], resolution: 'DNS' }),
  ]);
  const page = { 'page.shop.svc.cluster.local': '10.0.0.1 Kubernetes page shop' };
  const bank = { 'bank.example': '240.0.0.1 External', 'www.bank.example': '240.0.0.1 External' };
  expect(tableOf(openProxy(snapshot, nodeOf('a', 'other', withDns)))).toEqual({ ...page, ...bank });
  const secret = { 'secret.shop.svc.cluster.local': '10.0.0.2 Kubernetes secret shop' };
  expect(tableOf(openProxy(snapshot, nodeOf('b', 'shop', withDns)))).toEqual({ ...page, ...secret, ...bank });
  expect(tableOf(openProxy(snapshot, nodeOf('gw', 'other', { ENABLE_DNS_SERVER: 'true' }, 'router')))).toEqual({ ...page, ...bank });
  expect(tableOf(openProxy(snapshot, nodeOf('c', 'shop')))).toBeUndefined();
});

test('a namespace that has another service under a host gets the addresses of its own', () => {
  const spec = (address: string): object => ({ hosts: ['bank.example'], addresses: [address], resolution: 'STATIC' });
  const snapshot = snapshotOf([entry('first', 'bank', spec('240.0.0.1')), entry('second', 'bank', spec('240.0.0.2'))]);
  expect(tableOf(openProxy(snapshot, nodeOf('a', 'third', withDns)))).toEqual({ 'bank.example': '240.0.0.1 External' });
  expect(tableOf(openProxy(snapshot, nodeOf('b', 'second', withDns)))).toEqual({ 'bank.example': '240.0.0.2 External' });
});

test('what a namespace does not see is left out, although all others see it', () => {
  const spec = (exportTo: string[], addresses: string[]): object => ({
    hosts: ['bank.example'],
    addresses,
    resolution: 'STATIC',
    exportTo,
  });
  const snapshot = snapshotOf([entry('first', 'bank', spec(['*'], ['240.0.0.1'])), entry('second', 'bank', spec(['.'], ['240.0.0.0/8']))]);
  expect(tableOf(openProxy(snapshot, nodeOf('a', 'third', withDns)))).toEqual({ 'bank.example': '240.0.0.1 External' });
  expect(tableOf(openProxy(snapshot, nodeOf('b', 'second', withDns)))).toEqual({});
});

test('a Sidecar narrows the table', () => {
  const snapshot = snapshotOf([
    service('shop', 'page', '10.0.0.1'),
    service('other', 'page', '10.0.0.2'),
    object('Sidecar', 'shop', 'default', { egress: [{ hosts: ['./*'] }] }),
  ]);
  const proxy = openProxy(snapshot, nodeOf('a', 'shop', withDns));
  expect(tableOf(proxy)).toEqual({ 'page.shop.svc.cluster.local': '10.0.0.1 Kubernetes page shop' });
  snapshot.objects.put(object('Sidecar', 'shop', 'default', { egress: [{ hosts: ['other/*'] }] }));
  snapshot.flush();
  expect(tableOf(proxy)).toEqual({ 'page.other.svc.cluster.local': '10.0.0.2 Kubernetes page other' });
});

test('a headless Service has the addresses of its pods, and each of them its own name', () => {
  const pod = (n: number): ConfigObject =>
    object('Pod', 'shop', `db-${n}`, { spec: { serviceAccountName: 'db' }, status: { podIP: `10.1.0.${n}` } }, { app: 'db' });
  const endpoint = (n: number, ready: boolean): object => ({
    addresses: [`10.1.0.${n}`],
    hostname: `db-${n}`,
    conditions: { ready },
    targetRef: { kind: 'Pod', name: `db-${n}`, namespace: 'shop' },
  });
  const slice = (...endpoints: object[]): ConfigObject =>
    object(
      'EndpointSlice',
      'shop',
      'db-x',
      {
        addressType: 'IPv4',
        endpoints,
        ports: [
          { name: 'tcp', port: 5432 },
          { name: 'admin', port: 80 },
        ],
      },
      { 'kubernetes.io/service-name': 'db' },
    );
  const ports = [
    { name: 'tcp', port: 5432 },
    { name: 'admin', port: 80 },
  ];
  const db = object('Service', 'shop', 'db', { clusterIP: 'None', ports });
  const snapshot = snapshotOf([db, pod(0), pod(1), slice(endpoint(0, true), endpoint(1, false))]);
  const proxy = openProxy(snapshot, nodeOf('a', 'other', withDns));
  expect(tableOf(proxy)).toEqual({
    'db.shop.svc.cluster.local': '10.1.0.0 Kubernetes db shop',
    'db-0.db.shop.svc.cluster.local': '10.1.0.0 Kubernetes db-0.db shop',
  });
  snapshot.objects.put(slice(endpoint(0, true), endpoint(1, true)));
  snapshot.flush();
  expect(tableOf(proxy)).toEqual({
    'db.shop.svc.cluster.local': '10.1.0.0,10.1.0.1 Kubernetes db shop',
    'db-0.db.shop.svc.cluster.local': '10.1.0.0 Kubernetes db-0.db shop',
    'db-1.db.shop.svc.cluster.local': '10.1.0.1 Kubernetes db-1.db shop',
  });
  snapshot.objects.put(slice());
  snapshot.flush();
  expect(tableOf(proxy)).toEqual({});
});

test('a change of one service among 1,000 costs one entry in each view', () => {
  const services = Array.from({ length: 1000 }, (_, i) => service(`ns${i % 10}`, `svc${i}`, `10.0.${i >> 8}.${i & 255}`));
  const snapshot = snapshotOf(services);
  const proxies = Array.from({ length: 10 }, (_, i) => openProxy(snapshot, nodeOf('a', `ns${i}`, withDns)));
  const names = (): (string | undefined)[] => proxies.map((proxy) => tableOf(proxy)?.['svc7.ns7.svc.cluster.local']);
  expect(names()).toEqual(Array(10).fill('10.0.0.7 Kubernetes svc7 ns7'));
  const before = proxies[7]?.parts.map((part) => part.table(nameTableType)?.version);
  snapshot.objects.put(service('ns7', 'svc7', '10.9.9.9'));
  snapshot.flush();
  expect(names()).toEqual(Array(10).fill('10.9.9.9 Kubernetes svc7 ns7'));
  const changed = proxies.flatMap((proxy) =>
    proxy.parts.flatMap((part, i) => [...(part.table(nameTableType)?.changedSince(before?.[i] ?? 0) ?? [])]),
  );
  expect(new Set(changed)).toEqual(new Set(['svc7.ns7.svc.cluster.local']));
});

test('a proxy of another cluster gets the addresses that its own cluster has', () => {
  const at = (cluster: string, o: ConfigObject): ConfigObject => ({ ...o, origin: { cluster } });
  const headless = object('Service', 'shop', 'db', { clusterIP: 'None', ports: [{ name: 'tcp', port: 5432 }] });
  const pod = (n: number): ConfigObject =>
    object('Pod', 'shop', `db-${n}`, { spec: { serviceAccountName: 'db' }, status: { podIP: `10.1.0.${n}` } }, { app: 'db' });
  const slice = (n: number): ConfigObject => {
    const endpoint = { addresses: [`10.1.0.${n}`], hostname: `db-${n}`, targetRef: { kind: 'Pod', name: `db-${n}`, namespace: 'shop' } };
    const spec = { addressType: 'IPv4', endpoints: [endpoint], ports: [{ name: 'tcp', port: 5432 }] };
    return object('EndpointSlice', 'shop', 'db-x', spec, { 'kubernetes.io/service-name': 'db' });
  };
  const own = [service('shop', 'page', '10.0.0.1'), headless, pod(0), slice(0)];
  const theirs = [service('shop', 'page', '10.9.0.1'), headless, pod(1), slice(1)].map((o) => at('east', o));
  const clusterOf = ({ metadata }: { metadata: Readonly<Record<string, unknown>> }): string | undefined =>
    metadata['CLUSTER_ID'] === 'east' ? 'east' : undefined;
  const snapshot = snapshotOf([...own, ...theirs], undefined, undefined, undefined, undefined, clusterOf);
  const pods = {
    'db-0.db.shop.svc.cluster.local': '10.1.0.0 Kubernetes db-0.db shop',
    'db-1.db.shop.svc.cluster.local': '10.1.0.1 Kubernetes db-1.db shop',
  };
  expect(tableOf(openProxy(snapshot, nodeOf('a', 'shop', withDns)))).toEqual({
    'page.shop.svc.cluster.local': '10.0.0.1 Kubernetes page shop',
    'db.shop.svc.cluster.local': '10.1.0.0 Kubernetes db shop',
    ...pods,
  });
  expect(tableOf(openProxy(snapshot, nodeOf('a', 'shop', { ...withDns, CLUSTER_ID: 'east' })))).toEqual({
    'page.shop.svc.cluster.local': '10.9.0.1 Kubernetes page shop',
    'db.shop.svc.cluster.local': '10.1.0.1 Kubernetes db shop',
    ...pods,
  });
});
