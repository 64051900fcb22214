import { create, fromBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { VirtualHostSchema } from '#gen/envoy/config/route/v3/route_components_pb.js';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.js';
import { DeltaDiscoveryResponseSchema, DiscoveryResponseSchema } from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import { encode } from './encode.ts';
import {
  concat,
  deltaResource,
  deltaResponse,
  field,
  Joined,
  routeConfigurationFields,
  sotwResource,
  sotwResponse,
  stringField,
  virtualHostFields,
  withField,
} from './join.ts';
import { clusterType, virtualHostType } from './types.ts';

const empty = new Uint8Array(0);

test('a delta response is what Envoy reads', () => {
  const cluster = encode(ClusterSchema, create(ClusterSchema, { name: 'a', altStatName: 'é' }));
  const bytes = deltaResponse({
    systemVersion: '7',
    typeUrl: clusterType,
    nonce: 'n1',
    resources: [deltaResource('a', 'v1', clusterType, cluster), deltaResource('é', '', clusterType)],
    removed: ['gone', ''],
    controlPlane: '{"Component":"mizzen"}',
  });
  expect(fromBinary(DeltaDiscoveryResponseSchema, bytes)).toEqual(
    create(DeltaDiscoveryResponseSchema, {
      systemVersionInfo: '7',
      typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
      nonce: 'n1',
      resources: [
        { name: 'a', version: 'v1', resource: { typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster', value: cluster } },
        { name: 'é', resource: { typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster' } },
      ],
      removedResources: ['gone', ''],
      controlPlane: { identifier: '{"Component":"mizzen"}' },
    }),
  );
});

test('a delta response of nothing has only what says so', () => {
  const bytes = deltaResponse({ systemVersion: '', typeUrl: 't', nonce: 'n', resources: [], removed: [] });
  expect(fromBinary(DeltaDiscoveryResponseSchema, bytes)).toEqual(create(DeltaDiscoveryResponseSchema, { typeUrl: 't', nonce: 'n' }));
});

test('a state-of-the-world response is what Envoy reads', () => {
  const cluster = encode(ClusterSchema, create(ClusterSchema, { name: 'a' }));
  const resource = sotwResource(clusterType, cluster);
  const bytes = sotwResponse({ version: '8', typeUrl: clusterType, nonce: 'n2', resources: [concat(resource, resource)] });
  expect(fromBinary(DiscoveryResponseSchema, bytes)).toEqual(
    create(DiscoveryResponseSchema, {
      versionInfo: '8',
      typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
      nonce: 'n2',
      resources: [
        { typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster', value: cluster },
        { typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster', value: cluster },
      ],
    }),
  );
});

test('a virtual host gets its name and a route table its hosts', () => {
  const unnamed = encode(VirtualHostSchema, create(VirtualHostSchema, { domains: ['a'] }));
  const host = withField(unnamed, virtualHostFields.name, new TextEncoder().encode('80/a'));
  expect(fromBinary(VirtualHostSchema, host)).toEqual(create(VirtualHostSchema, { name: '80/a', domains: ['a'] }));

  const inPieces = deltaResource('80/a', 'v', virtualHostType, stringField(virtualHostFields.name, '80/a'), unnamed);
  const sent = deltaResponse({ systemVersion: '', typeUrl: virtualHostType, nonce: 'n', resources: [inPieces], removed: [] });
  const value = fromBinary(DeltaDiscoveryResponseSchema, sent).resources[0]?.resource?.value ?? empty;
  expect(fromBinary(VirtualHostSchema, value)).toEqual(create(VirtualHostSchema, { name: '80/a', domains: ['a'] }));

  const table = encode(RouteConfigurationSchema, create(RouteConfigurationSchema, { name: '80' }));
  const whole = withField(withField(table, routeConfigurationFields.virtualHosts, host), routeConfigurationFields.virtualHosts, empty);
  expect(fromBinary(RouteConfigurationSchema, whole)).toEqual(
    create(RouteConfigurationSchema, { name: '80', virtualHosts: [{ name: '80/a', domains: ['a'] }, {}] }),
  );
});

test('lengths are right at the edges of a varint byte', () => {
  for (const length of [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152]) {
    const name = 'x'.repeat(length);
    const message = fromBinary(VirtualHostSchema, field(virtualHostFields.name, new TextEncoder().encode(name)));
    expect(message.name.length).toBe(length);
    expect(message.$unknown).toBeUndefined();
  }
  // A field number above 15 has a tag of two bytes.
  expect(fromBinary(ClusterSchema, stringField(28, 'stat')).altStatName).toBe('stat');
});

test('a message in pieces is copied as a whole, behind what is there', () => {
  const joined = new Joined([Uint8Array.of(1, 2), new Uint8Array(0), Uint8Array.of(3)]);
  expect(joined.byteLength).toBe(3);
  const target = Buffer.alloc(5, 9);
  expect(joined.copy(target, 1)).toBe(3);
  expect([...target]).toEqual([9, 1, 2, 3, 9]);
  expect([...joined.toBytes()]).toEqual([1, 2, 3]);
});
