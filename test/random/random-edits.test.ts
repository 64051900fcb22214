/**
 * After each random edit of a random mesh every part equals a translation from scratch, and what each stream holds, delta and state of the world, with
 * reconnects, slow readers and refusals, equals its parts.
 */
import { expect, test } from 'vitest';
import type { ConfigObject } from '../../src/apis/object.ts';
import { keyOf } from '../../src/apis/object.ts';
import { clusterType, endpointType, listenerType, routeType, virtualHostType } from '../../src/wire/types.ts';
import { Hub } from '../../src/xds/hub.ts';
import { TestObserver } from '../../src/xds/testing/harness.ts';
import type { Snapshot } from '../../src/snapshot/snapshot.ts';
import { PartsView } from '../../src/xds/view.ts';
import { randomObject } from './mesh.ts';
import { pick, randomOf, type Random } from './random.ts';
import { nodeOf, openProxy, resources, snapshotOf } from '../../src/snapshot/testing/snapshots.ts';
import { Client, routesOf } from './streams.ts';

const nodes = [
  nodeOf('x-0', 'a', { LABELS: { app: 'x', version: 'v1' }, DNS_CAPTURE: 'true' }),
  nodeOf('x-1', 'a', { LABELS: { app: 'x', version: 'v1' }, INTERCEPTION_MODE: 'NONE', HTTP_PROXY_PORT: '3128', DNS_CAPTURE: 'true' }),
  nodeOf('y-0', 'b', { LABELS: { app: 'y', version: 'v2' }, DNS_CAPTURE: 'true' }),
  nodeOf('z-0', 'istio-system', { LABELS: { app: 'z' } }),
  nodeOf('gw', 'b', { LABELS: { istio: 'gateway' }, ENABLE_DNS_SERVER: 'true' }, 'router'),
];

class World {
  readonly objects = new Map<string, ConfigObject>();
  readonly snapshot: Snapshot = snapshotOf([]);
  nowMs = 1_000_000;
  readonly hub: Hub;
  private readonly tasks: (() => void)[] = [];

  constructor(maxUnackedBytes: number) {
    this.hub = new Hub({
      source: this.snapshot,
      observer: new TestObserver(),
      now: () => this.nowMs,
      later: (task) => this.tasks.push(task),
      limits: { maxUnackedBytes },
      maxBytesInFlight: 64 * 1024,
    });
  }

  turn(): void {
    for (let task = this.tasks.shift(); task !== undefined; task = this.tasks.shift()) task();
  }

  edit(random: Random, step: number): string {
    const existing = [...this.objects.values()];
    if (existing.length > 0 && random(4) === 0) {
      const gone = pick(random, existing);
      this.objects.delete(keyOf(gone));
      this.snapshot.objects.remove(keyOf(gone));
      return `remove ${keyOf(gone)}`;
    }
    const object = randomObject(random, step);
    const before = this.objects.get(keyOf(object));
    const next =
      before === undefined
        ? object
        : { ...object, ...(before.creationTimestamp === undefined ? {} : { creationTimestamp: before.creationTimestamp }) };
    this.objects.set(keyOf(next), next);
    this.snapshot.objects.put(next);
    return `put ${keyOf(next)} ${JSON.stringify(next.spec)}`;
  }
}

function settle(world: World, clients: readonly Client[]): void {
  for (let round = 0; round < 500; round++) {
    world.turn();
    let any = false;
    for (const client of clients) any = client.deliver(1000) || any;
    world.turn();
    if (any) continue;
    world.nowMs += 20_000;
    world.hub.tick();
    world.turn();
    if (!clients.map((client) => client.deliver(1000)).includes(true)) return;
  }
  throw new Error('the streams do not settle');
}

