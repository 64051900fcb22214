import { expect, test } from 'vitest';
import { keyOf, objectKey, type ConfigObject } from '../apis/object.ts';
import { World, type DeltaClient } from '../xds/testing/harness.ts';
import { Convergence } from './convergence.ts';
import type { Snapshot } from './snapshot.ts';
import { nodeOf, snapshotOf } from './testing/snapshots.ts';

function object(kind: string, namespace: string, name: string, spec: object): ConfigObject {
  return { kind, apiVersion: 'v1', namespace, name, labels: {}, annotations: {}, spec, origin: { resourceVersion: '1' } };
}

const service = object('Service', 'shop', 'reviews', {
  clusterIP: '10.0.0.1',
  selector: { app: 'reviews' },
  ports: [{ name: 'http', port: 80 }],
});
const pod = (address: string): ConfigObject => object('WorkloadEntry', 'shop', 'reviews-1', { address, labels: { app: 'reviews' } });
const routes = (timeout: string): ConfigObject =>
  object('VirtualService', 'shop', 'reviews', {
    hosts: ['reviews.shop.svc.cluster.local'],
    http: [{ route: [{ destination: { host: 'reviews.shop.svc.cluster.local' } }], timeout }],
  });
const cluster = 'outbound|80||reviews.shop.svc.cluster.local';

class Mesh {
  readonly world: World;
  readonly snapshot: Snapshot;
  readonly convergence: Convergence;

  constructor(...objects: readonly ConfigObject[]) {
    let now = (): number => 0;
    this.snapshot = snapshotOf(objects, undefined, undefined, undefined, () => now());
    this.world = new World(undefined, { source: this.snapshot });
    now = () => this.world.nowMs;
    this.convergence = new Convergence({ snapshot: this.snapshot, streams: () => this.world.hub.streams });
  }

  /** Has everything that it asks for: clusters, and what else is named. */
  proxy(name: string, namespace: string, ...asks: readonly (readonly [type: string, ...names: string[]])[]): DeltaClient {
    const client = this.world.delta(nodeOf(name, namespace));
    for (const [type, ...sub] of [['CDS'] as const, ...asks]) {
      client.send(type, { sub });
      client.settle();
    }
    return client;
  }

  put(...objects: readonly ConfigObject[]): void {
    for (const each of objects) this.snapshot.objects.put(each);
    this.flush();
  }

  remove(each: ConfigObject): void {
    this.snapshot.objects.remove(keyOf(each));
    this.flush();
  }

  private flush(): void {
    this.world.nowMs += 1_000;
    this.snapshot.flush();
    this.world.turn();
  }

  of(each: ConfigObject): { readonly counts: string; readonly lagging: readonly string[] } {
    const { proxies, lagging } = this.convergence.of(keyOf(each));
    return {
      counts: `${proxies.acked} of ${proxies.total}`,
      lagging: lagging.map(({ proxy, type, state }) => `${proxy.split('~')[2] ?? ''} ${type} ${state}`),
    };
  }
}

const everything = [['EDS', cluster], ['LDS'], ['RDS', '80'], ['VHDS']] as const;

test('a proxy has a change when it has acknowledged it', () => {
  const mesh = new Mesh(service, pod('11.0.0.1'), routes('1s'));
  const a = mesh.proxy('a', 'shop', ...everything);
  const b = mesh.proxy('b', 'shop', ...everything);
  expect(mesh.of(routes('1s'))).toEqual({ counts: '2 of 2', lagging: [] });
  mesh.put(routes('2s'));
  expect(mesh.of(routes('2s'))).toEqual({ counts: '0 of 2', lagging: ['a.shop VHDS pending', 'b.shop VHDS pending'] });
  expect(a.got()).toHaveLength(1);
  expect(mesh.of(routes('2s')).counts).toBe('0 of 2');
  a.ack('VHDS');
  expect(mesh.of(routes('2s'))).toEqual({ counts: '1 of 2', lagging: ['b.shop VHDS pending'] });
  b.settle();
  expect(mesh.of(routes('2s'))).toEqual({ counts: '2 of 2', lagging: [] });
  // What another object's change has in the same table says nothing of this one.
  expect(mesh.of(service).counts).toBe('2 of 2');
});

test('a proxy that has not asked for what changed does not count', () => {
  const mesh = new Mesh(service, pod('11.0.0.1'), routes('1s'));
  mesh.proxy('a', 'shop', ...everything);
  mesh.proxy('no-endpoints', 'shop', ['LDS']);
  mesh.proxy('other-endpoints', 'shop', ['EDS', 'outbound|80||other.shop.svc.cluster.local']);
  mesh.proxy('no-table', 'shop', ['EDS', cluster], ['LDS'], ['VHDS']);
  mesh.put(routes('2s'));
  expect(mesh.of(routes('2s'))).toEqual({ counts: '0 of 1', lagging: ['a.shop VHDS pending'] });
  mesh.put(pod('11.0.0.2'));
  expect(mesh.of(pod('11.0.0.2')).lagging.filter((line) => line.includes('EDS'))).toEqual([
    'a.shop EDS pending',
    'no-table.shop EDS pending',
  ]);
});

test('a proxy whose Sidecar hides the host does not count', () => {
  const hides = object('Sidecar', 'away', 'default', { egress: [{ hosts: ['./*'] }] });
  const mesh = new Mesh(service, pod('11.0.0.1'), hides);
  mesh.proxy('a', 'shop', ...everything);
  mesh.proxy('b', 'away', ['LDS']);
  expect(mesh.of(service).counts).toBe('1 of 1');
  mesh.put(pod('11.0.0.2'));
  expect(mesh.of(pod('11.0.0.2')).lagging).toEqual(['a.shop EDS pending']);
});

