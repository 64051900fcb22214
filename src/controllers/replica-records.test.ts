import { afterEach, expect, test } from 'vitest';
import { HttpTransport } from '../kubernetes/http-transport.ts';
import { FakeApiServer } from '../kubernetes/testing/fake-api-server.ts';
import { ManualClock } from '../kubernetes/testing/manual-clock.ts';
import { MemoryApi } from '../kubernetes/testing/memory-api.ts';
import { ReplicaRecords } from './replica-records.ts';
import { SingleReplica, type ReplicaState } from './replicas.ts';
import { readRecord, recordBody } from './replica-lease.ts';

const path = '/apis/coordination.k8s.io/v1/namespaces/istio-system/leases';
const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const state = (streams = 0): ReplicaState => ({
  version: '0.1.0',
  startedAt: '2026-01-01T00:00:00.000Z',
  monitoringAddress: '10.0.0.1:15014',
  ready: true,
  streams,
});

/** Replicas that write to a server which shows to their watches what was written. */
class Cluster {
  readonly server = new FakeApiServer();
  readonly clock = new ManualClock();
  url = '';

  async start(): Promise<this> {
    this.url = await this.server.listen();
    stops.push(() => this.server.close());
    return this;
  }

  join(replica: string, streams = 0, pod?: { readonly name: string; readonly uid: string }): Joined {
    return new Joined(this, replica, streams, pod);
  }
}

class Joined {
  readonly records: ReplicaRecords;
  readonly #api: ServerApi;
  streams: number;
  readonly stop: () => Promise<void>;

  constructor({ server, clock, url }: Cluster, replica: string, streams: number, pod?: { readonly name: string; readonly uid: string }) {
    this.streams = streams;
    this.#api = new ServerApi(server);
    this.records = new ReplicaRecords({
      identity: { namespace: 'istio-system', revision: 'default', replica, ...(pod !== undefined && { pod }) },
      transport: new HttpTransport({ server: url }),
      api: this.#api,
      clock,
      wallClock: () => Date.parse('2026-01-01T00:00:00Z') + clock.now(),
      state: () => state(this.streams),
    });
    const stop = new AbortController();
    const running = this.records.run(stop.signal);
    this.stop = async () => {
      stop.abort();
      await running;
    };
    stops.push(this.stop);
  }

  set silent(silent: boolean) {
    this.#api.frozen = silent;
  }

  /** Calls that got no answer fail now. */
  answer(): void {
    this.#api.thaw();
  }

  /** When the list answers so. */
  async until(state: () => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const check = (): void => (state() ? resolve() : undefined);
    const end = this.records.onChange(check);
    check();
    await promise;
    end();
  }

  get seen(): string[] {
    return this.records.list().map(({ name, live, streams }) => `${name} ${streams}${live ? '' : ' gone'}`);
  }
}

/** Writes go to the server's collection. */
class ServerApi extends MemoryApi {
  readonly #server: FakeApiServer;

  constructor(server: FakeApiServer) {
    super();
    this.#server = server;
  }

  override put(name: string, body: Readonly<Record<string, unknown>>): ReturnType<MemoryApi['put']> {
    const object = super.put(name, body);
    const { metadata, spec } = body as { metadata: object; spec: unknown };
    this.#server.put(path, 'istio-system', name, spec, { metadata });
    return object;
  }

  override async delete(...[ref, signal]: Parameters<MemoryApi['delete']>): Promise<boolean> {
    const there = this.#server.objects(path).has(`istio-system/${ref.name}`);
    if (signal.aborted || this.frozen) return false;
    this.#server.delete(path, 'istio-system', ref.name);
    return there;
  }
}

test('replicas see each other, what they publish and how many streams they have', async () => {
  const cluster = await new Cluster().start();
  const a = cluster.join('a', 3);
  const b = cluster.join('b', 4);
  await a.until(() => a.seen.join() === 'a 3,b 4');
  await b.until(() => b.seen.join() === 'a 3,b 4');
  a.records.publish('root', 'v1');
  await cluster.clock.advance(1_000);
  await b.until(() => b.records.list()[0]?.data['root'] === 'v1');
  a.records.publish('root', undefined);
  b.streams = 9;
  b.records.stateChanged();
  await cluster.clock.advance(1_000);
  await b.until(() => b.records.list()[0]?.data['root'] === undefined);
  await a.until(() => a.seen.join() === 'a 3,b 9');
});

