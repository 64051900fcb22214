/** A discovery server that does only what a test tells it, over delta and SotW, and keeps all that Envoy says. */
import { create, toBinary } from '@bufbuild/protobuf';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryResponseSchema,
  type DiscoveryRequest,
  DiscoveryResponseSchema,
} from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import { Server, ServerCredentials, type ServerDuplexStream, status } from '@grpc/grpc-js';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadServices } from '../../../src/wire/services.ts';
import {
  clusterType,
  endpointType,
  extensionConfigType,
  listenerType,
  routeType,
  secretType,
  shortName,
  virtualHostType,
} from '../../../src/wire/types.ts';
import { encodeJson } from './proto.ts';
import { patienceMs, within } from './wait.ts';

export const types = {
  CDS: clusterType,
  EDS: endpointType,
  LDS: listenerType,
  RDS: routeType,
  VHDS: virtualHostType,
  SDS: secretType,
  ECDS: extensionConfigType,
} as const;

export type ResourceType = keyof typeof types;

/** One message from Envoy, delta or SotW. */
export interface AdsRequest {
  readonly type: string;
  /** Delta: newly subscribed names; SotW: all names. */
  readonly names: readonly string[];
  /** Delta only. */
  readonly unsubscribed: readonly string[];
  /** Empty unless it answers a response. */
  readonly nonce: string;
  /** Envoy's reason when it refuses. */
  readonly error: string | undefined;
  /** Delta: what it claims to hold, on the first message of a type on a stream. */
  readonly claims: Readonly<Record<string, string>>;
  /** SotW: the version that it has accepted last. */
  readonly version: string;
}

export interface Resource {
  readonly name: string;
  /** Absent: a resource without a body, which says that it does not exist. */
  readonly json?: unknown;
  readonly version?: string;
  readonly aliases?: readonly string[];
}

type Call = ServerDuplexStream<DeltaDiscoveryRequest, Uint8Array> | ServerDuplexStream<DiscoveryRequest, Uint8Array>;

interface Waiter {
  readonly matches: (request: AdsRequest) => boolean;
  readonly resolve: (request: AdsRequest) => void;
}

/** One stream from Envoy, from its connection to its end. */
export class AdsStream {
  readonly requests: AdsRequest[] = [];
  readonly authorization: string | undefined;
  readonly protocol: 'delta' | 'sotw';
  /** Node id of the first message. */
  nodeId = '';
  readonly #call: Call;
  readonly #waiters = new Set<Waiter>();
  #sent = 0;

