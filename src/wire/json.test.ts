import { create, type Message } from '@bufbuild/protobuf';
import { DurationSchema } from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';
import { ClusterSchema, type Cluster } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { ListenerSchema, type Listener } from '#gen/envoy/config/listener/v3/listener_pb.js';
import { RouterSchema } from '#gen/envoy/extensions/filters/http/router/v3/router_pb.js';
import { HttpConnectionManagerSchema } from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { encode, packAny } from './encode.ts';
import { bytesToJson, fromJson, toJson } from './json.ts';
import type { Violation } from './path.ts';
import { registry } from './testing/registry.ts';
import { clusterType, listenerType } from './types.ts';

function messageOf(typeUrl: string, json: unknown): Message {
  const parsed = fromJson(typeUrl, json, registry);
  if ('problems' in parsed) throw new Error(JSON.stringify(parsed.problems));
  return parsed.message;
}

function problemsOf(typeUrl: string, json: unknown): readonly Violation[] {
  const parsed = fromJson(typeUrl, json, registry);
  if ('message' in parsed) throw new Error('no problem was found');
  return parsed.problems;
}

const hcmType = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const routerType = 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router';

const listener = create(ListenerSchema, {
  name: 'virtualOutbound',
  filterChains: [
    {
      filters: [
        {
          name: 'hcm',
          configType: {
            case: 'typedConfig',
            value: packAny(
              HttpConnectionManagerSchema,
              create(HttpConnectionManagerSchema, {
                statPrefix: 'x',
                streamIdleTimeout: create(DurationSchema, { nanos: 500_000_000 }),
                httpFilters: [{ name: 'router', configType: { case: 'typedConfig', value: packAny(RouterSchema, create(RouterSchema)) } }],
              }),
            ),
          },
        },
      ],
    },
  ],
});

const listenerJson = {
  name: 'virtualOutbound',
  filter_chains: [
    {
      filters: [
        {
          name: 'hcm',
          typed_config: {
            '@type': hcmType,
            stat_prefix: 'x',
            http_filters: [{ name: 'router', typed_config: { '@type': routerType } }],
            stream_idle_timeout: '0.500s',
          },
        },
      ],
    },
  ],
};

test('a message is shown with the names of its .proto file, or in camel case', () => {
  expect(toJson(ListenerSchema, listener, registry)).toEqual(listenerJson);
  expect(bytesToJson(listenerType, encode(ListenerSchema, listener), registry)).toEqual(listenerJson);
  const cluster = create(ClusterSchema, { name: 'a', altStatName: 'b' });
  expect(toJson(ClusterSchema, cluster, registry, { protoFieldNames: false })).toEqual({ name: 'a', altStatName: 'b' });
});

test('maps are shown in order', () => {
  const cluster = create(ClusterSchema, { metadata: { filterMetadata: { b: { y: 1, x: 2 }, a: {} } } });
  expect(JSON.stringify(toJson(ClusterSchema, cluster, registry))).toBe('{"metadata":{"filter_metadata":{"a":{},"b":{"x":2,"y":1}}}}');
});

test('an Any of an unknown type is not shown as empty', () => {
  const secret = { case: 'typedConfig', value: { typeUrl: 'type.googleapis.com/acme.Own', value: Uint8Array.of(8, 1) } } as const;
  const cluster = create(ClusterSchema, { transportSocket: { name: 'tls', configType: secret } });
  expect(() => toJson(ClusterSchema, cluster, registry)).toThrow('acme.Own');
});

test('both spellings are read, and give the bytes of the message that was built', () => {
  const read = messageOf(listenerType, listenerJson) as Listener;
  expect(encode(ListenerSchema, read)).toEqual(encode(ListenerSchema, listener));
  const json = { name: 'a', altStatName: 'b', connect_timeout: '1.5s', lbPolicy: 'RANDOM', type: 3, metadata: null };
  const cluster = messageOf(clusterType, json);
  expect(toJson(ClusterSchema, cluster as Cluster, registry)).toEqual({
    name: 'a',
    alt_stat_name: 'b',
    connect_timeout: '1.500s',
    lb_policy: 'RANDOM',
    type: 'EDS',
  });
});

