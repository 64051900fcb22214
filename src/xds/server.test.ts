import { readFileSync } from 'node:fs';
import { connect } from 'node:http2';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  credentials,
  makeGenericClientConstructor,
  Metadata,
  ServerCredentials,
  type ClientDuplexStream,
  type Server,
} from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
  type DeltaDiscoveryRequest,
  type DiscoveryRequest,
} from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import { loadServices } from '../wire/services.ts';
import { shortName } from '../wire/types.ts';
import { StreamAdmission, type Closed } from './admission.ts';
import { Hub } from './hub.ts';
import { createGrpcServer, Listener } from './listener.ts';
import { DiscoveryService, type Authenticate } from './server.ts';
import { FakeSource } from './testing/fake-source.ts';
import { TestObserver, typeOf } from './testing/harness.ts';

const services = loadServices(readFileSync(new URL('../../generated/services.binpb', import.meta.url)));
const Client = makeGenericClientConstructor(services.aggregatedDiscovery, 'ads');

let source: FakeSource;
let observer: TestObserver;
let hub: Hub;
let server: Server;
let listener: Listener;
let authenticate: Authenticate;
let broken = 0;
let receivedBytes = 0;
let admission: StreamAdmission;
let closed: Closed | undefined;
let accepting = true;
const faults: unknown[] = [];
const clients: InstanceType<typeof Client>[] = [];

beforeEach(async () => {
  authenticate = ({ peer }) => Promise.resolve({ caller: { address: peer, secure: false } });
  source = new FakeSource((node) => {
    if (node.id === 'liar') return { refused: 'not who you say' };
    if (node.id === 'cannot be opened') throw new Error('opening');
    return node.id === 'cannot be served' ? [source.part('unreadable')] : [source.part('a')];
  });
  vi.spyOn(source.part('unreadable'), 'table').mockImplementation(() => {
    throw new Error('reading');
  });
  source.part('a').set(typeOf('CDS'), 'c', '1');
  source.flush();
  observer = new TestObserver();
  hub = new Hub({
    source,
    observer,
    now: () => performance.now(),
    later: setImmediate,
    limits: { stallMs: 50 },
    onFault: (error) => faults.push(error),
  });
  server = createGrpcServer();
  broken = 0;
  closed = undefined;
  admission = new StreamAdmission({ now: () => performance.now(), maxStreams: 3, closed: () => closed });
  const service = new DiscoveryService({
    hub,
    observer,
    authenticate: (call) => authenticate(call),
    secure: false,
    firstRequestMs: 50,
    admission,
    endGraceMs: 50,
    breakConnection: (peer) => {
      broken++;
      listener.breakConnection(peer);
    },
    closeConnection: (peer) => listener.closeConnection(peer),
  });
  receivedBytes = 0;
  service.addTo(server, services.aggregatedDiscovery, (bytes) => (receivedBytes += bytes));
  accepting = true;
  const credentials = ServerCredentials.createInsecure();
  listener = await Listener.listen(server, { credentials, host: '127.0.0.1', port: 0, accepts: () => accepting });
});

afterEach(async () => {
  hub.close();
  for (const client of clients.splice(0)) client.close();
  await listener.close(100);
  server.forceShutdown();
});

function open<Q>(method: 'DeltaAggregatedResources' | 'StreamAggregatedResources'): ClientDuplexStream<Q, Uint8Array> {
  const client = new Client(`127.0.0.1:${listener.port}`, credentials.createInsecure(), { 'grpc.max_receive_message_length': -1 });
  clients.push(client);
  const call = (client[method] as unknown as (metadata: Metadata) => ClientDuplexStream<Q, Uint8Array>).call(client, new Metadata());
  call.on('error', () => undefined);
  return call;
}

function next(call: ClientDuplexStream<never, Uint8Array> | ClientDuplexStream<DeltaDiscoveryRequest, Uint8Array>): Promise<Uint8Array> {
  return new Promise((resolve) => call.once('data', resolve));
}

function statusOf(call: { once(event: 'status', handler: (status: { code: number; details: string }) => void): unknown }): Promise<string> {
  return new Promise((resolve) => call.once('status', ({ code, details }) => resolve(`${code} ${details}`)));
}

