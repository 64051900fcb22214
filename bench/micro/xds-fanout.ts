/**
 * What the streams cost without a network: 500 proxies with an inbound part each and one outbound part of 1,000 services.
 *
 *     npx node --expose-gc bench/micro/xds-fanout.ts [streams] [services]
 */
import { fromBinary } from '@bufbuild/protobuf';
import { DeltaDiscoveryResponseSchema } from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import { Hub } from '../../src/xds/hub.ts';
import { FakeEnvoy } from '../../src/xds/testing/fake-envoy.ts';
import { FakeSource } from '../../src/xds/testing/fake-source.ts';
import { clusterType, endpointType, listenerType, routeType, virtualHostType } from '../../src/wire/types.ts';
import type { DeltaRequest, DeltaStream } from '../../src/xds/delta-stream.ts';
import type { StreamObserver } from '../../src/xds/source.ts';
import type { Wire } from '../../src/xds/stream.ts';

const streams = Number(process.argv[2] ?? 500);
const services = Number(process.argv[3] ?? 1000);

const bytes = (size: number, seed: number) => Buffer.alloc(size, `${seed} `);
const source = new FakeSource((node) => [source.part('out'), source.part(`in-${node.id}`)]);
const out = source.part('out');
for (let i = 0; i < services; i++) {
  const name = `outbound|80||service-${i}.namespace-${i % 10}.svc.cluster.local`;
  out.put(clusterType, { name, version: '1', bytes: bytes(500, i) });
  out.put(endpointType, { name, version: '1', bytes: bytes(300, i) });
  out.put(virtualHostType, { name: `80/service-${i}`, version: '1', bytes: bytes(500, i) });
}
out.put(routeType, { name: '80', version: '1', bytes: bytes(50, 0), vhds: true });
out.put(listenerType, { name: 'l!80', version: '1', bytes: bytes(500, 0) });
for (let i = 0; i < streams; i++)
  source.part(`in-${i}`).put(listenerType, { name: 'virtualInbound', version: `${i}`, bytes: bytes(3000, i) });
source.flush();

const nothing = (): void => undefined;
const observer: StreamObserver = {
  connected: nothing,
  disconnected: nothing,
  refused: nothing,
  sent: nothing,
  acked: nothing,
  rejected: nothing,
};
const tasks: (() => void)[] = [];
const hub = new Hub({ source, observer, now: () => performance.now(), later: (task) => tasks.push(task) });

/** Time in the streams alone, in ms: what the model client does is left out. */
let spent = 0;
let sentBytes = 0;
const inbox: { readonly envoy: FakeEnvoy; readonly message: Uint8Array; readonly flushed: () => void }[] = [];
const timed = (task: () => void): void => {
  const from = performance.now();
  task();
  spent += performance.now() - from;
};

function connect(id: number): void {
  const state: { stream?: DeltaStream } = {};
  const envoy = new FakeEnvoy({
    send: (request) => timed(() => state.stream?.receive(request as DeltaRequest)),
    routesOf: ({ name }) => (name.startsWith('l!') ? ['80'] : []),
  });
  const wire: Wire = {
    write: (message, flushed) => {
      sentBytes += message.byteLength;
      // As grpc-js does: one copy into a frame.
      inbox.push({ envoy, message: message.toBytes(), flushed });
    },
    end: (code, details) => {
      if (code === 'UNAVAILABLE') return;
      throw new Error(`${code} ${details}`);
    },
  };
  const node = { id: `${id}`, cluster: '', metadata: {}, userAgentName: 'envoy', userAgentVersion: '1.40.0' };
  timed(() => {
    const stream = hub.openDelta(node, { address: '', secure: false }, wire);
    if ('refused' in stream) throw new Error(stream.refused);
    state.stream = stream;
  });
  envoy.connect();
}

function settle(): void {
  while (tasks.length + inbox.length > 0) {
    for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) timed(task);
    for (let next = inbox.shift(); next !== undefined; next = inbox.shift()) {
      const { envoy, message, flushed } = next;
      timed(flushed);
      envoy.receive(message);
    }
  }
}

function measure(what: string, change: () => void): void {
  spent = 0;
  sentBytes = 0;
  change();
  settle();
  const each = ((spent / streams) * 1000).toFixed(1).padStart(7);
  console.log(`${what.padEnd(28)} ${spent.toFixed(1).padStart(8)} ms ${each} us each ${(sentBytes / 1e6).toFixed(2).padStart(8)} MB`);
}

console.log(`${streams} streams, ${services} services`);
measure('connect one', () => connect(0));
measure('connect all others', () => {
  for (let i = 1; i < streams; i++) {
    connect(i);
    settle();
  }
});
for (let round = 0; round < 3; round++) {
  const version = `${2 + round}`;
  const name = 'outbound|80||service-7.namespace-7.svc.cluster.local';
  measure('one endpoint', () =>
    timed(() => {
      out.put(endpointType, { name, version, bytes: bytes(300, 2) });
      source.flush();
    }),
  );
  measure('one virtual host', () =>
    timed(() => {
      out.put(virtualHostType, { name: '80/service-7', version, bytes: bytes(500, 2) });
      source.flush();
    }),
  );
  measure('one cluster added', () =>
    timed(() => {
      const added = `outbound|80||added-${round}.namespace-1.svc.cluster.local`;
      out.put(clusterType, { name: added, version, bytes: bytes(500, 2) });
      out.put(endpointType, { name: added, version, bytes: bytes(300, 2) });
      out.put(virtualHostType, { name: `80/added-${round}`, version, bytes: bytes(500, 2) });
      source.flush();
    }),
  );
  measure('100 clusters changed', () =>
    timed(() => {
      for (let i = 0; i < 100; i++)
        out.put(clusterType, { name: `outbound|80||service-${i}.namespace-${i % 10}.svc.cluster.local`, version, bytes: bytes(500, i) });
      source.flush();
    }),
  );
}

/** Streams without a client model, connected and in sync: what one of them holds. */
const more = 2000;
const heap = (): number => {
  for (let i = 0; i < 3; i++) globalThis.gc?.();
  return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
};
const names = [...(out.table(endpointType)?.names() ?? [])];
heap();
const before = heap();
for (let i = 0; i < more; i++) {
  const sent: { readonly type: string; readonly nonce: string }[] = [];
  const wire: Wire = {
    write: (message, flushed) => {
      const { typeUrl, nonce } = fromBinary(DeltaDiscoveryResponseSchema, message.toBytes());
      sent.push({ type: typeUrl, nonce });
      tasks.push(flushed);
    },
    end: () => undefined,
  };
  const node = { id: '0', cluster: '', metadata: {}, userAgentName: 'envoy', userAgentVersion: '1.40.0' };
  const opened = hub.openDelta(node, { address: '', secure: false }, wire);
  if ('refused' in opened) throw new Error(opened.refused);
  const send = (type: string, subscribe: readonly string[], responseNonce = ''): void =>
    opened.receive({
      typeUrl: type,
      resourceNamesSubscribe: subscribe,
      resourceNamesUnsubscribe: [],
      initialResourceVersions: [],
      responseNonce,
    });
  for (const [type, subscribe] of [
    [clusterType, []],
    [endpointType, names.map((name) => Buffer.from(name).toString())],
    [listenerType, []],
    [routeType, ['80']],
    [virtualHostType, []],
  ] as const) {
    send(type, subscribe);
    for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) task();
    for (const response of sent.splice(0)) send(response.type, [], response.nonce);
  }
}
console.log(`one of ${more} more streams in sync holds ${((heap() - before) / more / 1000).toFixed(1)} KB`);
