import { expect, test } from 'vitest';
import { keyOf, type ConfigObject } from '../../apis/object.ts';
import { World, type DeltaClient } from '../../xds/testing/harness.ts';
import { combineObservers } from '../../admin/streams.ts';
import type { StreamObserver } from '../../xds/source.ts';
import { nodeOf, snapshotOf } from '../testing/snapshots.ts';
import type { Snapshot } from '../snapshot.ts';
import type { Flush } from './cost.ts';
import { bulkLoad, CostLedger, firstLoad, type CostLimits, type CostReport, type CostRow } from './cost-ledger.ts';

function object(kind: string, name: string, spec: object): ConfigObject {
  return { kind, apiVersion: 'v1', namespace: 'shop', name, labels: {}, annotations: {}, spec, origin: {} };
}

const service = (name: string): ConfigObject =>
  object('Service', name, { clusterIP: `10.0.0.${name.length}`, selector: { app: name }, ports: [{ name: 'http', port: 80 }] });
const routes = (name: string, timeout: string): ConfigObject =>
  object('VirtualService', name, {
    hosts: [`${name}.shop.svc.cluster.local`],
    http: [{ route: [{ destination: { host: `${name}.shop.svc.cluster.local` } }], timeout }],
  });
const pod = (address: string, app = 'reviews'): ConfigObject => object('WorkloadEntry', `${app}-1`, { address, labels: { app } });
const clusterOf = (name: string): string => `outbound|80||${name}.shop.svc.cluster.local`;
const everything = [['EDS', clusterOf('reviews'), clusterOf('ratings')], ['LDS'], ['RDS', '80'], ['VHDS']] as const;

class Mesh {
  readonly world: World;
  readonly snapshot: Snapshot;
  readonly costs: CostLedger;
  /** Bytes sent, as the streams count them. */
  sent = 0;

  constructor(objects: readonly ConfigObject[], limits: Partial<CostLimits> = {}) {
    let now = (): number => 1_000_000;
    this.snapshot = snapshotOf([], undefined, undefined, undefined, () => now());
    this.costs = new CostLedger(() => now(), limits);
    this.snapshot.onFlush((flush) => this.costs.flushed(flush));
    for (const each of objects) this.snapshot.objects.put(each);
    this.snapshot.flush();
    this.costs.loaded();
    const nothing = (): void => undefined;
    const counter: StreamObserver = {
      connected: nothing,
      disconnected: nothing,
      refused: nothing,
      sent: (_stream, _type, bytes) => void (this.sent += bytes),
      acked: nothing,
      rejected: nothing,
    };
    this.world = new World(undefined, { source: this.snapshot, observer: combineObservers(this.costs, counter) });
    now = () => this.world.nowMs;
  }

  proxy(name: string, ...asks: readonly (readonly [type: string, ...names: string[]])[]): DeltaClient {
    const client = this.world.delta(nodeOf(name, 'shop'));
    for (const [type, ...sub] of [['CDS'] as const, ...asks]) {
      client.send(type, { sub });
      client.settle();
    }
    return client;
  }

  put(...objects: readonly ConfigObject[]): void {
    for (const each of objects) this.snapshot.objects.put(each);
    this.world.nowMs += 1_000;
    this.snapshot.flush();
    this.world.turn();
  }

  report(): CostReport {
    return this.costs.report();
  }

  of(each: ConfigObject): CostRow {
    const row = this.report().rows.find(({ object: key }) => key === keyOf(each));
    if (row === undefined) throw new Error(`no row of ${keyOf(each)}`);
    return row;
  }
}

const base = [service('reviews'), service('ratings'), pod('11.0.0.1'), routes('reviews', '1s'), routes('ratings', '1s')];

test('what is read before the start is complete is one row, and first answers are no change', () => {
  const mesh = new Mesh(base);
  mesh.proxy('a', ...everything);
  const { rows, other } = mesh.report();
  expect(rows.map(({ object: key, changes, bytesSent, proxies }) => ({ key, changes, bytesSent, proxies }))).toEqual([
    { key: firstLoad, changes: 5, bytesSent: 0, proxies: 0 },
  ]);
  expect(mesh.sent).toBeGreaterThan(1_000);
  expect(other.bytesSent).toBe(mesh.sent);
});

