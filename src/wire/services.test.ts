import { readFileSync } from 'node:fs';
import { create } from '@bufbuild/protobuf';
import { credentials, makeGenericClientConstructor, Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { DeltaDiscoveryRequestSchema, type DeltaDiscoveryRequest } from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import { Joined } from './join.ts';
import { loadServices } from './services.ts';

const services = loadServices(readFileSync(new URL('../../generated/services.binpb', import.meta.url)));

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

test('paths and stream kinds are those of the descriptors', () => {
  const facts = [...Object.values(services.aggregatedDiscovery), ...Object.values(services.certificates)].map(
    ({ path, requestStream, responseStream }) => ({ path, requestStream, responseStream }),
  );
  const ads = '/envoy.service.discovery.v3.AggregatedDiscoveryService';
  expect(facts).toEqual([
    { path: `${ads}/StreamAggregatedResources`, requestStream: true, responseStream: true },
    { path: `${ads}/DeltaAggregatedResources`, requestStream: true, responseStream: true },
    { path: '/istio.v1.auth.IstioCertificateService/CreateCertificate', requestStream: false, responseStream: false },
  ]);
});

test('a descriptor set without the services is refused by name', () => {
  expect(() => loadServices(new Uint8Array(0))).toThrow(
    'service envoy.service.discovery.v3.AggregatedDiscoveryService is not in the descriptors',
  );
});

test('over a real stream requests are decoded and responses pass as they are, in pieces too', async () => {
  const server = new Server();
  const received = new Promise<DeltaDiscoveryRequest>((resolve) => {
    server.addService(services.aggregatedDiscovery, {
      StreamAggregatedResources: () => undefined,
      DeltaAggregatedResources: (call: ServerDuplexStream<DeltaDiscoveryRequest, Uint8Array | Joined>) => {
        call.once('data', (request: DeltaDiscoveryRequest) => {
          resolve(request);
          call.write(Uint8Array.of(8, 1, 255));
          call.write(new Joined([Uint8Array.of(8, 2), Uint8Array.of(7)]));
          call.end();
        });
      },
    });
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  cleanups.push(() => server.forceShutdown());
  const Client = makeGenericClientConstructor(services.aggregatedDiscovery, 'ads');
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  cleanups.push(() => client.close());
  const { DeltaAggregatedResources: method } = services.aggregatedDiscovery;
  const stream = client.makeBidiStreamRequest(method.path, method.requestSerialize, method.responseDeserialize);
  const answers: number[][] = [];
  const ended = new Promise((resolve, reject) => {
    stream.on('data', (bytes: Uint8Array) => answers.push([...bytes]));
    stream.once('end', resolve).once('error', reject);
  });
  stream.write(create(DeltaDiscoveryRequestSchema, { typeUrl: 't', node: { id: 'n' }, initialResourceVersions: { a: '1' } }));
  const request = await received;
  expect([request.typeUrl, request.node?.id, request.initialResourceVersions]).toEqual(['t', 'n', { a: '1' }]);
  await ended;
  expect(answers).toEqual([
    [8, 1, 255],
    [8, 2, 7],
  ]);
});