function until(condition: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const poll = (): void => void (condition() ? resolve() : setTimeout(poll, 5));
    poll();
  });
}

const cds = () => create(DeltaDiscoveryRequestSchema, { node: { id: 'n' }, typeUrl: typeOf('CDS') });

test('delta: a change arrives', async () => {
  const call = open<DeltaDiscoveryRequest>('DeltaAggregatedResources');
  call.write(cds());
  const first = fromBinary(DeltaDiscoveryResponseSchema, await next(call));
  expect(first.resources.map((resource) => [resource.name, resource.version, new TextDecoder().decode(resource.resource?.value)])).toEqual([
    ['c', '1', '1'],
  ]);
  call.write(create(DeltaDiscoveryRequestSchema, { typeUrl: typeOf('CDS'), responseNonce: first.nonce }));
  source.part('a').set(typeOf('CDS'), 'c', '2');
  source.flush();
  expect(fromBinary(DeltaDiscoveryResponseSchema, await next(call)).resources[0]?.version).toBe('2');
  expect(observer.events).toEqual(['connected n-1', `acked CDS ${first.nonce}`].slice(0, observer.events.length));
  call.end();
  expect(await statusOf(call)).toBe('0 OK');
  expect(hub.streams.size).toBe(0);
});

test('state of the world', async () => {
  const call = open<DiscoveryRequest>('StreamAggregatedResources');
  call.write(create(DiscoveryRequestSchema, { node: { id: 'n' }, typeUrl: typeOf('CDS') }));
  const first = fromBinary(DiscoveryResponseSchema, await next(call as ClientDuplexStream<never, Uint8Array>));
  expect(first.resources.map((resource) => new TextDecoder().decode(resource.value))).toEqual(['1']);
});

test('a stream without a request is ended', async () => {
  expect(await statusOf(open('DeltaAggregatedResources'))).toBe('4 no request within 50 ms');
});

test('a node without an id, a claim that is not believed, and credentials that prove nothing', async () => {
  const anonymous = open<DeltaDiscoveryRequest>('DeltaAggregatedResources');
  anonymous.write(create(DeltaDiscoveryRequestSchema, { node: {}, typeUrl: typeOf('CDS') }));
  expect(await statusOf(anonymous)).toBe('3 node.id is empty');
  const liar = open<DeltaDiscoveryRequest>('DeltaAggregatedResources');
  liar.write(create(DeltaDiscoveryRequestSchema, { node: { id: 'liar' }, typeUrl: typeOf('CDS') }));
  expect(await statusOf(liar)).toBe('7 not who you say');
  authenticate = () => Promise.resolve({ refused: 'no token' });
  expect(await statusOf(open('DeltaAggregatedResources'))).toBe('16 no token');
  expect(observer.events).toEqual(['refused node.id is empty', 'refused not who you say', 'refused no token']);
});

test('a fault of ours ends its own stream and no other', async () => {
  const other = open<DeltaDiscoveryRequest>('DeltaAggregatedResources');
  other.write(cds());
  await next(other);
  const sick = (id: string, typeUrl: string): Promise<string> => {
    const call = open<DeltaDiscoveryRequest>('DeltaAggregatedResources');
    call.write(create(DeltaDiscoveryRequestSchema, { node: { id }, typeUrl }));
    return statusOf(call);
  };
  expect(await sick('cannot be opened', typeOf('CDS'))).toBe('13 a fault of the control plane, see its log');
  expect(await sick('cannot be served', typeOf('CDS'))).toBe('13 a fault of the control plane, see its log');
  expect(faults.splice(0).map(String)).toEqual(['Error: opening', 'Error: reading']);
  source.part('a').set(typeOf('CDS'), 'c', '2');
  source.flush();
  expect(fromBinary(DeltaDiscoveryResponseSchema, await next(other)).resources[0]?.version).toBe('2');
  expect(hub.streams.size).toBe(1);
});

test('too many streams', async () => {
  const calls = [1, 2, 3].map(() => open<DeltaDiscoveryRequest>('DeltaAggregatedResources'));
  for (const call of calls) call.write(cds());
  await Promise.all(calls.map(next));
  expect(await statusOf(open('DeltaAggregatedResources'))).toBe('8 there are 3 streams already');
  calls[0]?.cancel();
  await until(() => hub.streams.size === 2);
  const another = open<DeltaDiscoveryRequest>('DeltaAggregatedResources');
  another.write(cds());
  expect((await next(another)).byteLength).toBeGreaterThan(0);
});