test('a change alone is counted exactly: bytes of its responses, proxies that it was sent to, the last ACK', () => {
  const mesh = new Mesh(base);
  const a = mesh.proxy('a', ...everything);
  const b = mesh.proxy('b', ...everything);
  mesh.proxy('no-routes');
  mesh.sent = 0;
  mesh.put(routes('reviews', '2s'));
  const row = mesh.of(routes('reviews', '2s'));
  // The virtual host is in the part of all and in that of the namespace.
  expect(row).toMatchObject({ changes: 1, resources: 2, bytesSent: mesh.sent, proxies: 2, refusals: 0 });
  expect(row.bytesEncoded).toBeGreaterThan(50);
  expect(mesh.sent).toBeGreaterThan(row.bytesEncoded);
  expect(row.ackMs).toBeUndefined();
  mesh.world.nowMs += 30;
  a.settle();
  mesh.world.nowMs += 12;
  b.settle();
  expect(mesh.of(routes('reviews', '2s')).ackMs).toBe(42);

  mesh.put(routes('reviews', '3s'));
  expect(mesh.of(routes('reviews', '3s'))).toMatchObject({ changes: 2, resources: 4, bytesSent: mesh.sent, proxies: 2, ackMs: 42 });
});

test('objects that change together have each what is made from it', () => {
  const mesh = new Mesh(base);
  const a = mesh.proxy('a', ...everything);
  mesh.proxy('endpoints', ['EDS', clusterOf('reviews')]).settle();
  mesh.sent = 0;
  mesh.put(pod('11.0.0.2'), routes('ratings', '2s'));
  a.settle();
  const endpoints = mesh.of(pod('11.0.0.2'));
  const hosts = mesh.of(routes('ratings', '2s'));
  expect([endpoints.proxies, hosts.proxies]).toEqual([2, 1]);
  expect([endpoints.resources, hosts.resources]).toEqual([1, 2]);
  expect(endpoints.bytesSent + hosts.bytesSent).toBeCloseTo(mesh.sent, 6);
  expect(endpoints.translationMs).toBe(hosts.translationMs);
});

test('to divide a flush among its objects costs what they touch, at 50 and at 1,000 services alike', () => {
  const visits = [50, 1_000].map((services) => {
    const objects: ConfigObject[] = [];
    for (let i = 0; i < services; i++) objects.push(service(`s${i}`), pod(`11.0.${i >> 8}.${i & 255}`, `s${i}`));
    const mesh = new Mesh(objects);
    let traced: Flush | undefined;
    mesh.snapshot.onFlush((flush) => (traced = flush));
    mesh.proxy('a', ...everything);
    mesh.put(pod('12.0.0.1', 's7'), routes('s8', '2s'), service('s-new'));
    expect(mesh.of(pod('', 's7'))).toMatchObject({ resources: 1 });
    expect(mesh.of(routes('s8', ''))).toMatchObject({ resources: 2 });
    expect(mesh.of(service('s-new')).resources).toBeGreaterThan(2);
    return traced?.trace?.visits;
  });
  expect(visits[0]).toBeGreaterThan(10);
  expect(visits[1]).toBe(visits[0]);
});

test('a stream that was sent two changes at once counts for both', () => {
  const mesh = new Mesh(base);
  mesh.proxy('a', ...everything);
  const slow = mesh.proxy('slow', ...everything);
  slow.wire.slow = true;
  // Fills what the transport takes, so that what follows is merged.
  Object.defineProperty(slow.stream, 'writable', { configurable: true, get: () => false });
  mesh.put(routes('reviews', '2s'));
  mesh.put(routes('ratings', '2s'));
  expect([mesh.of(routes('reviews', '')).proxies, mesh.of(routes('ratings', '')).proxies]).toEqual([1, 1]);
  Reflect.deleteProperty(slow.stream, 'writable');
  const before = mesh.of(routes('reviews', '')).bytesSent + mesh.of(routes('ratings', '')).bytesSent;
  const sent = mesh.sent;
  slow.stream.resume();
  mesh.world.turn();
  expect([mesh.of(routes('reviews', '')).proxies, mesh.of(routes('ratings', '')).proxies]).toEqual([2, 2]);
  const after = mesh.of(routes('reviews', '')).bytesSent + mesh.of(routes('ratings', '')).bytesSent;
  expect(after - before).toBeCloseTo(mesh.sent - sent, 6);
});

