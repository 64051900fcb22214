/**
 * Random edits of a random mesh under random delivery: an object is never called converged before every stream holds what its last change led to, and always
 * once the streams have settled. What a change led to is found by comparing what each stream sees before and after it.
 */
import { expect, test } from 'vitest';
import { keyOf, type ConfigObject, type ObjectKey } from '../../src/apis/object.ts';
import { Convergence } from '../../src/snapshot/convergence.ts';
import type { Snapshot } from '../../src/snapshot/snapshot.ts';
import { nodeOf, snapshotOf, types } from '../../src/snapshot/testing/snapshots.ts';
import { clusterType, endpointType, listenerType, routeType, virtualHostType } from '../../src/wire/types.ts';
import { Hub } from '../../src/xds/hub.ts';
import { TestObserver } from '../../src/xds/testing/harness.ts';
import { PartsView } from '../../src/xds/view.ts';
import { randomObject } from './mesh.ts';
import { pick, randomOf } from './random.ts';
import { Client } from './streams.ts';

const nodes = [
  nodeOf('x-0', 'a', { LABELS: { app: 'x', version: 'v1' } }),
  nodeOf('x-1', 'a', { LABELS: { app: 'x', version: 'v1' }, INTERCEPTION_MODE: 'NONE', HTTP_PROXY_PORT: '3128' }),
  nodeOf('y-0', 'b', { LABELS: { app: 'y', version: 'v2' } }),
  nodeOf('gw', 'b', { LABELS: { istio: 'gateway' } }, 'router'),
];

/** `type name` to version, as a proxy sees it. */
function seen(client: Client): Map<string, string> {
  const view = new PartsView(client.stream.subscription.parts);
  const all = new Map<string, string>();
  for (const type of types) for (const { name, version } of view.resources(type)) all.set(`${type} ${name}`, version);
  return all;
}

/** What an edit led to for one client. */
interface Led {
  readonly client: Client;
  readonly stream: unknown;
  /** Absent resources are undefined. */
  readonly versions: Map<string, string | undefined>;
}

function differences(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): Map<string, string | undefined> {
  const found = new Map<string, string | undefined>();
  for (const [name, version] of after) if (before.get(name) !== version) found.set(name, version);
  for (const name of before.keys()) if (!after.has(name)) found.set(name, undefined);
  return found;
}

/** Whether the client holds what the change led to, as far as it asks for it and nothing later has changed it again. */
function missing({ client, stream, versions }: Led): string[] {
  if (client.stream !== stream) return [];
  const now = seen(client);
  return [...versions].flatMap(([key, version]) => {
    const [type = '', name = ''] = key.split(' ');
    if (now.get(key) !== version) return [];
    const held = client.envoy.versions(type).get(name);
    if (type === clusterType || type === listenerType) return held === version ? [] : [key];
    if (held === undefined) return [];
    // Endpoints that are gone are ignored, and a table is dropped when no listener names it.
    if (version === undefined)
      return type === virtualHostType && client.envoy.versions(routeType).has(name.split('/')[0] ?? '') ? [key] : [];
    // Over the state of the world a table travels whole.
    if (client.protocol === 'sotw' && type === routeType) return [];
    return held === version ? [] : [key];
  });
}

type Refuses = ConstructorParameters<typeof Client>[3];

class World {
  nowMs = 1_000_000;
  readonly snapshot: Snapshot = snapshotOf([], undefined, undefined, undefined, () => this.nowMs);
  readonly hub: Hub;
  readonly convergence: Convergence;
  readonly clients: readonly Client[];
  private readonly tasks: (() => void)[] = [];

  constructor(refuses: Refuses) {
    this.hub = new Hub({
      source: this.snapshot,
      observer: new TestObserver(),
      now: () => this.nowMs,
      later: (task) => this.tasks.push(task),
    });
    this.convergence = new Convergence({ snapshot: this.snapshot, streams: () => this.hub.streams });
    this.clients = nodes.flatMap((node) =>
      (['delta', 'sotw'] as const).map(
        (protocol) => new Client(this.hub, node, protocol, protocol === 'delta' ? refuses : () => undefined),
      ),
    );
    for (const client of this.clients) client.connect();
  }

  turn(): void {
    for (let task = this.tasks.shift(); task !== undefined; task = this.tasks.shift()) task();
  }

  settle(): void {
    for (let round = 0; round < 500; round++) {
      this.turn();
      let any = false;
      for (const client of this.clients) any = client.deliver(1000) || any;
      this.turn();
      if (any) continue;
      this.nowMs += 20_000;
      this.hub.tick();
      this.turn();
      if (!this.clients.map((client) => client.deliver(1000)).includes(true)) return;
    }
    throw new Error('the streams do not settle');
  }