test('one that leaves is off the list; one that falls silent is no longer live, and deleted by the leader later', async () => {
  const cluster = await new Cluster().start();
  const [a, b, c] = [cluster.join('a'), cluster.join('b'), cluster.join('c')];
  await a.until(() => a.seen.length === 3 && a.records.current);
  await b.stop();
  await a.until(() => a.seen.join() === 'a 0,c 0');
  c.silent = true;
  const cleaning = new AbortController();
  const cleaner = a.records.cleaner.run(cleaning.signal);
  for (let second = 0; second < 20; second += 5) {
    await cluster.clock.advance(5_000);
    // Its own renewal has come back to it, or nothing is concluded from the silence of others.
    await a.until(() => a.records.current);
  }
  await a.until(() => a.seen.join() === 'a 0,c 0 gone');
  while (a.seen.length > 1) {
    await cluster.clock.advance(5_000);
    await a.until(() => a.records.current);
  }
  expect(cluster.clock.now()).toBeGreaterThanOrEqual(60_000);
  expect(cluster.clock.now()).toBeLessThan(120_000);
  cleaning.abort();
  await cleaner;
});

test('while the API server is away nobody is taken for gone, nor at once when it is back', async () => {
  const cluster = await new Cluster().start();
  const [a, b] = [cluster.join('a'), cluster.join('b')];
  await a.until(() => a.seen.length === 2 && a.records.current);
  a.silent = b.silent = true;
  await cluster.clock.advance(60_000);
  expect(a.records.current).toBe(false);
  expect(a.seen).toEqual(['a 0', 'b 0']);
  a.silent = false;
  // The calls that hang are given up.
  a.answer();
  await cluster.clock.advance(1_000);
  await a.until(() => a.records.current);
  expect(a.seen).toEqual(['a 0', 'b 0']);
  await cluster.clock.advance(10_000);
  b.silent = false;
  b.answer();
  await cluster.clock.advance(1_000);
  await b.until(() => b.records.current);
  await cluster.clock.advance(3_000);
  expect(a.seen).toEqual(['a 0', 'b 0']);
});

test('a record says whose it is and is read back; a Lease of somebody else is none', () => {
  const identity = { namespace: 'istio-system', revision: 'canary', replica: 'istiod-7', pod: { name: 'istiod-7', uid: 'u' } };
  const body = recordBody(identity, state(7), new Map([['root', 'v1']]), Date.parse('2026-01-02T03:04:05.678Z'), 15_000);
  expect(body).toMatchObject({
    metadata: {
      name: 'mizzen-replica-canary-istiod-7',
      labels: { 'mizzen.io/revision': 'canary' },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'istiod-7', uid: 'u' }],
    },
    spec: { holderIdentity: 'istiod-7', leaseDurationSeconds: 15, renewTime: '2026-01-02T03:04:05.678000Z' },
  });
  const { metadata, ...rest } = body as { metadata: { name: string } };
  expect(readRecord({ ...rest, metadata: { ...metadata, resourceVersion: '1' } })?.replica).toEqual({
    ...state(7),
    name: 'istiod-7',
    data: { root: 'v1' },
  });
  expect(readRecord({ metadata: { name: 'x', resourceVersion: '1' }, spec: {} })).toBeUndefined();
});

test('keys and values that would not fit are a fault of who publishes them', () => {
  const replica = new SingleReplica('a', () => state());
  expect(() => replica.publish('Root', 'x')).toThrow('no key');
  expect(() => replica.publish('root', 'x'.repeat(16 * 1024 + 1))).toThrow('at most 16384');
  replica.publish('root', 'x');
  expect(replica.list()).toMatchObject([{ name: 'a', live: true, data: { root: 'x' } }]);
});