/** Of what its parts have, what the client asks for. Held back resources are left out on both sides. */
function compare(client: Client, label: string): void {
  const { subscription } = client.stream;
  const view = new PartsView(subscription.parts);
  const heldBack = (type: string): ReadonlySet<string> => new Set(client.stream.types.get(type)?.heldBack ?? []);
  const wanted = (type: string, only: (name: string) => boolean): Record<string, string> =>
    Object.fromEntries(
      [...view.resources(type)]
        .filter((r) => only(r.name) && !heldBack(type).has(r.name))
        .map((r) => [r.name, r.version])
        .sort(([a = ''], [b = '']) => (a < b ? -1 : 1)),
    );
  const held = (type: string, only: (name: string) => boolean): Record<string, string> =>
    Object.fromEntries(
      [...client.envoy.versions(type)].filter(([name]) => only(name) && !heldBack(type).has(name)).sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  const all = (): boolean => true;
  expect(client.envoy.violations, label).toEqual([]);
  expect(held(clusterType, all), `${label} clusters`).toEqual(wanted(clusterType, all));
  expect(held(listenerType, all), `${label} listeners`).toEqual(wanted(listenerType, all));
  const present = (name: string): boolean => view.find(endpointType, name) !== undefined && client.envoy.versions(clusterType).has(name);
  expect(held(endpointType, present), `${label} endpoints`).toEqual(wanted(endpointType, present));
  const asked = new Set(
    [...view.resources(listenerType)].filter((l) => !heldBack(listenerType).has(l.name)).flatMap((l) => routesOf(l.bytes)),
  );
  const table = (name: string): boolean => asked.has(name) && view.find(routeType, name) !== undefined;
  expect(Object.keys(held(routeType, table)), `${label} tables`).toEqual(Object.keys(wanted(routeType, table)));
  if (client.protocol === 'sotw') return;
  expect(held(routeType, table), `${label} tables`).toEqual(wanted(routeType, table));
  const host = (name: string): boolean => table(name.slice(0, name.indexOf('/')));
  expect(held(virtualHostType, host), `${label} hosts`).toEqual(wanted(virtualHostType, host));
}

function run(seed: number, edits: number, mayRefuse: boolean): number {
  const random = randomOf(seed);
  const world = new World(random(2) === 0 ? 20_000 : 1 << 22);
  const refused = new Set<string>();
  const refuses = ({ type, name, version }: { type: string; name: string; version: string }): 'semantic' | 'validation' | undefined => {
    if (!mayRefuse || type === endpointType || type === routeType) return undefined;
    const bad = Number.parseInt(version.slice(0, 2), 16) % 20 === 7;
    if (bad) refused.add(`${type} ${name}`);
    if (!bad) return undefined;
    return Number.parseInt(version.slice(2, 4), 16) % 2 === 0 ? 'semantic' : 'validation';
  };
  const clients = nodes.flatMap((node) =>
    (['delta', 'sotw'] as const).map((protocol) => new Client(world.hub, node, protocol, protocol === 'delta' ? refuses : () => undefined)),
  );
  for (const client of clients) client.connect();
  const log: string[] = [];
  for (let step = 1; step <= edits; step++) {
    for (let i = random(3); i >= 0; i--) log.push(`${step}: ${world.edit(random, step)}`);
    world.snapshot.flush();
    const scratch = snapshotOf(world.objects.values());
    for (const client of clients) {
      if (client.protocol === 'sotw') continue;
      const fresh = openProxy(scratch, client.node);
      expect(
        resources(client.stream.subscription.parts),
        `seed ${seed} step ${step} ${client.node.id}\n${log.slice(-6).join('\n')}`,
      ).toEqual(resources(fresh.parts));
    }
    world.turn();
    for (const client of clients) {
      const dice = random(25);
      if (dice === 0) client.connect();
      else if (dice === 1) client.slow = !client.slow;
      else client.deliver(random(5));
    }
    if (step % 10 !== 0) continue;
    settle(world, clients);
    for (const client of clients) compare(client, `seed ${seed} step ${step} ${client.protocol} ${client.node.id}`);
  }
  return refused.size;
}

test.each([1, 2, 3, 4, 5])('seed %i: 200 random edits, all accepted', (seed) => {
  run(seed, 200, false);
});

test.each([11, 12, 13])('seed %i: 100 random edits, some of whose resources delta clients refuse', (seed) => {
  expect(run(seed, 100, true)).toBeGreaterThan(0);
});
