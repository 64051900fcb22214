/**
 * Streams in lazy mode under random edits, questions, reconnects, slow readers, refusals, and namespaces that become lazy and cease to be: once it has settled, what a
 * stream holds is the translation from scratch, restricted to what it has asked for. Which host answers a name is found here by trying all of them.
 */
import { fromBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.js';
import { type VirtualHost, VirtualHostSchema } from '#gen/envoy/config/route/v3/route_components_pb.js';
import { TcpProxySchema } from '#gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js';
import { keyOf, type ConfigObject, type ObjectKey } from '../../src/apis/object.ts';
import { clustersOf } from '../../src/envoy/routes/on-demand.ts';
import { hostFor, OnDemandHosts } from '../../src/snapshot/on-demand-hosts.ts';
import { Convergence } from '../../src/snapshot/convergence.ts';
import { ableToAsk, nodeOf, openProxy, resources, snapshotOf } from '../../src/snapshot/testing/snapshots.ts';
import { clusterType, endpointType, listenerType, routeType, virtualHostType } from '../../src/wire/types.ts';
import type { Snapshot } from '../../src/snapshot/snapshot.ts';
import type { Subscription } from '../../src/xds/source.ts';
import { Hub } from '../../src/xds/hub.ts';
import { TestObserver } from '../../src/xds/testing/harness.ts';
import { PartsView } from '../../src/xds/view.ts';
import { randomObject } from './mesh.ts';
import { pick, randomOf, type Random } from './random.ts';
import { Client, routesOf } from './streams.ts';

const lazy = { 'mizzen.io/lazy': 'true' };
const nodes = [
  nodeOf('lazy-0', 'a', { LABELS: { ...lazy, app: 'x', version: 'v1' } }),
  nodeOf('lazy-1', 'a', { LABELS: { ...lazy, app: 'x' }, INTERCEPTION_MODE: 'NONE', HTTP_PROXY_PORT: '3128' }),
  nodeOf('lazy-2', 'b', { LABELS: { ...lazy, app: 'y', version: 'v2' } }),
  nodeOf('lazy-6', 'b', { LABELS: { ...lazy, app: 'y' }, INSTANCE_IPS: '11.9.9.9,2001:db8::9' }),
  // As its namespace says.
  nodeOf('maybe', 'b', { LABELS: { app: 'z' } }),
].map(ableToAsk);

const hosts = [
  ...[
    'x',
    'y',
    'z',
    'pod.x',
    'x.b',
    'y.a',
    'z.b.svc',
    'x.a.svc.cluster.local',
    'y.b.svc.cluster.local',
    'a.wild.example',
    'nobody',
    '[::1]',
  ],
  ...['10.1.0.1', '10.2.0.2', '*', '', 'a/b', 'x.example', 'y.example', 'z.example', 'ext.example.com'],
];

function randomName(random: Random): string {
  const host = pick(random, hosts);
  return `${pick(random, ['80', '80', '8000', '9000', 'http_proxy'])}/${host}${random(3) === 0 ? ':80' : ''}`;
}

function namespace(name: string, label: string): ConfigObject {
  const labels: Record<string, string> = label === '' ? {} : { 'mizzen.io/lazy': label };
  return {
    kind: 'Namespace',
    apiVersion: 'v1',
    namespace: '',
    name,
    labels,
    annotations: {},
    spec: {},
    origin: { file: 'ns.yaml', line: 1 },
  };
}

/** What a client has asked for, and the hosts that ever answered it. */
class Asking {
  readonly names = new Set<string>();
  readonly clusters = new Set<string>();
  readonly answers = new Set<string>();
  /** See `remember`. */
  readonly adopted = new Set<string>();
}

interface Answer {
  readonly name: string;
  readonly version: string;
  readonly clusters: ReadonlySet<string>;
}

/** Tries every host of the table, as Envoy's documentation orders them. */
function answerOf(view: PartsView, hostsOf: OnDemandHosts, asked: string): Answer | undefined {
  const route = asked.slice(0, asked.indexOf('/'));
  const table = view.find(routeType, route);
  if (table === undefined) return undefined;
  const written = asked.slice(route.length + 1);
  const stripped = route === 'http_proxy' ? written : written.replace(/:80$/, '');
  const domain = stripped === '' || /[*/]/.test(stripped) ? 'invalid' : stripped;
  const all = [...view.resources(virtualHostType)].filter(({ name }) => name.startsWith(`${route}/`));
  let best: { readonly rank: number; readonly found: (typeof all)[number] } | undefined;
  for (const found of all) {
    for (const candidate of fromBinary(VirtualHostSchema, found.bytes).domains) {
      const rank = rankOf(candidate, domain);
      if (rank > (best?.rank ?? 0)) best = { rank, found };
    }
  }
  const chosen = best === undefined ? hostsOf.catchAllOf(table) : hostsOf.of(best.found);
  if (chosen === undefined) throw new Error(`${route} has no catch-all`);
  if (best?.rank === Infinity && chosen.resource !== undefined) return { ...chosen.resource, clusters: chosen.clusters };
  return { ...hostFor(`${route}/${domain}`, domain, chosen.body), clusters: chosen.clusters };
}

function rankOf(candidate: string, domain: string): number {
  if (candidate === domain) return Infinity;
  if (candidate.startsWith('*') && domain.endsWith(candidate.slice(1)) && domain.length >= candidate.length) return 1000 + candidate.length;
  return candidate.endsWith('*') && domain.startsWith(candidate.slice(0, -1)) && domain.length >= candidate.length ? candidate.length : 0;
}

function chained(view: PartsView): Set<string> {
  const clusters = new Set<string>(['PassthroughCluster', 'BlackHoleCluster', 'InboundPassthroughCluster']);
  for (const { bytes } of view.resources(listenerType)) {
    const { filterChains, defaultFilterChain } = fromBinary(ListenerSchema, bytes);
    for (const { filters } of [...filterChains, ...(defaultFilterChain === undefined ? [] : [defaultFilterChain])]) {
      for (const { configType } of filters) {
        if (configType.case !== 'typedConfig' || !configType.value.typeUrl.endsWith('TcpProxy')) continue;
        const { clusterSpecifier } = fromBinary(TcpProxySchema, configType.value.value);
        if (clusterSpecifier.case === 'cluster') clusters.add(clusterSpecifier.value);
      }
    }
  }
  return clusters;
}

class World {
  nowMs = 1_000_000;
  readonly snapshot = snapshotOf([], undefined, undefined, undefined, () => this.nowMs);
  readonly hub: Hub;
  private readonly tasks: (() => void)[] = [];

  constructor() {
    this.hub = new Hub({
      source: this.snapshot,
      observer: new TestObserver(),
      now: () => this.nowMs,
      later: (task) => this.tasks.push(task),
    });
  }

  turn(): void {
    for (let task = this.tasks.shift(); task !== undefined; task = this.tasks.shift()) task();
  }

  settle(clients: readonly Client[]): void {
    for (let round = 0; round < 500; round++) {
      this.turn();
      let any = false;
      for (const client of clients) any = client.deliver(1000) || any;
      this.turn();
      if (any) continue;
      this.nowMs += 20_000;
      this.hub.tick();
      this.turn();
      if (!clients.map((client) => client.deliver(1000)).includes(true)) return;
    }
    throw new Error('the streams do not settle');
  }
}

/** The parts that it shares equal those of a snapshot from scratch. */
function compareShared(client: Client, scratch: Snapshot, label: string): void {
  const shared = ({ parts, onDemand }: Subscription): ReturnType<typeof resources> =>
    resources(onDemand === undefined ? parts : parts.slice(0, -1));
  expect(shared(client.stream.subscription), label).toEqual(shared(openProxy(scratch, client.node, 'delta')));
}

function compare(client: Client, asking: Asking, eager: PartsView, label: string): void {
  const state = (type: string): Map<string, string> => {
    const heldBack = new Set(client.stream.types.get(type)?.heldBack ?? []);
    return new Map([...client.envoy.versions(type)].filter(([name]) => !heldBack.has(name)));
  };
  const heldBack = (type: string): ReadonlySet<string> => new Set(client.stream.types.get(type)?.heldBack ?? []);
  expect(client.envoy.violations, label).toEqual([]);
  const view = new PartsView(client.stream.subscription.parts);
  const names = (of: PartsView): string[] => [...of.resources(listenerType)].map(({ name }) => name).sort();
  expect(names(view), `${label} listeners`).toEqual(names(eager));
  expect([...client.envoy.versions(listenerType).keys()].filter((name) => !heldBack(listenerType).has(name)).sort(), label).toEqual(
    names(eager).filter((name) => !heldBack(listenerType).has(name)),
  );
  const isLazy = client.stream.subscription.onDemand !== undefined;
  const tables = new Set(
    [...view.resources(listenerType)].filter((l) => !heldBack(listenerType).has(l.name)).flatMap((l) => routesOf(l.bytes)),
  );
  const inTable = (name: string): boolean =>
    tables.has(name.slice(0, name.indexOf('/'))) && view.find(routeType, name.slice(0, name.indexOf('/'))) !== undefined;
  const hostsOf = new OnDemandHosts();
  const held = new Map([...state(virtualHostType)].filter(([name]) => inTable(name)));
  if (!isLazy) {
    const all = [...eager.resources(virtualHostType)].filter(({ name }) => inTable(name) && !heldBack(virtualHostType).has(name));
    expect(held, `${label} all hosts`).toEqual(new Map(all.map(({ name, version }) => [name, version])));
    return;
  }
  const needed = new Set<string>();
  for (const asked of asking.names) {
    if (!inTable(asked)) continue;
    const answer = answerOf(eager, hostsOf, asked);
    if (answer === undefined) continue;
    asking.answers.add(answer.name);
    if (client.envoy.demandedHosts.has(asked) && !heldBack(virtualHostType).has(answer.name))
      expect(held.get(answer.name), `${label} ${asked}`).toBe(answer.version);
  }
  for (const [name, version] of held) {
    expect(asking.answers.has(name) || asking.adopted.has(name), `${label} ${name} was asked for`).toBe(true);
    const source = eager.find(virtualHostType, name);
    const answer = source === undefined ? answerOf(eager, hostsOf, name) : undefined;
    expect(version, `${label} ${name}`).toBe(source === undefined ? answer?.version : hostsOf.of(source).resource?.version);
    if (source === undefined) expect(answer?.name, `${label} ${name} stands for itself`).toBe(name);
    const clusters =
      source === undefined ? (answer?.clusters ?? []) : clustersOf(fromBinary(VirtualHostSchema, source.bytes) as VirtualHost);
    for (const cluster of clusters) needed.add(cluster);
  }
  const clusters = state(clusterType);
  const advance = chained(eager);
  for (const { name, version } of eager.resources(clusterType)) {
    if (heldBack(clusterType).has(name)) continue;
    if (advance.has(name) || needed.has(name) || name.startsWith('inbound')) expect(clusters.get(name), `${label} ${name}`).toBe(version);
    else if (clusters.has(name)) {
      expect(clusters.get(name), `${label} ${name}`).toBe(version);
      expect(asking.clusters.has(name) || asking.adopted.has(name), `${label} ${name} was asked for`).toBe(true);
    }
  }
  for (const name of clusters.keys()) expect(eager.find(clusterType, name), `${label} ${name} exists`).toBeDefined();
  for (const [name] of clusters) {
    const endpoints = eager.find(endpointType, name);
    if (endpoints !== undefined)
      expect(client.envoy.versions(endpointType).get(name), `${label} endpoints ${name}`).toBe(endpoints.version);
  }
}

/**
 * What it may go on having: all that it had before it became lazy, and, because on a reconnect what it claims counts as asked for, the clusters that its listeners and
 * hosts have named.
 */
function remember(client: Client, { adopted }: Asking): void {
  const { parts, onDemand } = client.stream.subscription;
  const view = new PartsView(parts);
  if (onDemand === undefined) rememberAll(parts, adopted);
  // In advance come also clusters of chains that a listener leaves out, because another one has taken their match.
  for (const { name } of new PartsView(parts.slice(0, -1)).resources(clusterType)) adopted.add(name);
  for (const { bytes } of view.resources(virtualHostType))
    for (const name of clustersOf(fromBinary(VirtualHostSchema, bytes))) adopted.add(name);
}

function rememberAll(parts: ConstructorParameters<typeof PartsView>[0], into: Set<string>): void {
  for (const type of [clusterType, virtualHostType]) for (const { name } of new PartsView(parts).resources(type)) into.add(name);
}

function run(seed: number, edits: number, mayRefuse: boolean): { readonly hosts: number; readonly refused: number } {
  const random = randomOf(seed);
  const world = new World();
  const objects = new Map<string, ConfigObject>();
  let refusals = 0;
  const refuses = ({ type, version }: { type: string; version: string }): 'semantic' | 'validation' | undefined => {
    if (!mayRefuse || type === endpointType || type === routeType) return undefined;
    const bad = Number.parseInt(version.slice(0, 2), 16) % 20 === 7;
    if (!bad) return undefined;
    refusals++;
    return Number.parseInt(version.slice(2, 4), 16) % 2 === 0 ? 'semantic' : 'validation';
  };
  const clients = nodes.map((node) => new Client(world.hub, node, 'delta', refuses));
  const asking = new Map(clients.map((client) => [client, new Asking()]));
  for (const client of clients) client.connect();
  let hostsSeen = 0;
  for (let step = 1; step <= edits; step++) {
    for (const [client, of] of asking) remember(client, of);
    for (let i = random(3); i >= 0; i--) {
      const existing = [...objects.values()];
      const gone = existing.length > 0 && random(4) === 0;
      const object = gone
        ? pick(random, existing)
        : random(15) === 0
          ? namespace('b', pick(random, ['true', 'false', '', 'yes']))
          : randomObject(random, step);
      if (gone) objects.delete(keyOf(object));
      else objects.set(keyOf(object), object);
      if (gone) world.snapshot.objects.remove(keyOf(object));
      else world.snapshot.objects.put(object);
    }
    const eager = clients.filter((client) => client.stream.subscription.onDemand === undefined);
    world.snapshot.flush();
    for (const client of eager.filter(({ stream }) => stream.subscription.onDemand !== undefined)) {
      // What came with the same change counts as what it had.
      const all = openProxy(world.snapshot, client.node);
      rememberAll(all.parts, asking.get(client)?.adopted ?? new Set());
      all.close();
    }
    const scratchNow = step % 5 === 0 ? snapshotOf(objects.values()) : undefined;
    for (const client of clients) {
      const { subscription } = client.stream;
      if (scratchNow !== undefined) compareShared(client, scratchNow, `seed ${seed} step ${step} ${client.node.id}`);
      const of = asking.get(client) ?? new Asking();
      for (let i = random(4); i > 0; i--) {
        if (random(5) > 0) {
          const name = randomName(random);
          of.names.add(name);
          // A table with a host for everything asks for none.
          if (subscription.onDemand !== undefined) client.envoy.demand(virtualHostType, name);
        } else {
          const cluster = `outbound|${pick(random, [80, 8000, 81])}||${pick(random, ['x.a', 'y.b', 'z.a'])}.svc.cluster.local`;
          of.clusters.add(cluster);
          client.envoy.demand(clusterType, cluster);
        }
      }
    }
    world.turn();
    for (const client of clients) {
      const dice = random(25);
      if (dice === 0) client.connect();
      else if (dice === 1) client.slow = !client.slow;
      else client.deliver(random(5));
    }
    if (step % 10 !== 0) continue;
    world.settle(clients);
    const scratch = snapshotOf(objects.values());
    for (const [client, of] of asking) {
      remember(client, of);
      compare(client, of, new PartsView(openProxy(scratch, client.node).parts), `seed ${seed} step ${step} ${client.node.id}`);
      hostsSeen += client.envoy.versions(virtualHostType).size;
    }
  }
  return { hosts: hostsSeen, refused: refusals };
}

test.each([1, 2, 3, 4])('seed %i: 150 random edits, all accepted', (seed) => {
  expect(run(seed, 150, false).hosts).toBeGreaterThan(100);
});

test.each([11, 12])('seed %i: 100 random edits, some of whose resources are refused', (seed) => {
  expect(run(seed, 100, true).refused).toBeGreaterThan(0);
});

test('an object counts for a lazy proxy when it has asked for what the object is part of, and a deletion until it has been told', () => {
  const world = new World();
  const convergence = new Convergence({ snapshot: world.snapshot, streams: () => world.hub.streams });
  const rule = (maxConnections: number): ConfigObject => ({
    ...{ kind: 'DestinationRule', apiVersion: 'networking.istio.io/v1', namespace: 'a', name: 'x', labels: {}, annotations: {} },
    spec: { host: 'x', trafficPolicy: { connectionPool: { tcp: { maxConnections } } } },
    origin: { file: 'x.yaml', line: 1 },
  });
  const spec = { clusterIP: '10.0.0.1', ports: [{ name: 'http', port: 80 }] };
  world.snapshot.objects.put({ ...rule(1), kind: 'Service', apiVersion: 'v1', spec });
  const [node] = nodes;
  if (node === undefined) throw new Error('there is no node');
  const client = new Client(world.hub, node, 'delta', () => undefined);
  client.connect();
  world.settle([client]);
  const change = (object: ConfigObject | ObjectKey): { total: number; acked: number } => {
    if (typeof object === 'string') world.snapshot.objects.remove(object);
    else world.snapshot.objects.put(object);
    world.snapshot.flush();
    world.turn();
    return convergence.of(typeof object === 'string' ? object : keyOf(object)).proxies;
  };
  expect(change(rule(1))).toEqual({ total: 0, acked: 0 });
  client.envoy.demand(virtualHostType, '80/x.a');
  world.settle([client]);
  expect(convergence.of(keyOf(rule(1))).proxies).toEqual({ total: 1, acked: 1 });
  expect(change(rule(2))).toEqual({ total: 1, acked: 0 });
  world.settle([client]);
  expect(convergence.of(keyOf(rule(2))).proxies).toEqual({ total: 1, acked: 1 });
  expect(change(keyOf(rule(2)))).toEqual({ total: 1, acked: 0 });
  world.settle([client]);
  expect(convergence.of(keyOf(rule(2))).lagging).toEqual([]);
});
