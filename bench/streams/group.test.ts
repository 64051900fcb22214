import { create, toBinary } from '@bufbuild/protobuf';
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { afterEach, expect, onTestFinished, test, vi } from 'vitest';
import { Cluster_DiscoveryType, ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { DeltaDiscoveryResponseSchema, type DeltaDiscoveryRequest } from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import { readServices } from '../../src/discovery/descriptors.ts';
import { simulatedProxies } from '../workload/mesh.ts';
import { nodeOf } from '../workload/node.ts';
import { receivedBetween } from '../report/result.ts';
import { nowMs } from './clock.ts';
import type { Totals, WatchCommand } from './messages.ts';
import { ProxyGroup } from './group.ts';
import * as types from './types.ts';

type Call = ServerDuplexStream<DeltaDiscoveryRequest, Uint8Array>;

function response(typeUrl: string, nonce: string, resources: Record<string, Uint8Array>): Uint8Array {
  return toBinary(
    DeltaDiscoveryResponseSchema,
    create(DeltaDiscoveryResponseSchema, {
      typeUrl,
      nonce,
      resources: Object.entries(resources).map(([name, value]) => ({ name, version: '1', resource: { typeUrl, value } })),
    }),
  );
}

function cluster(altStatName: string): Uint8Array {
  const clusterDiscoveryType = { case: 'type' as const, value: Cluster_DiscoveryType.EDS };
  return toBinary(ClusterSchema, create(ClusterSchema, { name: 'a', altStatName, clusterDiscoveryType }));
}

/** A control plane of three responses. Keeps the calls, and counts the acknowledgements. */
class ScriptedServer {
  readonly calls: Call[] = [];
  readonly tokens = new Set<string>();
  /** So many streams are refused before one is served. */
  refusals = 0;
  /** The code of that. */
  refusalCode = 8;
  #acknowledged = 0;
  #onAcknowledged: () => void = () => {};
  readonly #server = new Server();

  async listen(): Promise<string> {
    this.#server.addService(readServices().aggregatedDiscovery, {
      StreamAggregatedResources: (call: Call) => call.end(),
      DeltaAggregatedResources: (call: Call) => {
        if (this.refusals-- > 0) {
          call.emit('error', Object.assign(new Error('later'), { code: this.refusalCode, details: 'too many new streams' }));
          return;
        }
        this.calls.push(call);
        this.tokens.add(String(call.metadata.get('authorization')[0]));
        call.on('data', (request: DeltaDiscoveryRequest) => this.#answer(call, request));
        call.on('error', () => undefined);
        call.on('end', () => call.end());
      },
    });
    const port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    return `127.0.0.1:${port}`;
  }

  #answer(call: Call, { typeUrl, responseNonce }: DeltaDiscoveryRequest): void {
    if (responseNonce !== '') {
      this.#acknowledged++;
      this.#onAcknowledged();
    } else if (typeUrl === types.clusters) call.write(response(typeUrl, 'c', { a: cluster('') }));
    else if (typeUrl === types.endpoints) call.write(response(typeUrl, 'e', { a: Buffer.from('') }));
    else call.write(response(typeUrl, 'l', {}));
  }

  /** Resolves when so many responses have been acknowledged. */
  acknowledgements(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#onAcknowledged = () => {
        if (this.#acknowledged === count) resolve();
      };
      this.#onAcknowledged();
    });
  }

  close(): void {
    this.#server.forceShutdown();
  }
}

let server = new ScriptedServer();
const group = new ProxyGroup();
afterEach(() => {
  group.close();
  server.close();
});

const limitMs = 5000;

function plans(count: number, address: string) {
  const proxies = simulatedProxies({ services: 10, virtualServices: 0, proxies: count, layout: 'default' });
  return proxies.map((proxy) => ({ node: nodeOf(proxy), address, protocol: 'delta' as const, token: 'a.b.c' }));
}

function watching(text: string, concerns: readonly boolean[]): WatchCommand {
  return { do: 'watch', id: 1, mark: { kind: 'text', types: [types.endpoints], text }, concerns };
}

