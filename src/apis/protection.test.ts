import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseObject } from './parse.ts';
import { protections } from './protection.ts';

const patch = (applyTo: string, value: unknown, rest: object = {}, match?: object): object => ({
  configPatches: [{ applyTo, ...(match === undefined ? {} : { match }), patch: { operation: 'INSERT_BEFORE', value, ...rest } }],
});

const http = (filter: string, config: object = {}): object => ({
  name: `envoy.filters.http.${filter}`,
  typed_config: { '@type': `type.googleapis.com/envoy.extensions.filters.http.${filter}.v3.Some`, ...config },
});

const network = (filter: string): object => ({
  name: 'mine',
  typed_config: { '@type': `type.googleapis.com/envoy.extensions.filters.network.${filter}.v3.Some` },
});

const lua = (config: object): object => http('lua', config);

describe('protections of an EnvoyFilter', () => {
  it.each([
    ...['rbac', 'jwt_authn', 'ext_authz', 'oauth2', 'basic_auth', 'api_key_auth', 'csrf', 'wasm', 'ext_proc', 'golang'].map((filter) => [
      filter,
      patch('HTTP_FILTER', http(filter)),
    ]),
    ...['rbac', 'ext_authz', 'wasm'].map((filter) => [`network ${filter}`, patch('NETWORK_FILTER', network(filter))]),
    ['a filter that mentions statistics', patch('HTTP_FILTER', http('ext_authz', { stat_prefix: 'istio.stats' }))],
    ['a filter within a filter', patch('HTTP_FILTER', http('composite', { inner: { typed_config: network('rbac') } }))],
    [
      'a filter by TypedStruct',
      patch('HTTP_FILTER', {
        name: 'x',
        typed_config: {
          '@type': 'type.googleapis.com/udpa.type.v1.TypedStruct',
          type_url: 'type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication',
        },
      }),
    ],
    ['a filter in a whole connection manager', patch('NETWORK_FILTER', { typed_config: { http_filters: [http('router'), http('rbac')] } })],
    ['the settings of a route', patch('HTTP_ROUTE', { typed_per_filter_config: { any: http('ext_authz') } })],
    ['a route that refuses', patch('HTTP_ROUTE', { direct_response: { status: 403 } })],
    ['a class', patch('HTTP_FILTER', { name: 'x' }, { filterClass: 'AUTHZ' })],
    [
      'a change of a filter that refuses',
      patch(
        'HTTP_FILTER',
        { typed_config: {} },
        { operation: 'MERGE' },
        {
          listener: { filterChain: { filter: { subFilter: { name: 'envoy.filters.http.jwt_authn' } } } },
        },
      ),
    ],
    ['Lua that answers', patch('HTTP_FILTER', lua({ inline_code: 'function envoy_on_request(h) h:respond({[":status"]="403"}, "") end' }))],
    ['Lua from elsewhere', patch('HTTP_FILTER', lua({ default_source_code: { filename: '/x.lua' } }))],
    [
      'proof of clients',
      patch('FILTER_CHAIN', {
        transport_socket: {
          typed_config: {
            '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
            require_client_certificate: true,
          },
        },
      }),
    ],
  ])('are found: %s', (_name, spec) => {
    expect(protections('EnvoyFilter', spec)).toEqual([{ path: 'spec.configPatches[0]', sidecars: true, gateways: true }]);
  });

  it.each([
    ['no patches', {}],
    ['a rate limit', patch('HTTP_FILTER', http('local_ratelimit'))],
    ['headers by Lua', patch('HTTP_FILTER', lua({ inline_code: 'function envoy_on_response(h) h:headers():add("a","b") end' }))],
    ['a filter that is removed', patch('HTTP_FILTER', http('rbac'), { operation: 'REMOVE' })],
    [
      'something before a filter that refuses',
      patch(
        'HTTP_FILTER',
        http('buffer'),
        {},
        { listener: { filterChain: { filter: { subFilter: { name: 'envoy.filters.http.jwt_authn' } } } } },
      ),
    ],
    ['statistics', patch('HTTP_FILTER', http('wasm', { config: { vm_config: { runtime: 'envoy.wasm.runtime.null' } } }))],
    ['a filter for statistics', patch('HTTP_FILTER', http('wasm'), { filterClass: 'STATS' })],
    ['what leaves the workload', patch('HTTP_FILTER', http('rbac'), {}, { context: 'SIDECAR_OUTBOUND' })],
    ['a cluster', patch('CLUSTER', { filters: [network('rbac')] })],
    ['a redirect', patch('HTTP_ROUTE', { direct_response: { status: 200 } })],
    [
      'cipher suites',
      patch('FILTER_CHAIN', {
        transport_socket: {
          typed_config: {
            '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
            common_tls_context: { tls_params: { cipher_suites: ['x'] } },
          },
        },
      }),
    ],
  ])('are not found: %s', (_name, spec) => {
    expect(protections('EnvoyFilter', spec)).toEqual([]);
  });

  it.each([
    ['SIDECAR_INBOUND', true, false],
    ['GATEWAY', false, true],
    ['ANY', true, true],
  ])('concern who has the context %s', (context, sidecars, gateways) => {
    expect(protections('EnvoyFilter', patch('HTTP_FILTER', http('rbac'), {}, { context }))).toMatchObject([{ sidecars, gateways }]);
  });
});

