import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { AccessLogSchema } from '#gen/envoy/config/accesslog/v3/accesslog_pb.js';
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.js';
import {
  RouteSchema,
  VirtualHostSchema,
  type RedirectAction_RedirectResponseCode,
  type Route,
  type VirtualHost_TlsRequirementType,
} from '#gen/envoy/config/route/v3/route_components_pb.js';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.js';
import { FaultAbortSchema } from '#gen/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import { HttpConnectionManagerSchema } from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { UpstreamTlsContextSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { packAny } from './encode.ts';
import { registry } from './testing/registry.ts';
import { createValidator } from './validate.ts';

const validator = createValidator(registry);

const goodRoute = create(RouteSchema, {
  match: { pathSpecifier: { case: 'prefix', value: '/' } },
  action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: 'a' } } },
});

test('every message type of the API compiles: no kind of rule is left out', () => {
  let types = 0;
  for (const desc of registry) {
    if (desc.kind !== 'message' || desc.typeName.startsWith('validate.')) continue;
    validator.validate(desc, create(desc));
    types++;
  }
  expect(types).toBeGreaterThan(1200);
});

test('a sound message has no violation', () => {
  const host = create(VirtualHostSchema, { name: 'a', domains: ['a'], routes: [goodRoute] });
  expect(validator.validate(RouteConfigurationSchema, create(RouteConfigurationSchema, { virtualHosts: [host] }))).toEqual([]);
});

test('all violations are reported, with paths through lists, oneofs and maps', () => {
  const bad = create(RouteConfigurationSchema, {
    virtualHosts: [
      { name: '', domains: [], routes: [goodRoute] },
      {
        name: 'b',
        domains: ['b', 'c\n'],
        requireTls: 7 as VirtualHost_TlsRequirementType,
        routes: [
          { match: {}, action: { case: 'redirect', value: { responseCode: 9 as RedirectAction_RedirectResponseCode } } },
          {
            match: { pathSpecifier: { case: 'pathSeparatedPrefix', value: '/a/' } },
            action: {
              case: 'route',
              value: {
                clusterSpecifier: { case: 'cluster', value: '' },
                retryPolicy: { retryBackOff: {} },
                rateLimits: [{ stage: 11, actions: [{ actionSpecifier: { case: 'genericKey', value: {} } }] }],
              },
            },
          },
          {},
        ],
        requestHeadersToRemove: ['ok', ''],
      },
    ],
    metadata: { filterMetadata: { '': {} } },
  });
  const found = validator.validate(RouteConfigurationSchema, bad);
  const sorted = [...found].sort((a, b) => (a.path < b.path ? -1 : 1));
  expect(sorted).toEqual([
    { path: 'metadata.filter_metadata[""]', message: 'value length must be at least 1 characters' },
    { path: 'virtual_hosts[0].domains', message: 'value must contain at least 1 item(s)' },
    { path: 'virtual_hosts[0].name', message: 'value length must be at least 1 characters' },
    {
      path: 'virtual_hosts[1].domains[1]',
      message: 'value does not match regex pattern "^[^\\x00\\n\\r]*$"',
    },
    { path: 'virtual_hosts[1].request_headers_to_remove[1]', message: 'value length must be at least 1 characters' },
    { path: 'virtual_hosts[1].require_tls', message: 'value must be one of the defined enum values' },
    {
      path: 'virtual_hosts[1].routes[0].match.path_specifier',
      message: 'value is required: one of prefix, path, safe_regex, connect_matcher, path_separated_prefix, path_match_policy',
    },
    { path: 'virtual_hosts[1].routes[0].redirect.response_code', message: 'value must be one of the defined enum values' },
    {
      path: 'virtual_hosts[1].routes[1].match.path_separated_prefix',
      message: 'value does not match regex pattern "^[^?#]+[^?#/]$"',
    },
    { path: 'virtual_hosts[1].routes[1].route.cluster', message: 'value length must be at least 1 characters' },
    {
      path: 'virtual_hosts[1].routes[1].route.rate_limits[0].actions[0].generic_key.descriptor_value',
      message: 'value length must be at least 1 characters',
    },
    { path: 'virtual_hosts[1].routes[1].route.rate_limits[0].stage', message: 'value must be less than or equal to 10' },
    { path: 'virtual_hosts[1].routes[1].route.retry_policy.retry_back_off.base_interval', message: 'value is required' },
    {
      path: 'virtual_hosts[1].routes[2].action',
      message: 'value is required: one of route, redirect, direct_response, filter_action, non_forwarding_action',
    },
    { path: 'virtual_hosts[1].routes[2].match', message: 'value is required' },
  ]);
});

