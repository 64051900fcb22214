/** A simulated proxy over a real gRPC connection: it acknowledges whatever comes, until it is told to refuse. */
import { create, fromBinary, type JsonObject } from '@bufbuild/protobuf';
import { credentials, makeGenericClientConstructor, type ClientDuplexStream } from '@grpc/grpc-js';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
} from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import { readServices } from '../../src/discovery/descriptors.ts';
import { clusterType, listenerType, type TypeUrl } from '../../src/wire/types.ts';

const Client = makeGenericClientConstructor(readServices().aggregatedDiscovery, 'ads');

type DeltaCall = ClientDuplexStream<DeltaDiscoveryRequest, Uint8Array>;

export class DeltaProxy implements Disposable {
  readonly #client: InstanceType<typeof Client>;
  readonly #stream: DeltaCall;
  readonly #refusals = new Map<string, { readonly code: number; readonly message: string }>();

  /** Follows all clusters and listeners of a plaintext port. */
  constructor(address: string, node: { readonly id: string; readonly metadata: JsonObject }) {
    this.#client = new Client(address, credentials.createInsecure());
    this.#stream = this.#client['DeltaAggregatedResources']?.() as unknown as DeltaCall;
    // The server ends the stream when it stops, which is no fault of the test's.
    this.#stream.on('error', () => undefined);
    this.#stream.on('data', (bytes: Uint8Array) => this.#answer(fromBinary(DeltaDiscoveryResponseSchema, bytes)));
    this.#send({ typeUrl: clusterType, node });
    this.#send({ typeUrl: listenerType });
  }

  /** Asks for these resources of a type too; of virtual hosts for those of the tables that it has. */
  ask(typeUrl: TypeUrl, ...resourceNamesSubscribe: readonly string[]): void {
    this.#send({ typeUrl, resourceNamesSubscribe: [...resourceNamesSubscribe] });
  }

  /** From now on every response of the type, with gRPC's code of the refusal. */
  refuse(type: TypeUrl, code: number, message: string): void {
    this.#refusals.set(type, { code, message });
  }

  accept(type: TypeUrl): void {
    this.#refusals.delete(type);
  }

  #answer({ typeUrl, nonce }: DeltaDiscoveryResponse): void {
    const errorDetail = this.#refusals.get(typeUrl);
    this.#send({ typeUrl, responseNonce: nonce, ...(errorDetail !== undefined && { errorDetail }) });
  }

  #send(request: Parameters<typeof create<typeof DeltaDiscoveryRequestSchema>>[1]): void {
    this.#stream.write(create(DeltaDiscoveryRequestSchema, request));
  }

  [Symbol.dispose](): void {
    this.#stream.cancel();
    this.#client.close();
  }
}
