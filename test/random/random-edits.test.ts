/**
 * After each random edit of a random mesh every part equals a translation from scratch, and what each stream holds, delta and state of the world, with
 * reconnects, slow readers and refusals, equals its parts.
 */
import { setImmediate } from 'node:timers/promises';
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
  const { envoy, stream, protocol } = client;
  const view = new PartsView(stream.subscription.parts);
  const heldBack = (type: string): ReadonlySet<string> => new Set(stream.types.get(type)?.heldBack);
  const same = (type: string, what: string, isMeant: (name: string) => boolean = () => true): void => {
    const without = heldBack(type);
    const isCompared = (name: string): boolean => isMeant(name) && !without.has(name);
    const wanted = [...view.resources(type)].filter(({ name }) => isCompared(name)).map(({ name, version }) => [name, version]);
    const held = [...envoy.versions(type)].filter(([name]) => isCompared(name));
    // Over the state of the world a table travels whole: its version is not that of the table without its hosts.
    const of = (all: readonly string[][]): unknown =>
      protocol === 'sotw' && type === routeType ? new Set(all.map(([name]) => name)) : Object.fromEntries(all);
    expect(of(held), `${label} ${what}`).toEqual(of(wanted));
  };
  expect(envoy.violations, label).toEqual([]);
  same(clusterType, 'clusters');
  same(listenerType, 'listeners');
  // Of a cluster that is held back the client has another version, which may take no endpoints from here.
  const clustersHeldBack = heldBack(clusterType);
  const hasCluster = (name: string): boolean =>
    clustersHeldBack.has(name) ? envoy.asksFor(endpointType, name) : envoy.versions(clusterType).has(name);
  same(endpointType, 'endpoints', (name) => view.find(endpointType, name) !== undefined && hasCluster(name));
  const listenersHeldBack = heldBack(listenerType);
  const asked = new Set([...view.resources(listenerType)].filter((l) => !listenersHeldBack.has(l.name)).flatMap((l) => routesOf(l.bytes)));
  const table = (name: string): boolean => asked.has(name) && view.find(routeType, name) !== undefined;
  same(routeType, 'tables', table);
  if (protocol === 'delta') same(virtualHostType, 'hosts', (name) => table(name.slice(0, name.indexOf('/'))));
}

async function run(seed: number, edits: number, mayRefuse: boolean): Promise<number> {
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
    // What weak references point to, as the parts of `scratch`, lives until the end of a turn.
    await setImmediate();
    if (step % 10 !== 0) continue;
    settle(world, clients);
    for (const client of clients) compare(client, `seed ${seed} step ${step} ${client.protocol} ${client.node.id}`);
  }
  return refused.size;
}

test.each([1, 2, 3, 4, 5])('seed %i: 120 random edits, all accepted', async (seed) => {
  await run(seed, 120, false);
});

test.each([11, 12, 13])('seed %i: 100 random edits, some of whose resources delta clients refuse', async (seed) => {
  expect(await run(seed, 100, true)).toBeGreaterThan(0);
});

test('a client that refuses a cluster as EDS keeps it as DNS, without endpoints from here, until the cluster is another', () => {
  const world = new World(1 << 22);
  const isRefused = new Set<string>();
  const client = new Client(world.hub, nodeOf('x-0', 'a'), 'delta', ({ type, name, version }) => {
    if (type !== clusterType || !name.includes('x.istio-system.')) return undefined;
    return isRefused.has(version) ? 'semantic' : undefined;
  });
  const service = (spec: object): void => {
    world.snapshot.objects.put({
      kind: 'Service',
      apiVersion: 'v1',
      namespace: 'istio-system',
      name: 'x',
      labels: {},
      annotations: {},
      origin: { file: 'x.yaml', line: 1 },
      spec: { ...spec, ports: [{ name: 'http', port: 80 }] },
    });
    world.snapshot.flush();
  };
  const cluster = 'outbound|80||x.istio-system.svc.cluster.local';
  const version = (): string => new PartsView(client.stream.subscription.parts).find(clusterType, cluster)?.version ?? '';
  service({ type: 'ExternalName', externalName: 'outside.example.org' });
  client.connect();
  const dns = version();
  settle(world, [client]);
  service({ clusterIP: '10.3.0.1', selector: { app: 'x' } });
  isRefused.add(version());
  settle(world, [client]);
  expect(client.stream.types.get(clusterType)?.heldBack).toEqual([cluster]);
  expect([client.envoy.versions(clusterType).get(cluster), client.envoy.asksFor(endpointType, cluster)]).toEqual([dns, false]);
  compare(client, 'refused');
  service({ clusterIP: '10.3.0.1', selector: { app: 'x' }, trafficDistribution: 'PreferClose' });
  settle(world, [client]);
  expect([client.stream.types.get(clusterType)?.heldBack, client.envoy.asksFor(endpointType, cluster)]).toEqual([[], true]);
  compare(client, 'accepted');
});