test('everything that is wrong is reported with its path', () => {
  const json = {
    name: 7,
    filterChains: [
      {
        filters: [
          {
            name: 'hcm',
            typed_config: {
              '@type': hcmType,
              statPrefix: 'x',
              stat_prefxi: 'y',
              codec_type: 'HTTP9',
              stream_idle_timeout: '5 minutes',
              http_filters: [
                { name: 'mine', typed_config: { '@type': 'type.googleapis.com/acme.Filter', key: 1 } },
                { name: 'bare', typed_config: { key: 1 } },
                'router',
              ],
            },
          },
        ],
      },
    ],
    metadata: { filter_metadata: { 'envoy.lb': 'v1' } },
    per_connection_buffer_limit_bytes: -1,
    accessLog: {},
    nonsense: true,
  };
  const hcm = 'filterChains[0].filters[0].typed_config<envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager>';
  expect(problemsOf(listenerType, json)).toEqual([
    { path: 'name', message: expect.stringContaining('string') as string },
    {
      path: `${hcm}.stat_prefxi`,
      message: 'unknown field of envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    },
    { path: `${hcm}.codec_type`, message: '"HTTP9" is not one of AUTO, HTTP1, HTTP2, HTTP3' },
    { path: `${hcm}.stream_idle_timeout`, message: expect.stringContaining('5 minutes') as string },
    { path: `${hcm}.http_filters[0].typed_config.@type`, message: 'unknown type "type.googleapis.com/acme.Filter"' },
    { path: `${hcm}.http_filters[1].typed_config`, message: 'must name its type in "@type"' },
    { path: `${hcm}.http_filters[2]`, message: 'must be an object, not a string' },
    { path: 'metadata.filter_metadata["envoy.lb"]', message: expect.stringContaining('v1') as string },
    { path: 'per_connection_buffer_limit_bytes', message: expect.stringContaining('-1') as string },
    { path: 'accessLog', message: 'must be a list, not an object' },
    { path: 'nonsense', message: 'unknown field of envoy.config.listener.v3.Listener' },
  ]);
});

test('a field given in both spellings and two cases of a oneof are conflicts', () => {
  expect(problemsOf(clusterType, { alt_stat_name: 'a', altStatName: 'b', type: 'EDS', cluster_type: { name: 'x' } })).toEqual([
    { path: 'altStatName', message: 'cannot be set together with alt_stat_name' },
    { path: 'cluster_type', message: 'cannot be set together with type' },
  ]);
});

test('messages with a JSON form of their own stand under value in an Any', () => {
  const wrap = (value: unknown): unknown => ({
    name: 'x',
    typed_extension_protocol_options: { a: { '@type': 'type.googleapis.com/google.protobuf.Duration', value } },
  });
  expect(toJson(ClusterSchema, messageOf(clusterType, wrap('3s')) as Cluster, registry)).toEqual(wrap('3s'));
  expect(problemsOf(clusterType, wrap(3))).toEqual([
    { path: 'typed_extension_protocol_options["a"]<google.protobuf.Duration>.value', message: expect.any(String) as string },
  ]);
});

test('an unknown type URL is a problem, not an exception', () => {
  expect(problemsOf('type.googleapis.com/acme.Resource', {})).toEqual([
    { path: '', message: 'unknown type "type.googleapis.com/acme.Resource"' },
  ]);
});

test('endless nesting is a problem, not a stack overflow', () => {
  let rule: unknown = { any: true };
  for (let i = 0; i < 100_000; i++) rule = { not_rule: rule };
  const [problem, ...others] = problemsOf('type.googleapis.com/envoy.config.rbac.v3.Permission', rule);
  expect(others).toEqual([]);
  expect(problem?.message).toBe('is nested deeper than 100 messages');
  expect(problem?.path.split('.').length).toBe(100);
});
