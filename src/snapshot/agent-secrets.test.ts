import { fromBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.js';
import type { CommonTlsContext } from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { DownstreamTlsContextSchema, UpstreamTlsContextSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import type { SdsSecretConfig } from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import type { TransportSocket } from '#gen/envoy/config/core/v3/base_pb.js';
import type { ConfigObject } from '../apis/object.ts';
import { clusterType, listenerType, secretType } from '../wire/types.ts';
import type { Part, TypeUrl } from '../xds/source.ts';
import { PartsView } from '../xds/view.ts';
import { SnapshotPart } from './part.ts';
import { nodeOf, openProxy, snapshotOf } from './testing/snapshots.ts';

function object(kind: string, namespace: string, name: string, spec: object): ConfigObject {
  return { kind, apiVersion: 'v1', namespace, name, labels: {}, annotations: {}, spec, origin: {} };
}

const server = (name: string, port: number, tls: object): object => ({
  port: { number: port, name, protocol: 'HTTPS' },
  hosts: ['*'],
  tls,
});
const objects = [
  object('Service', 'shop', 'page', { clusterIP: '10.0.0.1', selector: { app: 'page' }, ports: [{ name: 'http', port: 80 }] }),
  object('WorkloadEntry', 'shop', 'page', { address: '11.0.0.1', labels: { app: 'page' }, serviceAccount: 'page' }),
  object('Gateway', 'shop', 'gw', {
    selector: { istio: 'gw' },
    servers: [server('mesh', 443, { mode: 'ISTIO_MUTUAL' }), server('shop', 8443, { mode: 'SIMPLE', credentialName: 'cert' })],
  }),
];

function all<S extends DescMessage>(parts: readonly Part[], type: TypeUrl, schema: S): MessageShape<S>[] {
  return [...new PartsView(parts).resources(type)].map((resource) => fromBinary(schema, resource.bytes));
}

/** `name from place` of all secrets that the sockets name. */
function secretsOf(parts: readonly Part[]): string[] {
  const sockets: (TransportSocket | undefined)[] = [
    ...all(parts, clusterType, ClusterSchema).flatMap((c) => [
      c.transportSocket,
      ...c.transportSocketMatches.map((m) => m.transportSocket),
    ]),
    ...all(parts, listenerType, ListenerSchema).flatMap((l) => l.filterChains.map((chain) => chain.transportSocket)),
  ];
  return [...new Set(sockets.flatMap((socket) => contextsOf(socket)).flatMap(secretsIn))].sort();
}

function contextsOf(socket: TransportSocket | undefined): CommonTlsContext[] {
  const any = socket?.configType.value;
  if (any === undefined) return [];
  const context = anyUnpack(any, DownstreamTlsContextSchema) ?? anyUnpack(any, UpstreamTlsContextSchema);
  return context?.commonTlsContext === undefined ? [] : [context.commonTlsContext];
}

function secretsIn({ tlsCertificateSdsSecretConfigs: own, validationContextType: validation }: CommonTlsContext): string[] {
  const root = validation.case === 'combinedValidationContext' ? validation.value.validationContextSdsSecretConfig : undefined;
  return [...own, ...(root === undefined ? [] : [root])].map(placeOf);
}

function placeOf({ name, sdsConfig }: SdsSecretConfig): string {
  const source = sdsConfig?.configSourceSpecifier;
  if (source?.case !== 'apiConfigSource') return `${name} from ${source?.case}`;
  const target = source.value.grpcServices[0]?.targetSpecifier;
  return `${name} from ${target?.case === 'envoyGrpc' ? target.value.clusterName : target?.case}`;
}

const agent = { WORKLOAD_IDENTITY_SOCKET_FILE: 'socket' };
const gateway = { LABELS: { istio: 'gw' } };

test.each([
  ['a sidecar', 'page', {}, 'sidecar', ['ROOTCA from ads', 'default from ads']],
  ['a sidecar with an agent', 'page', agent, 'sidecar', ['ROOTCA from sds-grpc', 'default from sds-grpc']],
  ['a gateway', 'gw', gateway, 'router', ['ROOTCA from ads', 'default from ads', 'kubernetes://cert from ads']],
  // What a user names is not the agent's to give.
  [
    'a gateway with an agent',
    'gw',
    { ...gateway, ...agent },
    'router',
    ['ROOTCA from sds-grpc', 'default from sds-grpc', 'kubernetes://cert from ads'],
  ],
])('%s gets its certificate and the roots from where it keeps its key', (_what, name, metadata, type, expected) => {
  const { parts } = openProxy(snapshotOf(objects), nodeOf(name, 'shop', metadata, type));
  expect(secretsOf(parts)).toEqual(expected);
});

test('no key is made for a proxy whose agent makes it', () => {
  const part = new SnapshotPart('identity', () => undefined);
  part.ensure(secretType);
  const snapshot = snapshotOf(objects, undefined, undefined, () => ({ part, release: () => undefined }));
  expect(openProxy(snapshot, nodeOf('page', 'shop')).parts).toContain(part);
  expect(openProxy(snapshot, nodeOf('page', 'shop', agent)).parts).not.toContain(part);
});