/** Streams of one connection, which a client that is no Envoy may have several of. */
function onOneConnection(): {
  /** Nothing more may begin. */
  readonly away: Promise<void>;
  readonly closed: Promise<void>;
  open(): { readonly status: Promise<string>; readonly answered: Promise<void> };
} {
  const session = connect(`http://127.0.0.1:${listener.port}`);
  session.on('error', () => undefined);
  const { path, requestSerialize } = services.aggregatedDiscovery.DeltaAggregatedResources;
  return {
    away: new Promise((resolve) => session.once('goaway', () => resolve())),
    closed: new Promise((resolve) => session.once('close', resolve)),
    open: () => {
      const request = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' });
      const message = requestSerialize(cds());
      request.write(Buffer.concat([Buffer.of(0, 0, 0, 0, message.byteLength), message]));
      const trailers = new Promise<string>((resolve) => {
        const tell = (headers: Readonly<Record<string, unknown>>): void => {
          if (headers['grpc-status'] !== undefined)
            resolve(`${String(headers['grpc-status'])} ${decodeURIComponent(String(headers['grpc-message']))}`);
        };
        request.on('response', tell).on('trailers', tell);
      });
      const answered = new Promise<void>((resolve) => request.once('data', () => resolve()));
      request.resume();
      // As Envoy and gRPC's clients do at the end of the other side.
      request.once('end', () => request.end());
      return { status: trailers, answered };
    },
  };
}

test('a stream that is sent elsewhere takes its connection with it, once the others there have ended', async () => {
  const connection = onOneConnection();
  const [one, two] = [connection.open(), connection.open()];
  await Promise.all([one.answered, two.answered]);
  const [first, second] = hub.streams;
  first?.leave('go');
  expect(await Promise.race([one.status, two.status])).toBe('14 go');
  await connection.away;
  expect(hub.streams.size).toBe(1);
  second?.leave('go too');
  expect((await Promise.all([one.status, two.status])).sort()).toEqual(['14 go', '14 go too']);
  await connection.closed;
  expect(broken).toBe(0);
});

test('who comes while no stream is taken is told so, and its connection is closed', async () => {
  closed = { code: 'UNAVAILABLE', reason: 'stopping', elsewhere: true };
  const connection = onOneConnection();
  expect(await connection.open().status).toBe('14 stopping');
  await connection.closed;
  expect(admission.refused).toBe(1);
});

test('a connection that is not accepted is reset before anything is spent on it', async () => {
  accepting = false;
  const connection = onOneConnection();
  await connection.closed;
  expect(admission.refused).toBe(0);
  accepting = true;
  await onOneConnection().open().answered;
});

test('credentials that expire end the stream', async () => {
  authenticate = ({ peer }) => Promise.resolve({ caller: { address: peer, secure: true }, validForMs: 0 });
  const call = open<DeltaDiscoveryRequest>('DeltaAggregatedResources');
  call.write(cds());
  await next(call);
  hub.tick();
  expect(await statusOf(call)).toBe('16 the credentials with which the stream was opened have expired');
});

test('a peer that reads nothing is let go of, and its connection broken', async () => {
  source.part('a').put(typeOf('CDS'), { name: 'huge', version: '1', bytes: new Uint8Array(32 << 20) });
  source.flush();
  const session = connect(`http://127.0.0.1:${listener.port}`);
  const { path, requestSerialize } = services.aggregatedDiscovery.DeltaAggregatedResources;
  const request = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' });
  const message = requestSerialize(cds());
  request.write(Buffer.concat([Buffer.of(0, 0, 0, 0, message.byteLength), message]));
  // Nobody reads the response, so that its window stays closed.
  const gone = Promise.all([request, session].map((each) => new Promise((resolve) => each.once('close', resolve))));
  request.on('error', () => undefined);
  session.on('error', () => undefined);
  await until(() => {
    hub.tick();
    return observer.events.some((event) => event.startsWith('disconnected'));
  });
  expect(observer.events.at(-1)).toMatch(/^disconnected n-1 RESOURCE_EXHAUSTED: nothing was read for/);
  expect(hub.bytesInFlight).toBe(0);
  await gone;
  expect(broken).toBe(1);
});

