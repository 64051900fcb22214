/** Proxies without an Envoy, as far as replicas count them: delta streams that follow the clusters, acknowledge everything and come back as Envoy does. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, fromBinary } from '@bufbuild/protobuf';
import { credentials, makeGenericClientConstructor, Metadata, type ClientDuplexStream } from '@grpc/grpc-js';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  type DeltaDiscoveryRequest,
} from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import { loadServices } from '../../../src/wire/services.ts';
import { clusterType } from '../../../src/wire/types.ts';

const services = loadServices(readFileSync(join(import.meta.dirname, '..', '..', '..', 'generated', 'services.binpb')));
const Client = makeGenericClientConstructor(services.aggregatedDiscovery, 'ads');

/** Envoy waits a random time up to this, doubled with each failure in a row. */
const backoffMs = 500;
const maxBackoffMs = 30_000;

export interface StreamsOptions {
  /** Of a plaintext port. */
  readonly address: string;
  readonly count: number;
  readonly namespace: string;
}

export class Streams implements Disposable {
  readonly #proxies: Proxy[];

  constructor({ address, count, namespace }: StreamsOptions) {
    this.#proxies = Array.from(
      { length: count },
      (_, n) => new Proxy(address, `sidecar~10.1.${n >> 8}.${n & 255}~held-${n}.${namespace}~${namespace}.svc.cluster.local`),
    );
  }

  /** Those with an open stream on which an answer has come. */
  get synced(): number {
    return this.#proxies.filter(({ synced }) => synced).length;
  }

  /** Status codes with which streams were ended, and how often. */
  get ends(): Record<string, number> {
    const ends: Record<string, number> = {};
    for (const { ended } of this.#proxies) for (const [code, times] of ended) ends[code] = (ends[code] ?? 0) + times;
    return ends;
  }

  [Symbol.dispose](): void {
    for (const proxy of this.#proxies) proxy.close();
  }
}

class Proxy {
  readonly #address: string;
  readonly #node: string;
  readonly ended = new Map<number, number>();
  #client: InstanceType<typeof Client> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #failures = 0;
  synced = false;

  constructor(address: string, node: string) {
    this.#address = address;
    this.#node = node;
    this.#open();
  }

  #open(): void {
    // A channel of its own, without grpc-js's sharing of connections and its own way to try again.
    this.#client = new Client(this.#address, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
      'grpc.max_receive_message_length': -1,
    });
    const open = this.#client['DeltaAggregatedResources'] as unknown as (
      metadata: Metadata,
    ) => ClientDuplexStream<DeltaDiscoveryRequest, Uint8Array>;
    const call = open.call(this.#client, new Metadata());
    call.on('error', () => undefined);
    call.on('data', (message: Uint8Array) => {
      this.synced = true;
      this.#failures = 0;
      const { typeUrl, nonce } = fromBinary(DeltaDiscoveryResponseSchema, message);
      call.write(create(DeltaDiscoveryRequestSchema, { typeUrl, responseNonce: nonce }));
    });
    call.on('status', ({ code }: { readonly code: number }) => {
      this.ended.set(code, (this.ended.get(code) ?? 0) + 1);
      this.synced = false;
      this.#client?.close();
      if (this.#closed) return;
      const limitMs = Math.min(maxBackoffMs, backoffMs * 2 ** this.#failures++);
      this.#timer = setTimeout(() => this.#open(), Math.random() * limitMs);
    });
    call.write(create(DeltaDiscoveryRequestSchema, { node: { id: this.#node }, typeUrl: clusterType }));
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#client?.close();
  }
}