test('a refusal counts for the change that the refused resource came with', () => {
  const mesh = new Mesh(base);
  const a = mesh.proxy('a', ...everything);
  mesh.put(routes('reviews', '2s'));
  mesh.put(pod('11.0.0.3'));
  a.got();
  a.nack('VHDS', 'no such thing');
  a.ack('EDS');
  expect([mesh.of(routes('reviews', '')).refusals, mesh.of(pod('')).refusals]).toEqual([1, 0]);
  expect([mesh.of(routes('reviews', '')).ackMs, mesh.of(pod('')).ackMs]).toEqual([undefined, 0]);
});

test("another list of parts is the Sidecar's cost", () => {
  const mesh = new Mesh(base);
  mesh.proxy('a', ...everything);
  mesh.sent = 0;
  const sidecar = object('Sidecar', 'default', { egress: [{ hosts: ['./reviews.shop.svc.cluster.local'] }] });
  mesh.put(sidecar);
  const row = mesh.of(sidecar);
  expect(row.proxies).toBe(1);
  expect(row.resources).toBeGreaterThan(2);
  expect(mesh.sent).toBeGreaterThan(0);
  expect(row.bytesSent).toBeCloseTo(mesh.sent, 6);
});

test('what connects while an object changes costs that object no more than the change', () => {
  const mesh = new Mesh(base);
  mesh.snapshot.objects.put(routes('reviews', '2s'));
  mesh.proxy('a', ...everything);
  const row = mesh.of(routes('reviews', '2s'));
  expect([row.bytesSent, row.resources]).toEqual([0, 0]);
  expect(mesh.report().other.bytesSent).toBe(mesh.sent);
});

test('a flush of very many objects is one row', () => {
  const mesh = new Mesh(base, { maxObjectsPerFlush: 10 });
  mesh.proxy('a', ...everything);
  mesh.put(...Array.from({ length: 11 }, (_, n) => service(`s${'x'.repeat(n)}`)));
  const row = mesh.report().rows.find(({ object: key }) => key === bulkLoad);
  expect(row).toMatchObject({ changes: 11, proxies: 1 });
  expect(mesh.report().rows).toHaveLength(2);
});

test('costs are forgotten after their time, and what is closed is kept until then', () => {
  const mesh = new Mesh(base, { maxOpen: 1 });
  mesh.proxy('a', ...everything);
  mesh.put(routes('reviews', '2s'));
  mesh.put(routes('ratings', '2s'));
  const { bytesSent } = mesh.of(routes('reviews', ''));
  expect(bytesSent).toBeGreaterThan(0);
  mesh.world.nowMs += 540_000;
  expect(mesh.of(routes('reviews', '')).bytesSent).toBe(bytesSent);
  mesh.world.nowMs += 120_000;
  expect(mesh.report()).toMatchObject({ rows: [], other: { bytesSent: 0 } });
});

test('of too many objects the least costly are forgotten first', () => {
  const mesh = new Mesh(base, { maxObjects: 10, maxOpen: 1 });
  mesh.proxy('a', ...everything);
  mesh.put(routes('reviews', '2s'));
  for (let n = 0; n < 40; n++) mesh.put(object('VirtualService', `unused-${n}`, { hosts: [`unused-${n}.example`] }));
  const { rows, forgotten } = mesh.report();
  expect(rows.length).toBeLessThanOrEqual(10);
  expect(rows.map(({ object: key }) => key)).toContain(keyOf(routes('reviews', '')));
  expect(rows.length + forgotten).toBe(42);
});