test('a request that is too large', async () => {
  const call = open<DeltaDiscoveryRequest>('DeltaAggregatedResources');
  call.write(
    create(DeltaDiscoveryRequestSchema, { node: { id: 'n' }, typeUrl: typeOf('CDS'), resourceNamesSubscribe: ['x'.repeat(5 << 20)] }),
  );
  expect(await statusOf(call)).toMatch(/^8 /);
});

/** A call whose requests are bytes. */
function openRaw(method: 'DeltaAggregatedResources' | 'StreamAggregatedResources'): ClientDuplexStream<Uint8Array, Uint8Array> {
  const { path } = services.aggregatedDiscovery[method];
  const client = new Client(`127.0.0.1:${listener.port}`, credentials.createInsecure());
  clients.push(client);
  const call = client.makeBidiStreamRequest(
    path,
    (bytes: Uint8Array) => Buffer.from(bytes),
    (bytes: Buffer): Uint8Array => bytes,
  );
  call.on('error', () => undefined);
  return call;
}

test.each(['DeltaAggregatedResources', 'StreamAggregatedResources'] as const)('what is no message ends the call, %s', async (method) => {
  const first = openRaw(method);
  first.write(Uint8Array.of(0x0a, 9));
  expect(await statusOf(first)).toBe('13 Error deserializing request');
  const second = openRaw(method);
  const schema = method === 'DeltaAggregatedResources' ? DeltaDiscoveryRequestSchema : DiscoveryRequestSchema;
  second.write(toBinary(schema, create(schema, { node: { id: 'n' }, typeUrl: typeOf('CDS') })));
  await new Promise((resolve) => second.once('data', resolve));
  second.write(Uint8Array.of(0x12, 2, 0xff, 0xff));
  expect(await statusOf(second)).toBe('13 Error deserializing request');
  expect(observer.events).toEqual(['connected n-1', 'disconnected n-1 INTERNAL: Error deserializing request']);
  expect(faults).toEqual([]);
});

test('requests and the end in one go are answered, one after the other, and then the call ends', async () => {
  const call = open<DeltaDiscoveryRequest>('DeltaAggregatedResources');
  const types: string[] = [];
  call.on('data', (bytes: Uint8Array) => types.push(shortName(fromBinary(DeltaDiscoveryResponseSchema, bytes).typeUrl)));
  call.write(cds());
  for (const type of ['LDS', 'VHDS', 'ECDS']) {
    call.write(create(DeltaDiscoveryRequestSchema, { typeUrl: typeOf(type), resourceNamesSubscribe: ['*'] }));
  }
  call.end();
  expect(await statusOf(call)).toBe('0 OK');
  expect(types.slice(0, 2)).toEqual(['CDS', 'LDS']);
  expect(observer.events).toEqual(['connected n-1', 'disconnected n-1 ended by the peer']);
});

test('of a caller that floods while nothing can be served no more is read than the queue takes, and all of it is served later', async () => {
  const call = open<DeltaDiscoveryRequest>('DeltaAggregatedResources');
  call.write(cds());
  await next(call);
  source.unsettle();
  const total = 150;
  const resourceNamesUnsubscribe = ['x'.repeat(100 * 1024)];
  for (let i = 0; i < total; i++) {
    call.write(create(DeltaDiscoveryRequestSchema, { typeUrl: typeOf('EDS'), resourceNamesUnsubscribe }));
  }
  await until(() => receivedBytes > 1024 * 1024);
  // Others come and go meanwhile, so that what could be read would be.
  for (let i = 0; i < 20; i++) {
    const other = openRaw('DeltaAggregatedResources');
    other.write(Uint8Array.of(0x0a, 9));
    expect(await statusOf(other)).toBe('13 Error deserializing request');
  }
  // A megabyte in the queue, and what is behind it in grpc-js: 16 messages and the window of the stream.
  expect(receivedBytes).toBeLessThan(4 * 1024 * 1024);
  source.flush();
  call.end();
  expect(await statusOf(call)).toBe('0 OK');
  expect(receivedBytes).toBeGreaterThan(total * 100 * 1024);
});