  constructor(call: Call, protocol: 'delta' | 'sotw') {
    this.#call = call;
    this.protocol = protocol;
    this.authorization = call.metadata.get('authorization')[0]?.toString();
    call.on('error', () => undefined);
    call.on('data', (message: DeltaDiscoveryRequest | DiscoveryRequest) => {
      if (message.node !== undefined) this.nodeId = message.node.id;
      this.#received(
        message.$typeName === 'envoy.service.discovery.v3.DeltaDiscoveryRequest'
          ? {
              type: shortName(message.typeUrl),
              names: message.resourceNamesSubscribe,
              unsubscribed: message.resourceNamesUnsubscribe,
              nonce: message.responseNonce,
              error: message.errorDetail?.message,
              claims: message.initialResourceVersions,
              version: '',
            }
          : {
              type: shortName(message.typeUrl),
              names: message.resourceNames,
              unsubscribed: [],
              nonce: message.responseNonce,
              error: message.errorDetail?.message,
              claims: {},
              version: message.versionInfo,
            },
      );
    });
  }

  #received(request: AdsRequest): void {
    this.requests.push(request);
    for (const waiter of this.#waiters) {
      if (!waiter.matches(request)) continue;
      this.#waiters.delete(waiter);
      waiter.resolve(request);
    }
  }

  /** How many requests there have been: what comes from here on is `after(mark)`. */
  get mark(): number {
    return this.requests.length;
  }

  /** Requests of one type since a mark. */
  after(mark: number, type: ResourceType): AdsRequest[] {
    return this.requests.slice(mark).filter((request) => request.type === type);
  }

  /** The first request that matches, among those that have come since `mark` (all by default) and those that will. */
  request(what: string, matches: (request: AdsRequest) => boolean, mark = 0, limitMs = patienceMs): Promise<AdsRequest> {
    const found = this.requests.slice(mark).find(matches);
    if (found !== undefined) return Promise.resolve(found);
    const waiter = Promise.withResolvers<AdsRequest>();
    this.#waiters.add({ matches, resolve: waiter.resolve });
    return within(what, waiter.promise, limitMs).catch((fault: unknown) => {
      const seen = this.requests.map((r) => JSON.stringify(r)).join('\n');
      throw new Error(`${(fault as Error).message}; Envoy has sent:\n${seen}`, { cause: fault });
    });
  }

  /** The first request of a type that subscribes to `name` (to anything if absent). */
  subscription(type: ResourceType, name?: string, mark = 0): Promise<AdsRequest> {
    return this.request(
      `${type} subscription ${name ?? ''}`,
      (r) => r.type === type && r.error === undefined && (name === undefined || r.names.includes(name)),
      mark,
    );
  }

  /** Envoy's answer to a response: `error` says whether it was refused. */
  answer(nonce: string): Promise<AdsRequest> {
    return this.request(`answer to ${nonce}`, (r) => r.nonce === nonce);
  }

  answered(nonce: string): boolean {
    return this.requests.some((r) => r.nonce === nonce);
  }

  /** Sends a delta response, waits for nothing, and returns its nonce. */
  send(type: ResourceType, resources: readonly Resource[], removed: readonly string[] = []): string {
    const nonce = `${type}-${++this.#sent}`;
    const response = create(DeltaDiscoveryResponseSchema, {
      typeUrl: types[type],
      nonce,
      systemVersionInfo: String(this.#sent),
      removedResources: [...removed],
      resources: resources.map(({ name, json, version = '1', aliases = [] }) => ({
        name,
        version,
        aliases: [...aliases],
        ...(json === undefined ? {} : { resource: { typeUrl: types[type], value: encodeJson(types[type], json) } }),
      })),
    });
    this.#call.write(toBinary(DeltaDiscoveryResponseSchema, response));
    return nonce;
  }

  /** `send` and wait until Envoy has accepted it. */
  async accept(type: ResourceType, resources: readonly Resource[], removed: readonly string[] = []): Promise<AdsRequest> {
    const nonce = this.send(type, resources, removed);
    const answer = await this.answer(nonce);
    if (answer.error !== undefined) throw new Error(`${type} was refused: ${answer.error}`);
    return answer;
  }

  /** `send` and wait until Envoy has refused it. */
  async refuse(type: ResourceType, resources: readonly Resource[], removed: readonly string[] = []): Promise<string> {
    const answer = await this.answer(this.send(type, resources, removed));
    if (answer.error === undefined) throw new Error(`${type} was accepted`);
    return answer.error;
  }

  /** Sends a SotW response and returns its nonce. */
  sendState(type: ResourceType, version: string, resources: readonly unknown[]): string {
    const nonce = `${type}-${++this.#sent}`;
    const response = create(DiscoveryResponseSchema, {
      typeUrl: types[type],
      nonce,
      versionInfo: version,
      resources: resources.map((json) => ({ typeUrl: types[type], value: encodeJson(types[type], json) })),
    });
    this.#call.write(toBinary(DiscoveryResponseSchema, response));
    return nonce;
  }

  /** Ends the stream as a server that goes away does; Envoy comes again. */
  drop(): void {
    this.#call.emit('error', { code: status.UNAVAILABLE, details: 'the test ends this stream' });
  }
}

export class AdsServer implements AsyncDisposable {
  readonly #server: Server;
  readonly streams: AdsStream[] = [];
  readonly #waiting: ((stream: AdsStream) => void)[] = [];
  #taken = 0;
  readonly port: number;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async start(
    options: { readonly credentials?: ServerCredentials; readonly address?: string; readonly port?: number } = {},
  ): Promise<AdsServer> {
    const { credentials = ServerCredentials.createInsecure(), address = '127.0.0.1', port = 0 } = options;
    const server = new Server({ 'grpc.max_receive_message_length': 64 << 20 });
    const bound = await new Promise<number>((resolve, reject) => {
      server.bindAsync(`${address}:${port}`, credentials, (fault, actual) => (fault === null ? resolve(actual) : reject(fault)));
    });
    const ads = new AdsServer(server, bound);
    const services = loadServices(readFileSync(join(import.meta.dirname, '..', '..', '..', 'generated', 'services.binpb')));
    server.addService(services.aggregatedDiscovery, {
      DeltaAggregatedResources: (call: ServerDuplexStream<DeltaDiscoveryRequest, Uint8Array>) =>
        ads.#connected(new AdsStream(call, 'delta')),
      StreamAggregatedResources: (call: ServerDuplexStream<DiscoveryRequest, Uint8Array>) => ads.#connected(new AdsStream(call, 'sotw')),
    });
    return ads;
  }

  #connected(stream: AdsStream): void {
    this.streams.push(stream);
    const waiting = this.#waiting.shift();
    if (waiting === undefined) return;
    this.#taken++;
    waiting(stream);
  }

  /** The next stream that no earlier call has returned. */
  nextStream(limitMs = patienceMs): Promise<AdsStream> {
    const stream = this.streams[this.#taken];
    if (stream !== undefined) {
      this.#taken++;
      return Promise.resolve(stream);
    }
    const next = Promise.withResolvers<AdsStream>();
    this.#waiting.push(next.resolve);
    return within('a stream from Envoy', next.promise, limitMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
  }
}
