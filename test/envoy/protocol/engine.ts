/** The streams of mizzen over resources that a test sets by hand, for real Envoys. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Server, ServerCredentials } from '@grpc/grpc-js';
import { loadServices } from '../../../src/wire/services.ts';
import { routeType, shortName, virtualHostType } from '../../../src/wire/types.ts';
import { StreamAdmission } from '../../../src/xds/admission.ts';
import { Hub } from '../../../src/xds/hub.ts';
import { createGrpcServer, Listener } from '../../../src/xds/listener.ts';
import { DiscoveryService } from '../../../src/xds/server.ts';
import type { StreamObserver, StreamStatus } from '../../../src/xds/source.ts';
import { FakeSource } from '../../../src/xds/testing/fake-source.ts';
import { type Resource, type ResourceType, types } from '../harness/ads.ts';
import type { Envoy } from '../harness/envoy.ts';
import { encodeJson } from '../harness/proto.ts';
import { type ProxyOptions, startProxy } from '../harness/proxy.ts';
import { eventually, within } from '../harness/wait.ts';

const services = loadServices(readFileSync(join(import.meta.dirname, '..', '..', '..', 'generated', 'services.binpb')));

export type StreamEvent =
  | { readonly kind: 'connected' }
  | { readonly kind: 'disconnected'; readonly reason: string }
  | { readonly kind: 'sent'; readonly type: string; readonly resources: number; readonly removed: number }
  | { readonly kind: 'acked'; readonly type: string }
  | { readonly kind: 'rejected'; readonly type: string; readonly names: readonly string[]; readonly message: string };

/** Keeps what happens on the streams, and lets a test wait for it. */
class Recorder implements StreamObserver {
  readonly events: StreamEvent[] = [];
  readonly streams = new Set<StreamStatus>();
  readonly #waiters = new Set<() => void>();

  #add(event: StreamEvent): void {
    this.events.push(event);
    for (const check of this.#waiters) check();
  }

  /** The first event that matches, among those since `mark` and those to come. */
  async next(what: string, matches: (event: StreamEvent) => boolean, mark = 0): Promise<StreamEvent> {
    const { promise, resolve } = Promise.withResolvers<StreamEvent>();
    const check = (): void => {
      const found = this.events.slice(mark).find(matches);
      if (found !== undefined) resolve(found);
    };
    this.#waiters.add(check);
    check();
    try {
      return await within(what, promise);
    } catch (fault) {
      throw new Error(`${(fault as Error).message}; events:\n${this.events.map((e) => JSON.stringify(e)).join('\n')}`, { cause: fault });
    } finally {
      this.#waiters.delete(check);
    }
  }

  connected(stream: StreamStatus): void {
    this.streams.add(stream);
    this.#add({ kind: 'connected' });
  }

  disconnected(stream: StreamStatus, reason: string): void {
    this.streams.delete(stream);
    this.#add({ kind: 'disconnected', reason });
  }

  refused(_node: unknown, _caller: unknown, reason: string): void {
    this.#add({ kind: 'disconnected', reason });
  }

  sent(_stream: StreamStatus, type: string, _bytes: number, resources: number, removed: number): void {
    this.#add({ kind: 'sent', type: shortName(type), resources, removed });
  }

  acked(_stream: StreamStatus, type: string): void {
    this.#add({ kind: 'acked', type: shortName(type) });
  }

  rejected(_stream: StreamStatus, type: string, names: readonly string[], message: string): void {
    this.#add({ kind: 'rejected', type: shortName(type), names, message });
  }
}

/** Resources by type and name; several replicas may serve the same. */
export class Resources {
  readonly source = new FakeSource();

  constructor() {
    this.source.part('all');
  }

  /** Takes a resource as a scripted server would send it; its version is made of its bytes, as everywhere in mizzen. */
  put(type: ResourceType, ...resources: readonly Resource[]): this {
    for (const { name, json } of resources) {
      const kept = asKept(type, json);
      const bytes = encodeJson(types[type], kept.json);
      const version = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
      this.source.part('all').put(types[type], { name, version, bytes, ...(kept.vhds ? { vhds: true } : {}) });
    }
    return this;
  }

  /** As in responses: a scripted server can send what this one would. */
  version(type: ResourceType, name: string): string {
    const resource = this.source.part('all').table(types[type])?.get(name);
    if (resource === undefined) throw new Error(`no ${type} ${name}`);
    return resource.version;
  }

  remove(type: ResourceType, ...names: readonly string[]): this {
    for (const name of names) this.source.part('all').remove(types[type], name);
    return this;
  }

  /** Makes the changes visible. */
  flush(): void {
    this.source.flush();
  }
}

