import { expect, test } from 'vitest';
import { conditionsFingerprint, type Condition } from '../../apis/condition.ts';
import { objectKey, type ObjectKey } from '../../apis/object.ts';
import { ApiRefusal, type RawObject } from '../../kubernetes/list.ts';
import { ManualClock } from '../../kubernetes/testing/manual-clock.ts';
import { conditionsOf } from './conditions.ts';
import { StatusController, type StatusControllerOptions } from './controller.ts';
import type { ObjectFacts } from './facts.ts';
import type { EventText } from './writer.ts';

const fine: ObjectFacts = {
  exists: true,
  generation: 1,
  problems: [],
  proxies: { total: 2, acked: 2 },
  lagging: [],
  behind: [],
  converged: true,
};
const lags: ObjectFacts = {
  ...fine,
  proxies: { total: 2, acked: 1 },
  lagging: [{ proxy: 'sidecar~1.1.1.1~a.shop~shop.svc', state: 'pending' }],
  converged: false,
};
const refused: ObjectFacts = { ...lags, lagging: [{ proxy: 'sidecar~1.1.1.1~a.shop~shop.svc', state: 'rejected', error: 'bad' }] };
const invalid: ObjectFacts = {
  ...fine,
  problems: [{ path: 'spec.hosts', reason: 'Invalid', severity: 'error', message: 'is required' }],
};

const reviews = objectKey('VirtualService', 'shop', 'reviews');

class World {
  readonly clock = new ManualClock();
  readonly facts = new Map<ObjectKey, ObjectFacts>();
  readonly seen = new Map<ObjectKey, { apiVersion: string; conditions: string }>();
  readonly writes: { readonly atMs: number; readonly object: ObjectKey; readonly conditions: readonly Condition[] }[] = [];
  readonly events: (EventText & { readonly again: boolean })[] = [];
  readonly faults: unknown[] = [];
  reads = 0;
  outcome: 'written' | 'conflict' | Error = 'written';
  refuse: (object: ObjectKey) => Error | undefined = () => undefined;
  tell: (objects: Iterable<ObjectKey> | 'all') => void = () => {};
  readonly #stop = new AbortController();

  /** As the status says it, until `facts` are others. */
  put(object: ObjectKey, facts: ObjectFacts, written = facts): void {
    this.facts.set(object, facts);
    this.seen.set(object, { apiVersion: 'networking.istio.io/v1', conditions: conditionsFingerprint(conditionsOf(object, written)) });
  }