  converged(object: ObjectKey): boolean {
    const { pending, proxies } = this.convergence.of(object);
    return !pending && proxies.acked === proxies.total;
  }
}

/** How often edits were found converged and not, so that neither is never tested. */
function run(
  seed: number,
  steps: number,
  batch: number,
  refuses: Refuses = () => undefined,
): { converged: number; lagging: number; refused: number } {
  const random = randomOf(seed);
  const world = new World(refuses);
  const objects = new Map<ObjectKey, ConfigObject>();
  const edits: { readonly objects: ReadonlySet<ObjectKey>; readonly led: readonly Led[] }[] = [];
  const counts = { converged: 0, lagging: 0, refused: 0 };
  world.settle();
  for (let step = 1; step <= steps; step++) {
    const before = world.clients.map(seen);
    const changed = new Set<ObjectKey>();
    for (let i = random(batch); i >= 0; i--) {
      const existing = [...objects.values()];
      const gone = existing.length > 0 && random(4) === 0;
      const object = gone ? pick(random, existing) : randomObject(random, step);
      if (gone) objects.delete(keyOf(object));
      else objects.set(keyOf(object), object);
      if (gone) world.snapshot.objects.remove(keyOf(object));
      else world.snapshot.objects.put(object);
      changed.add(keyOf(object));
    }
    for (const object of changed) expect(world.convergence.of(object).pending, `${object} is not translated yet`).toBe(true);
    world.snapshot.flush();
    const led = world.clients.map((client, i): Led => {
      const versions = differences(before[i] ?? new Map(), seen(client));
      // What changes once more is no longer what the earlier edit led to, even if it comes to the same.
      for (const edit of edits) for (const key of versions.keys()) edit.led[i]?.versions.delete(key);
      return { client, stream: client.stream, versions };
    });
    edits.push({ objects: changed, led });
    for (let round = 0; round < 3; round++) {
      world.turn();
      for (const client of world.clients) {
        const dice = random(40);
        if (dice === 0) client.connect();
        else if (dice === 1) client.slow = !client.slow;
        else client.deliver(random(4));
      }
      for (const { objects: together, led } of edits) {
        // Of several objects nobody can say which did what, but when all are there everything is.
        if (![...together].every((object) => world.converged(object))) {
          counts.lagging++;
          continue;
        }
        counts.converged++;
        for (const one of led) {
          const where = `seed ${seed} step ${step} round ${round}: ${[...together].join()} on ${one.client.protocol} ${one.client.node.id}`;
          expect(missing(one), where).toEqual([]);
        }
      }
    }
    if (step % 10 !== 0) continue;
    world.settle();
    for (const { objects: together, led } of edits) {
      const left = led.flatMap(missing);
      const lagging = [...together].flatMap((object) => world.convergence.of(object).lagging);
      const where = `seed ${seed} step ${step}: ${[...together].join()} has settled, missing ${left.join()}`;
      // What is refused lags for as long as it is; nothing else does.
      const wrong =
        left.length > 0 && lagging.length === 0 ? left : lagging.filter(({ state }) => left.length === 0 && state === 'pending');
      expect(wrong, where).toEqual([]);
      counts.refused += left.length;
    }
    edits.length = 0;
  }
  return counts;
}

test.each([1, 2, 3, 4, 1117])('seed %i: one edit at a time', (seed) => {
  const { converged, lagging, refused } = run(seed, 150, 1);
  expect(converged).toBeGreaterThan(50);
  expect(lagging).toBeGreaterThan(50);
  expect(refused).toBe(0);
});

test.each([21, 22, 211])('seed %i: several edits at a time', (seed) => {
  const { converged, lagging } = run(seed, 100, 4);
  expect(converged).toBeGreaterThan(20);
  expect(lagging).toBeGreaterThan(50);
});

test.each([31, 32, 1309])('seed %i: edits some of whose resources delta clients refuse', (seed) => {
  const bad: Refuses = ({ type, version }) => {
    if (type === endpointType || type === routeType || Number.parseInt(version.slice(0, 2), 16) % 20 !== 7) return undefined;
    return Number.parseInt(version.slice(2, 4), 16) % 2 === 0 ? 'semantic' : 'validation';
  };
  const { converged, refused } = run(seed, 100, 1, bad);
  expect(converged).toBeGreaterThan(20);
  expect(refused).toBeGreaterThan(0);
});