/** A VirtualHost is kept without its name, and a table with virtual hosts of its own without `vhds`. */
function asKept(type: ResourceType, json: unknown): { readonly json: unknown; readonly vhds: boolean } {
  if (types[type] === virtualHostType) {
    const { name: _, ...rest } = json as { readonly name: string };
    return { json: rest, vhds: false };
  }
  const { vhds, ...rest } = json as { readonly vhds?: object };
  return types[type] === routeType && vhds !== undefined ? { json: rest, vhds: true } : { json, vhds: false };
}

/** One replica of the control plane. */
export class Replica implements AsyncDisposable {
  readonly port: number;
  readonly recorder: Recorder;
  readonly #hub: Hub;
  readonly #server: Server;
  readonly #listener: Listener;
  readonly #ticks: NodeJS.Timeout;

  private constructor(hub: Hub, server: Server, listener: Listener, recorder: Recorder) {
    this.#hub = hub;
    this.#server = server;
    this.#listener = listener;
    this.recorder = recorder;
    this.port = listener.port;
    this.#ticks = setInterval(() => hub.tick(), 100);
  }

  static async start(resources: Resources, port = 0): Promise<Replica> {
    const recorder = new Recorder();
    const hub = new Hub({ source: resources.source, observer: recorder, now: () => performance.now(), later: setImmediate });
    const server = createGrpcServer();
    const { promise: listening, resolve } = Promise.withResolvers<Listener>();
    const service = new DiscoveryService({
      hub,
      observer: recorder,
      authenticate: ({ peer }) => Promise.resolve({ caller: { address: peer, secure: true } }),
      secure: true,
      admission: new StreamAdmission({ now: () => performance.now() }),
      breakConnection: (peer) => void listening.then((listener) => listener.breakConnection(peer)),
      closeConnection: (peer) => void listening.then((listener) => listener.closeConnection(peer)),
    });
    service.addTo(server, services.aggregatedDiscovery);
    const listener = await Listener.listen(server, { credentials: ServerCredentials.createInsecure(), host: '127.0.0.1', port });
    resolve(listener);
    return new Replica(hub, server, listener, recorder);
  }

  get events(): readonly StreamEvent[] {
    return this.recorder.events;
  }

  /** The responses since `mark` that carried resources or removals. */
  carried(mark = 0): StreamEvent[] {
    return this.events.slice(mark).filter((e) => e.kind === 'sent' && e.resources + e.removed > 0);
  }

  get rejected(): StreamEvent[] {
    return this.events.filter((e) => e.kind === 'rejected');
  }

  /** Breaks every connection, as a network does. */
  cut(): void {
    for (const stream of this.recorder.streams) this.#listener.breakConnection(stream.caller.address);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#ticks);
    this.#hub.close();
    await this.#listener.close(0);
    this.#server.forceShutdown();
  }
}

/** Resources, one replica that serves them, and a real Envoy. */
export class Served implements AsyncDisposable {
  readonly resources: Resources;
  readonly envoy: Envoy;
  replica: Replica;

  private constructor(resources: Resources, replica: Replica, envoy: Envoy) {
    this.resources = resources;
    this.replica = replica;
    this.envoy = envoy;
  }

  /** Serves an Envoy that was connected to something else on `port` before. */
  static async takeOver(resources: Resources, envoy: Envoy, port: number): Promise<Served> {
    resources.flush();
    return new Served(resources, await Replica.start(resources, port), envoy);
  }

  static async start(resources: Resources, options: Omit<ProxyOptions, 'port'> = {}): Promise<Served> {
    resources.flush();
    const replica = await Replica.start(resources);
    try {
      return new Served(resources, replica, await startProxy({ ...options, port: replica.port }));
    } catch (fault) {
      await replica[Symbol.asyncDispose]();
      throw fault;
    }
  }

  /** Cuts the stream and waits for the next one; `meanwhile` runs while nothing is connected. */
  async reconnect(meanwhile: () => void = () => undefined): Promise<number> {
    const mark = this.replica.events.length;
    this.replica.cut();
    await this.replica.recorder.next('the end of the stream', (e) => e.kind === 'disconnected', mark);
    meanwhile();
    await this.replica.recorder.next('the next stream', (e) => e.kind === 'connected', mark);
    return mark;
  }

  /** Stops the replica and starts another one that knows nothing of Envoy, on the same port. */
  async replace(): Promise<void> {
    const { port } = this.replica;
    await this.replica[Symbol.asyncDispose]();
    this.replica = await Replica.start(this.resources, port);
  }

  /** Waits until Envoy has accepted everything of these types: nothing is on its way any more. */
  async synced(...wanted: readonly ResourceType[]): Promise<void> {
    await eventually(`${wanted.join(', ')} in sync`, async () =>
      [...this.replica.recorder.streams].some((stream) => wanted.every((type) => stream.types.get(types[type])?.state === 'SYNCED')),
    ).catch((fault: unknown) => {
      throw new Error(`${(fault as Error).message}; events:\n${this.replica.events.map((e) => JSON.stringify(e)).join('\n')}`, {
        cause: fault,
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.envoy.stop();
    await this.replica[Symbol.asyncDispose]();
  }
}