test('streams get in sync, and the time of a change is that of its text in the type that is watched', async () => {
  server = new ScriptedServer();
  const address = await server.listen();
  const { tookMs } = await group.connect({ do: 'connect', proxies: plans(3, address), keepVersions: false, limitMs });
  expect(tookMs).toHaveLength(3);
  expect(Math.min(...tookMs)).toBeGreaterThan(0);
  expect([...server.tokens]).toEqual(['Bearer a.b.c']);
  const before = structuredClone(await group.settle({ do: 'settle', quietMs: 20 }));
  const traffic = ({ received }: Totals) => [...received].map(([type, { messages }]) => [type, messages]);
  expect(traffic(before)).toEqual([
    [types.clusters, 3],
    [types.endpoints, 3],
    [types.listeners, 3],
  ]);
  await server.acknowledgements(9);

  group.watch(watching('10.9.8.7', [true, true, true]));
  const changedMs = nowMs();
  for (const call of server.calls) {
    call.write(response(types.clusters, 'c2', { a: cluster('10.9.8.7') }));
    call.write(response(types.endpoints, 'e2', { a: Buffer.from('') }));
    call.write(response(types.endpoints, 'e3', { a: Buffer.from([0x0a, 8, ...Buffer.from('10.9.8.7')]) }));
  }
  const { receivedMs } = await group.await({ do: 'await', id: 1, limitMs });
  expect(receivedMs.filter((at) => at > changedMs)).toHaveLength(3);
  const after = await group.settle({ do: 'settle', quietMs: 20 });
  expect(receivedBetween(before.received, after.received)).toMatchObject({
    messages: 9,
    byType: { Cluster: { messages: 3 }, ClusterLoadAssignment: { messages: 6 } },
  });
});

test('a server that ends a stream fails the wait, with what it said', async () => {
  server = new ScriptedServer();
  const address = await server.listen();
  await group.connect({ do: 'connect', proxies: plans(2, address), keepVersions: false, limitMs });
  group.watch(watching('never', [true, true]));
  const waiting = group.await({ do: 'await', id: 1, limitMs });
  const [call] = server.calls;
  call?.emit('error', Object.assign(new Error('full'), { code: 8, details: 'there are too many streams' }));
  await expect(waiting).rejects.toThrow('gRPC status 8: there are too many streams');
});

test('a stream that is refused for the moment is opened again, as Envoy does, and that is told', async () => {
  server = new ScriptedServer();
  server.refusals = 2;
  const address = await server.listen();
  const { tookMs, refused } = await group.connect({ do: 'connect', proxies: plans(3, address), keepVersions: false, limitMs });
  expect(tookMs.filter((ms) => ms > 0)).toHaveLength(3);
  expect(refused).toBe(2);
  expect(server.calls).toHaveLength(3);
});

test('a stream that is refused for good is not', async () => {
  server = new ScriptedServer();
  server.refusals = 1;
  server.refusalCode = 16;
  const address = await server.listen();
  await expect(group.connect({ do: 'connect', proxies: plans(1, address), keepVersions: false, limitMs })).rejects.toThrow(
    'gRPC status 16: too many new streams',
  );
});

test('proxies that are closed while they wait to try again do not', async () => {
  // They wait for 10, 20, 40, 80 and 160 ms.
  vi.spyOn(Math, 'random').mockReturnValue(0.02);
  onTestFinished(() => void vi.restoreAllMocks());
  server = new ScriptedServer();
  const many = 1000;
  server.refusals = many;
  const address = await server.listen();
  const { tookMs, refused } = await group.connect({ do: 'connect', proxies: plans(1, address), keepVersions: false, limitMs: 100 });
  expect(tookMs).toEqual([Number.NaN]);
  expect(refused).toBeGreaterThan(1);
  group.close();
  const { refusals } = server;
  await group.settle({ do: 'settle', quietMs: 250 });
  expect(server.refusals).toBe(refusals);
});

test('what does not come is missed after the limit; whom it does not concern is not waited for', async () => {
  server = new ScriptedServer();
  const address = await server.listen();
  await group.connect({ do: 'connect', proxies: plans(3, address), keepVersions: false, limitMs });
  group.watch(watching('10.9.8.7', [true, true, false]));
  server.calls[0]?.write(response(types.endpoints, 'e3', { a: Buffer.from([0x0a, 8, ...Buffer.from('10.9.8.7')]) }));
  const { receivedMs } = await group.await({ do: 'await', id: 1, limitMs: 300 });
  expect(receivedMs).toHaveLength(2);
  expect(receivedMs.filter((at) => Number.isNaN(at))).toHaveLength(1);
});

test('proxies restart one after the other, and reconnect together', async () => {
  server = new ScriptedServer();
  const address = await server.listen();
  await group.connect({ do: 'connect', proxies: plans(3, address), keepVersions: true, limitMs });
  const { tookMs } = await group.restart({ do: 'restart', overMs: 30, limitMs });
  expect(tookMs.filter((ms) => ms > 0)).toHaveLength(3);
  expect(server.calls).toHaveLength(6);
  const again = await group.reconnect({ do: 'reconnect', share: 0.5, limitMs });
  expect(again.tookMs).toHaveLength(2);
  expect(server.calls).toHaveLength(8);
});
