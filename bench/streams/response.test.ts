import { create, toBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';
import { Cluster_DiscoveryType, ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.js';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.js';
import { HttpConnectionManagerSchema } from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { DeltaDiscoveryResponseSchema, DiscoveryResponseSchema } from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import { ResponseReader } from './response.ts';
import * as types from './types.ts';

function any<S extends DescMessage>(schema: S, message: MessageShape<S>) {
  return create(AnySchema, { typeUrl: `type.googleapis.com/${schema.typeName}`, value: toBinary(schema, message) });
}

function response<S extends DescMessage>(
  typeUrl: string,
  nonce: string,
  schema: S,
  messages: readonly (MessageShape<S> & { name: string })[],
) {
  const resources = messages.map((message) => ({ name: message.name, version: `v-${message.name}`, resource: any(schema, message) }));
  return Buffer.from(
    toBinary(DeltaDiscoveryResponseSchema, create(DeltaDiscoveryResponseSchema, { typeUrl, nonce, resources, removedResources: ['gone'] })),
  );
}

test('clusters name the load assignments that they want by EDS', () => {
  const eds = { case: 'type' as const, value: Cluster_DiscoveryType.EDS };
  const message = response(types.clusters, 'n1', ClusterSchema, [
    create(ClusterSchema, { name: 'plain', clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST } }),
    create(ClusterSchema, { name: 'by-name', clusterDiscoveryType: eds }),
    create(ClusterSchema, { name: 'by-service', clusterDiscoveryType: eds, edsClusterConfig: { serviceName: 'other' } }),
  ]);
  const { nonce, content } = new ResponseReader('delta').read(message);
  expect(nonce).toBe('n1');
  expect(content.type).toBe(types.clusters);
  expect(content.removed).toEqual(['gone']);
  expect(content.resources).toEqual([
    { name: 'plain', version: 'v-plain', references: [], vhds: false },
    { name: 'by-name', version: 'v-by-name', references: ['by-name'], vhds: false },
    { name: 'by-service', version: 'v-by-service', references: ['other'], vhds: false },
  ]);
  expect(content.references).toEqual(['by-name', 'other']);
});

test('listeners name route tables in filter chains, the default chain and API listeners', () => {
  const manager = (routeConfigName: string) =>
    any(HttpConnectionManagerSchema, create(HttpConnectionManagerSchema, { routeSpecifier: { case: 'rds', value: { routeConfigName } } }));
  const inline = any(
    HttpConnectionManagerSchema,
    create(HttpConnectionManagerSchema, { routeSpecifier: { case: 'routeConfig', value: { name: 'inline' } } }),
  );
  const chain = (...managers: (typeof inline)[]) => ({
    filters: managers.map((typedConfig) => ({ name: 'hcm', configType: { case: 'typedConfig' as const, value: typedConfig } })),
  });
  const message = response(types.listeners, 'n', ListenerSchema, [
    create(ListenerSchema, {
      name: 'l',
      filterChains: [chain(manager('80')), chain(inline), chain(manager('80'))],
      defaultFilterChain: chain(manager('8080')),
    }),
    create(ListenerSchema, { name: 'grpc', apiListener: { apiListener: manager('api') } }),
  ]);
  const { content } = new ResponseReader('delta').read(message);
  expect(content.resources.map(({ name, references }) => [name, references])).toEqual([
    ['l', ['80', '8080']],
    ['grpc', ['api']],
  ]);
});

test('a route table tells whether its hosts come by VHDS', () => {
  const message = response(types.routes, 'n', RouteConfigurationSchema, [
    create(RouteConfigurationSchema, { name: '80', vhds: { configSource: {} } }),
    create(RouteConfigurationSchema, { name: 'whole', virtualHosts: [{ name: 'h', domains: ['h'] }] }),
  ]);
  expect(new ResponseReader('delta').read(message).content.resources.map(({ name, vhds }) => [name, vhds])).toEqual([
    ['80', true],
    ['whole', false],
  ]);
});

test('equal contents under different nonces are read once, different ones of equal length are told apart', () => {
  const reader = new ResponseReader('delta');
  const of = (name: string, nonce: string) => response(types.clusters, nonce, ClusterSchema, [create(ClusterSchema, { name })]);
  const first = reader.read(of('a', 'n1'));
  const second = reader.read(of('a', 'n2'));
  expect(second.nonce).toBe('n2');
  expect(second.content).toBe(first.content);
  expect(reader.read(of('b', 'n3')).content.resources[0]?.name).toBe('b');
});

test('what a content has in common with the one before is taken over, wherever it stands', () => {
  const reader = new ResponseReader('delta');
  const eds = { case: 'type' as const, value: Cluster_DiscoveryType.EDS };
  const of = (...names: string[]) =>
    reader.read(
      response(
        types.clusters,
        'n',
        ClusterSchema,
        names.map((name) => create(ClusterSchema, { name, clusterDiscoveryType: eds })),
      ),
    ).content;
  const first = of('a', 'b', 'c', 'd');
  const more = of('a', 'x', 'b', 'c', 'd');
  expect(more.resources.map(({ name }) => name)).toEqual(['a', 'x', 'b', 'c', 'd']);
  expect(more.references).toEqual(['a', 'x', 'b', 'c', 'd']);
  expect(more.resources[2]).toBe(first.resources[1]);
  expect(more.resources[4]).toBe(first.resources[3]);
  const fewer = of('x', 'b', 'c', 'y');
  expect(fewer.resources.map(({ name }) => name)).toEqual(['x', 'b', 'c', 'y']);
  expect(fewer.resources[2]).toBe(more.resources[3]);
});

test('references that are the same are the same array', () => {
  const reader = new ResponseReader('delta');
  const of = (altStatName: string) => {
    const clusterDiscoveryType = { case: 'type' as const, value: Cluster_DiscoveryType.EDS };
    return reader.read(
      response(types.clusters, 'n', ClusterSchema, [create(ClusterSchema, { name: 'a', altStatName, clusterDiscoveryType })]),
    );
  };
  const first = of('one');
  const second = of('two').content;
  expect(second).not.toBe(first.content);
  expect(second.references).toBe(first.content.references);
});

test('a message that is cut off is an error', () => {
  const message = response(types.clusters, 'n', ClusterSchema, [create(ClusterSchema, { name: 'a' })]);
  expect(() => new ResponseReader('delta').read(message.subarray(0, message.length - 3))).toThrow('cut off');
});

test('over SotW the name of a resource is that of its message, and the version that of the whole', () => {
  const clusters = ['a', 'b'].map((name) =>
    any(ClusterSchema, create(ClusterSchema, { name, clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.EDS } })),
  );
  const message = create(DiscoveryResponseSchema, { typeUrl: types.clusters, versionInfo: 'v7', nonce: 'n7', resources: clusters });
  const { nonce, version, content } = new ResponseReader('sotw').read(Buffer.from(toBinary(DiscoveryResponseSchema, message)));
  expect([nonce, version, content.type]).toEqual(['n7', 'v7', types.clusters]);
  expect(content.resources).toEqual([
    { name: 'a', version: '', references: ['a'], vhds: false },
    { name: 'b', version: '', references: ['b'], vhds: false },
  ]);
  expect(content.references).toEqual(['a', 'b']);
});