test('a deletion counts until the proxies that had it have dropped it, and who comes later had nothing to drop', () => {
  const mesh = new Mesh(service, pod('11.0.0.1'), routes('1s'));
  const a = mesh.proxy('a', 'shop', ...everything);
  mesh.remove(service);
  expect(mesh.of(service).counts).toBe('0 of 1');
  a.settle();
  // Its cluster goes last, when nothing names it.
  mesh.world.pass(1_000);
  a.settle();
  expect(mesh.of(service)).toEqual({ counts: '1 of 1', lagging: [] });
  mesh.world.nowMs += 1_000;
  mesh.proxy('later', 'shop', ['LDS']);
  expect(mesh.of(service)).toEqual({ counts: '1 of 1', lagging: [] });
});

test('a cluster that is yet to be removed keeps its deletion from having converged', () => {
  const mesh = new Mesh(service, pod('11.0.0.1'));
  const a = mesh.proxy('a', 'shop', ['EDS', cluster], ['LDS']);
  mesh.remove(service);
  // The listener is not acknowledged: the cluster may be in use.
  expect(a.got().filter((line) => line.startsWith('CDS'))).toEqual([]);
  expect(mesh.of(service).counts).toBe('0 of 1');
  a.ack('LDS');
  expect(mesh.of(service).counts).toBe('0 of 1');
  expect(a.settle()).toContain(`CDS -${cluster}`);
  expect(mesh.of(service).counts).toBe('1 of 1');
});

test('the first change of a part that was empty counts', () => {
  const mesh = new Mesh(service, pod('11.0.0.1'));
  const a = mesh.proxy('a', 'shop', ['LDS']);
  const own = object('ServiceEntry', 'shop', 'private', {
    hosts: ['private.example.com'],
    exportTo: ['.'],
    ports: [{ number: 9999, name: 'tcp', protocol: 'TCP' }],
    resolution: 'DNS',
  });
  mesh.put(own);
  expect(mesh.of(own).counts).toBe('0 of 1');
  a.settle();
  expect(mesh.of(own).counts).toBe('1 of 1');
  mesh.remove(own);
  expect(mesh.of(own).counts).toBe('0 of 1');
});

test('what a proxy refuses it does not have, and the object that changed last is the suspect', () => {
  const mesh = new Mesh(service, pod('11.0.0.1'), routes('1s'));
  const a = mesh.proxy('a', 'shop', ...everything);
  mesh.put(routes('2s'));
  a.got();
  a.nack('VHDS', 'bad timeout');
  expect(mesh.of(routes('2s'))).toEqual({ counts: '0 of 1', lagging: ['a.shop VHDS rejected'] });
  expect(mesh.convergence.of(keyOf(routes('2s'))).lagging[0]?.error).toBe('bad timeout');
  expect(mesh.convergence.changedLast([keyOf(service), keyOf(routes('2s'))])).toBe(keyOf(routes('2s')));
  mesh.put(routes('3s'));
  a.settle();
  expect(mesh.of(routes('3s'))).toEqual({ counts: '1 of 1', lagging: [] });
});

test('a Sidecar that takes a proxy to other parts counts until the proxy has them', () => {
  const mesh = new Mesh(service, pod('11.0.0.1'));
  const a = mesh.proxy('a', 'shop', ['EDS', cluster], ['LDS']);
  const narrow = object('Sidecar', 'shop', 'default', { egress: [{ hosts: ['other/*'] }] });
  mesh.put(narrow);
  expect(mesh.of(narrow).counts).toBe('0 of 1');
  a.settle();
  mesh.world.pass(1_000);
  a.settle();
  expect(mesh.of(narrow).counts).toBe('1 of 1');
});

test('of objects that change together each has its own proxies', () => {
  const other = object('Service', 'shop', 'ratings', { clusterIP: '10.0.0.2', ports: [{ name: 'tcp', port: 9000 }] });
  const ofOther = 'outbound|9000||ratings.shop.svc.cluster.local';
  const entry = (address: string): ConfigObject => object('WorkloadEntry', 'shop', 'ratings-1', { address, labels: { app: 'ratings' } });
  const mesh = new Mesh(
    service,
    pod('11.0.0.1'),
    { ...other, spec: { ...(other.spec as object), selector: { app: 'ratings' } } },
    entry('11.0.1.1'),
  );
  mesh.proxy('a', 'shop', ['EDS', cluster]);
  mesh.proxy('b', 'shop', ['EDS', ofOther]);
  mesh.put(pod('11.0.0.2'), entry('11.0.1.2'));
  expect(mesh.of(pod('11.0.0.2')).lagging.filter((line) => line.includes('EDS'))).toEqual(['a.shop EDS pending']);
  expect(mesh.of(entry('11.0.1.2')).lagging.filter((line) => line.includes('EDS'))).toEqual(['b.shop EDS pending']);
});

test('an object that nobody sees has nothing to wait for, once it is translated', () => {
  const mesh = new Mesh(service);
  mesh.proxy('a', 'shop', ['LDS']);
  const policy = object('PeerAuthentication', 'elsewhere', 'default', { mtls: { mode: 'STRICT' } });
  mesh.snapshot.objects.put(policy);
  expect(mesh.convergence.of(keyOf(policy)).pending).toBe(true);
  mesh.put();
  expect(mesh.convergence.of(keyOf(policy))).toEqual({ translated: false, pending: false, proxies: { total: 0, acked: 0 }, lagging: [] });
  expect(mesh.convergence.of(objectKey('VirtualService', 'shop', 'never'))).toMatchObject({ proxies: { total: 0, acked: 0 } });
});
