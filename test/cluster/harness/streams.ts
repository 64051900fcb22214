/** Proxies without an Envoy: delta streams that ask for clusters, their endpoints and listeners, acknowledge everything and come back as Envoy does. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, fromBinary } from '@bufbuild/protobuf';
import { type ChannelCredentials, type ClientDuplexStream, credentials, makeGenericClientConstructor, Metadata } from '@grpc/grpc-js';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import { loadServices } from '../../../src/wire/services.ts';
import { clusterType, endpointType, listenerType } from '../../../src/wire/types.ts';

const services = loadServices(readFileSync(join(import.meta.dirname, '..', '..', '..', 'generated', 'services.binpb')));
const Client = makeGenericClientConstructor(services.aggregatedDiscovery, 'ads');

/** Envoy waits a random time up to this, doubled with each failure in a row. */
const backoffMs = 500;
const maxBackoffMs = 30_000;

export interface StreamsOptions {
  /** `host:port`. */
  readonly address: string;
  readonly count: number;
  readonly namespace: string;
  /** Of a TLS port: roots in PEM, and the token of a service account that all of them show. Default: a plaintext port. */
  readonly tls?: {
    readonly roots: string;
    readonly token: string;
    readonly serviceAccount: string;
    /** The pod that all of them claim to be in; default: each one in another. */
    readonly pod?: string;
  };
}

export class Streams implements Disposable {
  readonly #proxies: readonly Proxy[];

  constructor(options: StreamsOptions) {
    this.#proxies = Array.from({ length: options.count }, (_, n) => new Proxy(options, n));
  }

  /** Those with an open stream whose endpoints have come. */
  get synced(): number {
    return this.#proxies.filter(({ synced }) => synced).length;
  }

  /** Status codes with which streams were ended, and how often. */
  get ends(): Readonly<Record<string, number>> {
    const ends: Record<string, number> = {};
    for (const { ended } of this.#proxies) for (const [code, times] of ended) ends[code] = (ends[code] ?? 0) + times;
    return ends;
  }

  /** What the server said when it ended streams. */
  get reasons(): ReadonlySet<string> {
    return new Set(this.#proxies.flatMap(({ reasons }) => [...reasons]));
  }

  /** Breaks all connections; all come back at the same moment. */
  storm(): void {
    for (const proxy of this.#proxies) proxy.reconnect();
  }

  [Symbol.dispose](): void {
    for (const proxy of this.#proxies) proxy.close();
  }
}

class Proxy {
  readonly #options: StreamsOptions;
  readonly #node: NonNullable<Parameters<typeof create<typeof DeltaDiscoveryRequestSchema>>[1]>['node'];
  readonly ended = new Map<number, number>();
  readonly reasons = new Set<string>();
  #client: InstanceType<typeof Client> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #failures = 0;
  synced = false;

  constructor(options: StreamsOptions, n: number) {
    this.#options = options;
    const { namespace, tls } = options;
    const metadata = { NAMESPACE: namespace, ...(tls !== undefined && { SERVICE_ACCOUNT: tls.serviceAccount }) };
    this.#node = {
      id: `sidecar~10.1.${n >> 8}.${n & 255}~${tls?.pod ?? `held-${n}`}.${namespace}~${namespace}.svc.cluster.local`,
      metadata,
    };
    this.#open();
  }

  #open(): void {
    const { address, tls } = this.#options;
    // A channel of its own, without grpc-js's sharing of connections and its own way to try again.
    const client = new Client(address, tls === undefined ? credentials.createInsecure() : secured(tls), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
      'grpc.max_receive_message_length': -1,
      ...(tls !== undefined && { 'grpc.ssl_target_name_override': 'istiod.istio-system.svc' }),
    });
    this.#client = client;
    const metadata = new Metadata();
    if (tls !== undefined) metadata.set('authorization', `Bearer ${tls.token}`);
    const open = client['DeltaAggregatedResources'] as unknown as (
      given: Metadata,
    ) => ClientDuplexStream<DeltaDiscoveryRequest, Uint8Array>;
    const call = open.call(client, metadata);
    const send = (request: Parameters<typeof create<typeof DeltaDiscoveryRequestSchema>>[1]): void => {
      call.write(create(DeltaDiscoveryRequestSchema, request));
    };
    let asked = false;
    call.on('error', () => undefined);
    call.on('data', (message: Uint8Array) => {
      this.#failures = 0;
      const { typeUrl, nonce, resources } = fromBinary(DeltaDiscoveryResponseSchema, message);
      send({ typeUrl, responseNonce: nonce });
      if (typeUrl === endpointType) this.synced = true;
      if (typeUrl !== clusterType || asked) return;
      asked = true;
      const outbound = resources.map(({ name }) => name).filter((name) => name.startsWith('outbound|'));
      send({ typeUrl: endpointType, resourceNamesSubscribe: outbound });
      send({ typeUrl: listenerType });
    });
    call.on('status', ({ code, details }: { readonly code: number; readonly details: string }) => {
      if (this.#client !== client) return;
      this.reasons.add(details);
      this.ended.set(code, (this.ended.get(code) ?? 0) + 1);
      this.synced = false;
      client.close();
      if (this.#closed) return;
      const limitMs = Math.min(maxBackoffMs, backoffMs * 2 ** this.#failures++);
      this.#timer = setTimeout(() => this.#open(), Math.random() * limitMs);
    });
    send({ node: this.#node, typeUrl: clusterType });
  }

  reconnect(): void {
    this.#end();
    this.synced = false;
    this.#open();
  }

  close(): void {
    this.#closed = true;
    this.#end();
  }

  #end(): void {
    clearTimeout(this.#timer);
    const client = this.#client;
    this.#client = undefined;
    client?.close();
  }
}

function secured({ roots }: NonNullable<StreamsOptions['tls']>): ChannelCredentials {
  return credentials.createSsl(Buffer.from(roots));
}