test('messages inside Any are checked by their type, also two deep', () => {
  const hcm = create(HttpConnectionManagerSchema, {
    routeSpecifier: { case: 'rds', value: { configSource: { configSourceSpecifier: { case: 'ads', value: {} } } } },
    httpFilters: [{ configType: { case: undefined } }],
    accessLog: [{ name: 'x', configType: { case: 'typedConfig', value: packAny(FaultAbortSchema, create(FaultAbortSchema)) } }],
  });
  const listener = create(ListenerSchema, {
    filterChains: [
      {},
      { filters: [{}, { name: 'hcm', configType: { case: 'typedConfig', value: packAny(HttpConnectionManagerSchema, hcm) } }] },
    ],
  });
  const at = 'filter_chains[1].filters[1].typed_config<envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager>';
  const byPath = Object.fromEntries(validator.validate(ListenerSchema, listener).map(({ path, message }) => [path, message]));
  expect(byPath).toEqual({
    'filter_chains[1].filters[0].name': 'value length must be at least 1 characters',
    [`${at}.stat_prefix`]: 'value length must be at least 1 characters',
    [`${at}.http_filters[0].name`]: 'value length must be at least 1 characters',
    [`${at}.access_log[0].typed_config<envoy.extensions.filters.http.fault.v3.FaultAbort>.error_type`]:
      'value is required: one of http_status, grpc_status, header_abort',
  });
});

test('an Any that was packed here and its copy from elsewhere are judged alike, each time anew', () => {
  const packed = packAny(FaultAbortSchema, create(FaultAbortSchema));
  const foreign = { ...packed, value: packed.value.slice() };
  for (const any of [packed, foreign, packed, foreign]) {
    const log = create(AccessLogSchema, { name: 'x', configType: { case: 'typedConfig', value: any } });
    expect(validator.validate(AccessLogSchema, log).map(({ path }) => path)).toEqual([
      'typed_config<envoy.extensions.filters.http.fault.v3.FaultAbort>.error_type',
    ]);
  }
});

test('bytes that are sound as one type are checked again as another', () => {
  const sound = packAny(UpstreamTlsContextSchema, create(UpstreamTlsContextSchema));
  const log = (typeUrl: string) =>
    create(AccessLogSchema, { name: 'x', configType: { case: 'typedConfig', value: { typeUrl, value: sound.value } } });
  expect(validator.validate(AccessLogSchema, log(sound.typeUrl))).toEqual([]);
  const abort = 'type.googleapis.com/envoy.extensions.filters.http.fault.v3.FaultAbort';
  expect(validator.validate(AccessLogSchema, log(abort))).toHaveLength(1);
  expect(validator.validate(AccessLogSchema, log(sound.typeUrl))).toEqual([]);
});

test('bytes that are not the message which an Any claims are a violation; an unknown type is not judged', () => {
  const socket = (typeUrl: string): ReturnType<typeof create<typeof ClusterSchema>> =>
    create(ClusterSchema, {
      name: 'a',
      transportSocket: { name: 'tls', configType: { case: 'typedConfig', value: { typeUrl, value: Uint8Array.of(10, 99) } } },
    });
  const found = validator.validate(ClusterSchema, socket(packAny(UpstreamTlsContextSchema, create(UpstreamTlsContextSchema)).typeUrl));
  expect(found.map((v) => v.path)).toEqual(['transport_socket.typed_config<envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext>']);
  expect(found[0]?.message).toMatch(/^value is not an encoded envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext: /);
  expect(validator.validate(ClusterSchema, socket('type.googleapis.com/acme.Socket'))).toEqual([]);
});

test('wrapped numbers are checked when they are there, in a oneof too', () => {
  const endpoints = (weight: number | undefined): string[] =>
    validator
      .validate(
        ClusterLoadAssignmentSchema,
        create(ClusterLoadAssignmentSchema, {
          clusterName: 'a',
          endpoints: [{ lbEndpoints: [weight === undefined ? {} : { loadBalancingWeight: weight }] }],
        }),
      )
      .map(({ path, message }) => `${path}: ${message}`);
  expect(endpoints(undefined)).toEqual([]);
  expect(endpoints(1)).toEqual([]);
  expect(endpoints(0)).toEqual(['endpoints[0].lb_endpoints[0].load_balancing_weight: value must be greater than or equal to 1']);
});

test('a Duration has to keep its bounds and a required message has to be there', () => {
  const cluster = create(ClusterSchema, {
    name: 'a',
    connectTimeout: { seconds: 0n },
    healthChecks: [{ timeout: { seconds: 0n }, healthChecker: { case: 'tcpHealthCheck', value: {} } }],
  });
  expect(validator.validate(ClusterSchema, cluster).map(({ path, message }) => `${path}: ${message}`)).toEqual([
    'connect_timeout: value must be greater than 0s',
    'health_checks[0].timeout: value must be greater than 0s',
    'health_checks[0].interval: value is required',
    'health_checks[0].unhealthy_threshold: value is required',
    'health_checks[0].healthy_threshold: value is required',
  ]);
});

test('rules hold for each route, not only the first', () => {
  const routes: Route[] = [goodRoute, goodRoute, create(RouteSchema, { match: goodRoute.match!, name: 'x' })];
  const host = create(VirtualHostSchema, { name: 'a', domains: ['a'], routes });
  expect(validator.validate(VirtualHostSchema, host).map((v) => v.path)).toEqual(['routes[2].action']);
});