describe('protections of an extension', () => {
  const url = 'oci://example.com/plugin:1';
  it.each([
    ['WasmPlugin', { url, phase: 'AUTHN' }, [{ path: 'spec.phase', sidecars: true, gateways: true }]],
    ['WasmPlugin', { url, phase: 'AUTHZ', match: [{ mode: 'SERVER' }] }, [{ path: 'spec.phase', sidecars: true, gateways: false }]],
    ['WasmPlugin', { url, phase: 'AUTHZ', match: [{ mode: 'CLIENT' }] }, [{ path: 'spec.phase', sidecars: false, gateways: true }]],
    ['WasmPlugin', { url, phase: ['AUTHZ'] }, [{ path: 'spec.phase', sidecars: true, gateways: true }]],
    ['WasmPlugin', { url, phase: 'STATS' }, []],
    ['WasmPlugin', { url }, []],
    ['TrafficExtension', { wasm: { url }, phase: 'AUTHZ' }, [{ path: 'spec.phase', sidecars: true, gateways: true }]],
    ['TrafficExtension', { lua: { inlineCode: 'h:respond({})' } }, [{ path: 'spec.lua', sidecars: true, gateways: true }]],
    ['TrafficExtension', { lua: { inlineCode: 'h:logInfo("x")' } }, []],
    ['Telemetry', { phase: 'AUTHZ' }, []],
  ])('%s %j', (kind, spec, expected) => {
    expect(protections(kind, spec)).toEqual(expected);
  });
});

describe('parseObject of kinds that are read for their protection', () => {
  const read = (text: string) => parseObject(parse(text), { file: 'a.yaml', line: 1 });

  it('says of which field it is that workloads are held back', () => {
    const { object, problems } = read(
      '{apiVersion: extensions.istio.io/v1alpha1, kind: WasmPlugin, metadata: {name: a}, spec: {url: x, phase: AUTHN}}',
    );
    expect(object?.kind).toBe('WasmPlugin');
    expect(problems).toMatchObject([{ path: 'spec.phase', reason: 'NotTranslated', severity: 'error' }]);
    expect(problems[0]?.message).toContain('held back');
  });

  it('says of others that they have no effect', () => {
    const { problems } = read(
      '{apiVersion: networking.istio.io/v1alpha3, kind: EnvoyFilter, metadata: {name: a}, spec: {configPatches: [{applyTo: CLUSTER}]}}',
    );
    expect(problems).toMatchObject([{ path: '', reason: 'NotTranslated', severity: 'warning' }]);
  });

  it('has a stand-in with its selector for one that is refused, and none where nothing would be protected', () => {
    const refused = read(
      '{apiVersion: extensions.istio.io/v1alpha1, kind: WasmPlugin, metadata: {name: a}, spec: {phase: AUTHZ, selector: {matchLabels: {app: x}}}}',
    );
    expect(refused.object).toBeUndefined();
    expect(refused.standIn).toMatchObject({ kind: 'WasmPlugin', unreadable: true, spec: { selector: { matchLabels: { app: 'x' } } } });
    const filter = read(
      `{apiVersion: networking.istio.io/v1alpha3, kind: EnvoyFilter, metadata: {name: a}, spec: {priority: high, workloadSelector: {labels: {app: x}},
        configPatches: [{applyTo: HTTP_FILTER, patch: {value: {name: envoy.filters.http.rbac}}}]}}`,
    );
    expect(filter.object).toBeUndefined();
    expect(filter.standIn).toMatchObject({ unreadable: true, spec: { workloadSelector: { labels: { app: 'x' } } } });
    const harmless = read('{apiVersion: extensions.istio.io/v1alpha1, kind: WasmPlugin, metadata: {name: a}, spec: {phase: STATS}}');
    expect([harmless.object, harmless.standIn]).toEqual([undefined, undefined]);
  });
});
