import { expect, test } from 'vitest';
import { clusterType, endpointType, listenerType, routeType, virtualHostType } from '../wire/types.ts';
import { FakeEnvoy, plain } from './testing/fake-envoy.ts';
import { FakeSource, type FakePart } from './testing/fake-source.ts';
import { node, TestWire, World } from './testing/harness.ts';
import { PartsView } from './view.ts';
import type { DeltaRequest, DeltaStream } from './delta-stream.ts';
import type { SotwRequest, SotwStream } from './sotw-stream.ts';
import type { TypeUrl } from './source.ts';

/** xorshift32: the same numbers for the same seed. */
function randomOf(seed: number): (below: number) => number {
  let state = seed * 2654435761 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const tables = ['80', '81', '82'];
const services = ['a', 'b', 'c', 'd', 'e', 'f'];

/** A client with its stream, some of whose messages are delivered late. */
class Client {
  readonly envoy: FakeEnvoy;
  readonly #world: World;
  readonly #protocol: 'delta' | 'sotw';
  readonly #id: string;
  wire = new TestWire();
  readonly #inbox: Uint8Array[] = [];
  #stream: DeltaStream | SotwStream | undefined;
  slow = false;

  constructor(world: World, id: string, protocol: 'delta' | 'sotw') {
    this.#world = world;
    this.#id = id;
    this.#protocol = protocol;
    this.envoy = new FakeEnvoy({
      protocol,
      send: (request) => this.#stream?.receive(request as DeltaRequest & SotwRequest),
      refuses: ({ version }) => (version.includes('invalid') ? 'validation' : version.includes('bad') ? 'semantic' : undefined),
      routesOf: ({ version }) =>
        plain(version)
          .split('!')[1]
          ?.split(',')
          .filter((name) => name !== '') ?? [],
      describe: (type, bytes) => describe(type, bytes),
    });
  }

  connect(): void {
    this.#stream?.disconnected('reconnect');
    this.#inbox.length = 0;
    this.wire = new TestWire();
    this.wire.slow = this.slow;
    this.wire.onWrite = (message) => this.#inbox.push(message);
    const who = { ...node, id: this.#id };
    const caller = { address: '', secure: false };
    const stream =
      this.#protocol === 'delta' ? this.#world.hub.openDelta(who, caller, this.wire) : this.#world.hub.openSotw(who, caller, this.wire);
    if ('refused' in stream) throw new Error(stream.refused);
    this.#stream = stream;
    this.envoy.connect();
  }

  get parts(): readonly FakePart[] {
    return this.#stream?.subscription.parts as readonly FakePart[];
  }

  get stream(): DeltaStream | SotwStream | undefined {
    return this.#stream;
  }

  /** Takes some of what has come; says whether there was anything. */
  deliver(count: number): boolean {
    let any = false;
    for (let i = 0; i < count; i++) {
      if (this.wire.ended !== undefined) {
        this.connect();
        any = true;
      }
      this.wire.flush();
      const message = this.#inbox.shift();
      if (message === undefined) break;
      any = true;
      this.envoy.receive(message);
    }
    return any;
  }
}

/** Bytes of the test's resources in the state of the world: `name=version;`, routes followed by their hosts. */
function describe(type: TypeUrl, bytes: Uint8Array) {
  const text = new TextDecoder().decode(bytes);
  const [, name = '', version = ''] = /([\w]+)=([\w!,]*);/.exec(text) ?? /()()/.exec(text) ?? [];
  if (type === endpointType && name === '') return { name: text.slice(2), version: 'empty' };
  if (type !== routeType) return { name, version };
  const hosts = [...text.matchAll(/(\d+)\/(\w+)=([\w]*);/g)].map(([, table = '', host = '', v = '']) => ({
    type: virtualHostType,
    name: `${table}/${host}`,
    version: v,
    bytes,
  }));
  const shell = /^(\d+)=(\w*);/.exec(text);
  return { name: shell?.[1] ?? '', version: shell?.[2] ?? '', hosts };
}

function put(part: FakePart, type: TypeUrl, name: string, version: string): void {
  part.put(type, { name, version, bytes: new TextEncoder().encode(`${name}=${version};`), ...(type === routeType && { vhds: true }) });
}

function edit(parts: readonly FakePart[], random: (below: number) => number, step: number, mayBeBad: boolean): void {
  const part = parts[random(parts.length)];
  if (part === undefined) return;
  const version = `v${step}${mayBeBad && random(12) === 0 ? (random(2) === 0 ? 'bad' : 'invalid') : ''}`;
  const service = services[random(services.length)] ?? 'a';
  const table = tables[random(tables.length)] ?? '80';
  switch (random(9)) {
    case 0:
    case 1:
      put(part, clusterType, service, version);
      put(part, endpointType, service, `v${step}`);
      break;
    case 2:
      part.remove(clusterType, service).remove(endpointType, service);
      break;
    case 3:
      if (part.table(clusterType)?.get(service) !== undefined) put(part, endpointType, service, `v${step}`);
      break;
    case 4: {
      const named = tables.filter(() => random(2) === 0);
      put(part, listenerType, `l${random(3)}`, `${version}!${named.join(',')}`);
      break;
    }
    case 5:
      part.remove(listenerType, `l${random(3)}`);
      break;
    case 6:
      if (random(3) > 0) put(part, routeType, table, `v${step}`);
      else {
        part.remove(routeType, table);
        for (const host of services) part.remove(virtualHostType, `${table}/${host}`);
      }
      break;
    default:
      for (let i = random(3); i >= 0; i--) {
        const host = `${table}/${services[random(services.length)]}`;
        if (random(4) === 0) part.remove(virtualHostType, host);
        else put(part, virtualHostType, host, version);
      }
  }
}

/** What the client should hold: of what its parts have, the part that it asks for. */
function expected(client: Client): Record<string, Record<string, string>> {
  const view = new PartsView(client.parts);
  const heldBack = (type: TypeUrl) => new Set(client.stream?.types.get(type)?.heldBack ?? []);
  const of = (type: TypeUrl, wanted: (name: string) => boolean): Record<string, string> =>
    Object.fromEntries(
      [...view.resources(type)]
        .filter(({ name }) => wanted(name) && !heldBack(type).has(name))
        .map(({ name, version }) => [name, version])
        .sort(),
    );
  const clusters = of(clusterType, () => true);
  const listeners = of(listenerType, () => true);
  const named = new Set([...client.envoy.versions(listenerType).values()].flatMap((version) => version.split('!')[1]?.split(',') ?? []));
  const routes = of(routeType, (name) => named.has(name));
  return {
    clusters,
    endpoints: of(endpointType, (name) => client.envoy.versions(clusterType).has(name)),
    listeners,
    routes,
    hosts: of(virtualHostType, (name) => (name.split('/')[0] ?? '') in routes),
  };
}

function held(client: Client, type: TypeUrl): Record<string, string> {
  const back = new Set(client.stream?.types.get(type)?.heldBack ?? []);
  return Object.fromEntries([...client.envoy.versions(type)].filter(([name]) => !back.has(name)).sort());
}

function actual(client: Client): Record<string, Record<string, string>> {
  const view = new PartsView(client.parts);
  // Envoy keeps a table until no listener names it, and endpoints that became empty.
  const present = (type: TypeUrl, all: Record<string, string>) =>
    Object.fromEntries(Object.entries(all).filter(([name, version]) => version !== 'empty' || view.find(type, name) !== undefined));
  const routes = Object.fromEntries(Object.entries(held(client, routeType)).filter(([name]) => view.find(routeType, name) !== undefined));
  return {
    clusters: held(client, clusterType),
    endpoints: present(endpointType, held(client, endpointType)),
    listeners: held(client, listenerType),
    routes,
    hosts: Object.fromEntries(Object.entries(held(client, virtualHostType)).filter(([name]) => (name.split('/')[0] ?? '') in routes)),
  };
}

function settle(world: World, clients: readonly Client[]): void {
  for (let rounds = 0; rounds < 200; rounds++) {
    world.turn();
    let any = false;
    for (const client of clients) any = client.deliver(100) || any;
    world.turn();
    if (!any) {
      world.pass(20_000);
      if (!clients.some((client) => client.deliver(100))) return;
    }
  }
  throw new Error('the streams do not settle');
}

function run(seed: number, protocol: 'delta' | 'sotw', mayBeBad: boolean, steps: number): void {
  const random = randomOf(seed);
  const source = new FakeSource((who) => {
    const own = source.part(`in-${who.id}`);
    return [source.part('out'), own];
  });
  const world = new World(source, { limits: { maxUnackedBytes: random(2) === 0 ? 200 : 1 << 20 }, maxBytesInFlight: 4000 });
  for (const name of ['out', 'in-0', 'in-1', 'in-2', 'other']) source.part(name);
  const clients = [0, 1, 2].map((i) => new Client(world, String(i), protocol));
  for (const client of clients) client.connect();
  for (let step = 1; step <= steps; step++) {
    const parts = [...source.parts.values()];
    source.unsettle();
    for (let i = random(4); i >= 0; i--) edit(random(3) === 0 ? parts : [source.part('out')], random, step, mayBeBad);
    source.flush();
    world.turn();
    for (const client of clients) {
      switch (random(20)) {
        case 0:
          client.connect();
          break;
        case 1:
          client.slow = !client.slow;
          break;
        case 2: {
          const [subscription] = [...source.subscriptions].filter((open) => open.node.id === client.stream?.subscription.node.id);
          subscription?.changeParts(
            random(2) === 0 ? [source.part('other'), source.part('in-0')] : [source.part('out'), source.part('in-0')],
          );
          break;
        }
        default:
          client.deliver(random(4));
      }
    }
    if (random(10) === 0) world.pass(1000 * random(8));
    if (random(50) === 0) source.part('out').table(clusterType)?.forget();
    if (step % 10 !== 0) continue;
    settle(world, clients);
    for (const client of clients) {
      expect(client.envoy.violations, `seed ${seed} step ${step}`).toEqual([]);
      expect(actual(client), `seed ${seed} step ${step} client ${client.stream?.subscription.connectionId}`).toEqual(expected(client));
      expect([...client.envoy.warming].filter((name) => new PartsView(client.parts).find(endpointType, name) !== undefined)).toEqual([]);
    }
  }
}

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  'delta, seed %i: after random edits, reconnects and slow reads each client holds what its parts give',
  (seed) => {
    run(seed, 'delta', false, 150);
  },
);

test.each([11, 12, 13, 14, 15, 16, 17, 18])('delta with refusals, seed %i', (seed) => {
  run(seed, 'delta', true, 150);
});

test.each([21, 22, 23, 24])('state of the world, seed %i', (seed) => {
  run(seed, 'sotw', false, 150);
});