  start(limits: StatusControllerOptions['limits'] = {}): this {
    const controller = new StatusController({
      clock: this.clock,
      limits,
      seen: { get: (object) => this.seen.get(object), keys: () => this.seen.keys(), listen: () => () => {} },
      source: {
        facts: async (objects) => new Map(objects.flatMap((o) => (this.facts.has(o) ? [[o, this.facts.get(o) ?? fine] as const] : []))),
        listen: (handler) => {
          this.tell = handler;
          return () => {};
        },
      },
      writer: {
        read: async (object): Promise<RawObject> => {
          this.reads++;
          return { metadata: { name: object, resourceVersion: '1' } };
        },
        writeConditions: async (object, _present, conditions) => {
          const refused = this.refuse(object) ?? this.outcome;
          if (refused instanceof Error) throw refused;
          if (this.outcome === 'conflict') return 'conflict';
          this.writes.push({ atMs: this.clock.now(), object, conditions });
          this.seen.set(object, { apiVersion: 'networking.istio.io/v1', conditions: conditionsFingerprint(conditions) });
          return 'written';
        },
        writeEvent: async (_object, _present, text, again) => void this.events.push({ ...text, again }),
      },
      onFault: (_object, error) => this.faults.push(error),
    });
    void controller.run(this.#stop.signal);
    return this;
  }

  change(facts: ObjectFacts, object = reviews): void {
    this.facts.set(object, facts);
    this.tell([object]);
  }

  reasons(): string[] {
    return this.writes.map(({ conditions }) => conditions.map(({ reason }) => reason).join());
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
  }
}

test('a start with 4,000 objects that say the truth reads and writes none of them', async () => {
  using world = new World();
  for (let i = 0; i < 4000; i++) world.put(objectKey('VirtualService', 'shop', `v-${i}`), fine);
  world.start();
  await world.clock.advance(60_000);
  expect(world.reads).toBe(0);
  expect(world.writes).toEqual([]);
});

test('a start with 100 objects without conditions writes ten a second', async () => {
  using world = new World();
  for (let i = 0; i < 100; i++) {
    world.put(objectKey('VirtualService', 'shop', `v-${i}`), fine);
    world.seen.set(objectKey('VirtualService', 'shop', `v-${i}`), { apiVersion: 'networking.istio.io/v1', conditions: '' });
  }
  world.start();
  await world.clock.advance(60_000);
  expect(world.writes).toHaveLength(100);
  const first = world.writes[0]?.atMs ?? 0;
  expect(world.writes.filter(({ atMs }) => atMs <= first + 1_000).length).toBeLessThanOrEqual(21);
  expect((world.writes.at(-1)?.atMs ?? 0) - first).toBeGreaterThan(8_000);
});

test('a change is written at once also while thousands of objects are written for the first time', async () => {
  using world = new World();
  for (let i = 0; i < 4000; i++) {
    world.put(objectKey('VirtualService', 'shop', `v-${i}`), fine);
    world.seen.set(objectKey('VirtualService', 'shop', `v-${i}`), { apiVersion: 'networking.istio.io/v1', conditions: '' });
  }
  world.start();
  await world.clock.advance(30_000);
  const before = world.writes.length;
  expect(before).toBeGreaterThan(100);
  expect(before).toBeLessThan(200);
  world.put(reviews, refused, fine);
  world.tell([reviews]);
  await world.clock.advance(1_500);
  expect(world.writes.slice(before).map(({ object }) => object)).toContain(reviews);
  expect(world.writes.length - before).toBeLessThan(20);
});

test('a change that proxies accept soon is one write', async () => {
  using world = new World();
  world.put(reviews, fine, invalid);
  world.start();
  world.change(lags);
  await world.clock.advance(3_000);
  expect(world.writes).toEqual([]);
  world.facts.set(reviews, fine);
  await world.clock.advance(10_000);
  expect(world.reasons()).toEqual(['Reconciled,Programmed']);
});

test('a proxy that goes on lagging is named, and the object mended when it has caught up', async () => {
  using world = new World();
  world.put(reviews, fine);
  world.start();
  world.change(lags);
  await world.clock.advance(20_000);
  expect(world.reasons()).toEqual(['Reconciled,Pending']);
  expect(world.writes[0]?.conditions[1]?.message).toBe('1 of 2 proxies; waiting for a.shop');
  world.facts.set(reviews, fine);
  await world.clock.advance(20_000);
  expect(world.reasons()).toEqual(['Reconciled,Pending', 'Reconciled,Programmed']);
});

test('a refusal is written within a second', async () => {
  using world = new World();
  world.put(reviews, fine);
  world.start();
  world.change(refused);
  await world.clock.advance(1_000);
  expect(world.reasons()).toEqual(['Reconciled,Refused']);
});

test('an object that changes all the time is written every few seconds, with its newest state at last', async () => {
  using world = new World();
  world.put(reviews, fine);
  world.start();
  for (let generation = 2; generation <= 200; generation++) {
    world.change({ ...fine, generation });
    await world.clock.advance(100);
  }
  await world.clock.advance(10_000);
  expect(world.writes.length).toBeLessThan(10);
  expect(world.writes.at(-1)?.conditions[0]?.observedGeneration).toBe(200);
  const gaps = world.writes.slice(1).map(({ atMs }, i) => atMs - (world.writes[i]?.atMs ?? 0));
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(3_000);
});

test('proxies that come and go for ten minutes are counted once a minute', async () => {
  using world = new World();
  world.put(reviews, fine);
  world.start();
  for (let total = 3; total < 603; total++) {
    world.facts.set(reviews, { ...fine, proxies: { total, acked: total } });
    world.tell('all');
    await world.clock.advance(1_000);
  }
  await world.clock.advance(120_000);
  expect(world.writes.length).toBeLessThanOrEqual(12);
  expect(world.writes.at(-1)?.conditions[1]?.message).toBe('602 of 602 proxies');
});

test('what another overwrites at once is not fought over', async () => {
  using world = new World();
  world.put(reviews, fine, invalid);
  world.start();
  world.change(fine);
  await world.clock.advance(5_000);
  expect(world.writes).toHaveLength(1);
  for (let i = 0; i < 20; i++) {
    world.seen.set(reviews, { apiVersion: 'networking.istio.io/v1', conditions: 'others' });
    world.tell([reviews]);
    await world.clock.advance(5_000);
  }
  expect(world.writes).toHaveLength(1);
});

test('a write that comes too late is tried again', async () => {
  using world = new World();
  world.put(reviews, fine, invalid);
  world.outcome = 'conflict';
  world.start();
  world.change(fine);
  await world.clock.advance(2_000);
  world.outcome = 'written';
  await world.clock.advance(5_000);
  expect(world.reasons()).toEqual(['Reconciled,Programmed']);
});

test('without permission or without an API server it tries ever more seldom, and catches up afterwards', async () => {
  using world = new World();
  for (let i = 0; i < 100; i++) world.put(objectKey('VirtualService', 'shop', `v-${i}`), fine, invalid);
  world.outcome = new Error('forbidden');
  world.start();
  world.tell(world.facts.keys());
  await world.clock.advance(600_000);
  expect(world.faults.length).toBeGreaterThan(5);
  expect(world.faults.length).toBeLessThan(30);
  world.outcome = 'written';
  await world.clock.advance(120_000);
  expect(world.writes).toHaveLength(100);
});

test('objects that a policy of their namespace denies hold up no others', async () => {
  using world = new World();
  const denied = new ApiRefusal(403, 'admission webhook "deny.shop" denied the request: no');
  for (let i = 0; i < 50; i++) world.put(objectKey('VirtualService', 'shop', `v-${i}`), fine, invalid);
  for (let i = 0; i < 50; i++) world.put(objectKey('VirtualService', 'bank', `v-${i}`), fine, invalid);
  world.refuse = (object) => (object.includes('/shop/') ? denied : undefined);
  world.start();
  world.tell(world.facts.keys());
  await world.clock.advance(15_000);
  expect(world.writes).toHaveLength(50);
  await world.clock.advance(60_000);
  // Once, and once with the first comparison of everything.
  expect(world.faults).toHaveLength(100);
  world.refuse = () => undefined;
  await world.clock.advance(360_000);
  expect(world.writes).toHaveLength(100);
});

test('a new problem is a Warning, its end a Normal Event, and the same problem again counts', async () => {
  using world = new World();
  world.put(reviews, fine);
  world.start();
  world.change(invalid);
  await world.clock.advance(2_000);
  world.change(invalid);
  await world.clock.advance(2_000);
  world.change(fine);
  await world.clock.advance(2_000);
  world.change(invalid);
  await world.clock.advance(2_000);
  expect(world.events).toEqual([
    { type: 'Warning', reason: 'Invalid', note: 'spec.hosts: is required', again: false },
    { type: 'Normal', reason: 'Reconciled', note: 'all problems are mended', again: true },
    { type: 'Warning', reason: 'Invalid', note: 'spec.hosts: is required', again: true },
  ]);
});

test('what a hundred proxies refuse alike is one Event', async () => {
  using world = new World();
  world.put(reviews, fine);
  world.start();
  const problems = Array.from({ length: 100 }, (_, i) => ({
    path: '',
    reason: 'Refused' as const,
    severity: 'error' as const,
    message: `proxy p-${i} refused CDS x, made from this object: bad`,
  }));
  world.change({ ...refused, problems });
  await world.clock.advance(10_000);
  expect(world.events).toHaveLength(1);
});

test('neither conditions nor Events tell of other namespaces', async () => {
  using world = new World();
  world.put(reviews, fine);
  world.start();
  const problem = { path: '', reason: 'Refused', severity: 'error', message: 'proxy vault.bank refused CDS x: vault.bank is bad' } as const;
  const lagging = [
    { proxy: 'router~1.1.1.1~gateway.ingress~ingress.svc', state: 'rejected', error: 'vault.bank is bad' },
    { proxy: 'sidecar~1.1.1.1~a.shop~shop.svc', state: 'rejected', error: 'vault.bank is bad' },
  ] as const;
  world.change({ ...refused, lagging, problems: [{ ...problem, toReaders: 'a proxy of another namespace refused CDS x: ... is bad' }] });
  await world.clock.advance(10_000);
  const message = '1 of 2 proxies; refused by a.shop and 1 of other namespaces; a proxy of another namespace refused CDS x: ... is bad';
  expect(world.writes.at(-1)?.conditions[1]).toMatchObject({ reason: 'Refused', message });
  expect(world.events.map(({ note }) => note)).toEqual(['a proxy of another namespace refused CDS x: ... is bad']);
});

test('of many objects with problems at once only some are told of by Events, all by conditions', async () => {
  using world = new World();
  for (let i = 0; i < 200; i++) world.put(objectKey('VirtualService', 'shop', `v-${i}`), invalid, fine);
  world.start();
  world.tell(world.facts.keys());
  await world.clock.advance(60_000);
  expect(world.writes).toHaveLength(200);
  expect(world.events.length).toBeLessThan(150);
  expect(world.faults).toEqual([]);
});

test('an object of a kind without conditions is told of by Events', async () => {
  using world = new World();
  const service = objectKey('Service', 'shop', 'reviews');
  world.put(service, invalid);
  world.start();
  world.change(invalid, service);
  await world.clock.advance(2_000);
  expect(world.writes).toEqual([]);
  expect(world.events).toHaveLength(1);
});
