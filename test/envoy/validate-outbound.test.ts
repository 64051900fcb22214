/** Envoy itself reads what the outbound translators build: clusters of every kind, routes with every field, listeners of every form. */
import { create } from '@bufbuild/protobuf';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Cluster } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { type Listener, ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.js';
import type { RouteConfiguration } from '#gen/envoy/config/route/v3/route_pb.js';
import type { VirtualHost } from '#gen/envoy/config/route/v3/route_components_pb.js';
import type { DestinationRuleSpec } from '../../src/apis/destination-rule.ts';
import { defaultMeshConfig } from '../../src/apis/mesh-config.ts';
import { envoyBinary } from '../../src/cli/download/envoy.ts';
import { buildOutboundClusters, type OutboundClusterInput } from '../../src/envoy/clusters/outbound.ts';
import { buildBlackHoleCluster, buildInboundPassthroughCluster, buildPassthroughCluster } from '../../src/envoy/clusters/special.ts';
import { accessLogs, listenerAccessLogs } from '../../src/envoy/filters/access-log.ts';
import { buildConnectionManagerFilter } from '../../src/envoy/filters/hcm.ts';
import {
  buildHttpProxyListener,
  buildOutboundListener,
  buildVirtualOutbound,
  type OutboundListenerContext,
} from '../../src/envoy/listeners/outbound.ts';
import { buildGatewayTable, buildPortTable, buildSniffedTable } from '../../src/envoy/routes/table.ts';
import { buildVirtualHost } from '../../src/envoy/routes/virtual-host.ts';
import { endpoint, http, locality, routeContext, rule, service, virtualService } from '../../src/envoy/testing/model.ts';
import type { HttpRouteSpec, Resolution, ServicePort } from '../../src/mesh/model.ts';
import { validateConfig } from './harness/validate.ts';

let envoy = '';
beforeAll(async () => {
  envoy = await envoyBinary();
});

const accepted = { accepted: true, output: expect.stringContaining('OK') as string };
const mesh = { ...defaultMeshConfig, accessLogFile: '/dev/stdout', tcpKeepalive: { probes: 3, time: '10s', interval: '1s' } };
const reviews = service('reviews');

function clusters(over: Partial<OutboundClusterInput> = {}): Cluster[] {
  return [
    ...buildOutboundClusters({
      mesh,
      capabilities: { kind: 'stock' },
      service: reviews,
      port: http,
      identities: ['spiffe://cluster.local/ns/default/sa/reviews'],
      ...over,
    }).resources,
  ];
}

const host = 'reviews.default.svc.cluster.local';
const policies: Record<string, Omit<DestinationRuleSpec, 'host'>> = {
  'every connection pool setting': {
    trafficPolicy: {
      connectionPool: {
        tcp: {
          maxConnections: 10,
          connectTimeout: '1s',
          idleTimeout: '2s',
          maxConnectionDuration: '3s',
          tcpKeepalive: { probes: 9, time: '7200s', interval: '75s' },
        },
        http: {
          http1MaxPendingRequests: 1,
          http2MaxRequests: 2,
          maxRequestsPerConnection: 3,
          maxRetries: 4,
          idleTimeout: '5s',
          h2UpgradePolicy: 'UPGRADE',
          maxConcurrentStreams: 6,
          http2KeepAlive: { interval: '10s', timeout: '5s' },
        },
      },
      retryBudget: { percent: 30, minRetryConcurrency: 5 },
    },
  },
  'outlier detection and locality failover': {
    trafficPolicy: {
      outlierDetection: {
        consecutive5xxErrors: 5,
        consecutiveGatewayErrors: 0,
        consecutiveLocalOriginFailures: 3,
        splitExternalLocalOriginErrors: true,
        interval: '1s',
        baseEjectionTime: '30s',
        maxEjectionPercent: 50,
        minHealthPercent: 40,
        outlierDetectionHttpErrorCodes: [429, 503],
      },
      loadBalancer: {
        simple: 'ROUND_ROBIN',
        warmup: { duration: '10s', aggression: 2, minimumPercent: 20 },
        localityLbSetting: { failover: [{ from: 'a', to: 'b' }] },
      },
    },
  },
  'hash rings': {
    trafficPolicy: { loadBalancer: { consistentHash: { httpHeaderName: 'x', maglev: { tableSize: 65537 } } } },
    subsets: [
      { name: 'ring', trafficPolicy: { loadBalancer: { consistentHash: { useSourceIp: true, ringHash: { minimumRingSize: 512 } } } } },
      { name: 'old', trafficPolicy: { loadBalancer: { consistentHash: { httpCookie: { name: 'c', ttl: '0s' } } } } },
      { name: 'slow', trafficPolicy: { loadBalancer: { simple: 'LEAST_REQUEST', warmupDurationSecs: '5s' } } },
      { name: 'random', trafficPolicy: { loadBalancer: { simple: 'RANDOM' } } },
      { name: 'passthrough', trafficPolicy: { loadBalancer: { simple: 'PASSTHROUGH' } } },
    ],
  },
  'every TLS mode': {
    trafficPolicy: { tls: { mode: 'ISTIO_MUTUAL' } },
    subsets: [
      { name: 'none', trafficPolicy: { tls: { mode: 'DISABLE' } } },
      { name: 'simple', trafficPolicy: { tls: { mode: 'SIMPLE' } } },
      { name: 'named', trafficPolicy: { tls: { mode: 'SIMPLE', sni: 'a.example', subjectAltNames: ['a.example', '10.0.0.1'] } } },
      { name: 'careless', trafficPolicy: { tls: { mode: 'SIMPLE', insecureSkipVerify: true } } },
    ],
  },
};

describe('Envoy accepts clusters', () => {
  it.each(Object.entries(policies))('with %s', async (_, spec) => {
    expect(await validateConfig(envoy, { listeners: [], clusters: clusters({ rule: rule('reviews', spec) }) })).toEqual(accepted);
  });

  it.each<Resolution>(['eds', 'dns-strict', 'dns-logical', 'passthrough'])('found by %s', async (resolution) => {
    const endpoints = () => [
      endpoint('a.example', { locality: locality('a/b/c'), tlsMode: 'disabled' }),
      endpoint('b.example', { locality: locality('d/e/f'), health: 'unhealthy' }),
    ];
    const found = clusters({ service: service('reviews', { resolution, registry: 'ServiceEntry' }), endpoints, ipFamily: 'both' });
    expect(await validateConfig(envoy, { listeners: [], clusters: found })).toEqual(accepted);
  });

  it.each<ServicePort['protocol']>(['http', 'http2', 'grpc', 'auto', 'tcp', 'https'])('of protocol %s', async (protocol) => {
    expect(await validateConfig(envoy, { listeners: [], clusters: clusters({ port: { ...http, protocol } }) })).toEqual(accepted);
  });

  it('that every proxy has', async () => {
    const special = [buildPassthroughCluster(mesh), buildBlackHoleCluster(mesh), buildInboundPassthroughCluster(mesh, 'both')];
    expect(await validateConfig(envoy, { listeners: [], clusters: special })).toEqual(accepted);
  });
});

const v1 = { destination: { host, subset: 'v1' } };
const routes: Record<string, HttpRouteSpec[]> = {
  'every match': [
    {
      name: 'r',
      match: [
        {
          name: 'm',
          uri: { prefix: '/a' },
          ignoreUriCase: true,
          method: { exact: 'GET' },
          authority: { regex: '.*' },
          scheme: { exact: 'http' },
          headers: { 'x-a': { exact: '1' }, 'x-b': {}, cookie: { regex: '^(.*?;)?(user=jason)(;.*)?$' } },
          withoutHeaders: { 'x-c': { prefix: 'p' }, 'x-d': {} },
          queryParams: { q: { exact: '1' }, r: { regex: '*' } },
          statPrefix: 'm',
        },
        { uri: { exact: '/b' } },
        { uri: { regex: '/c/.*' } },
      ],
      route: [v1],
    },
  ],
  'weights, retries, timeout, mirrors and headers': [
    {
      route: [
        { ...v1, weight: 75, headers: { request: { set: { ':authority': 'v1.example', a: 'b' } } } },
        { destination: { host, subset: 'v2' }, weight: 25, headers: { response: { remove: ['server'], add: { x: 'y' } } } },
        { destination: { host, subset: 'v3' }, weight: 0 },
      ],
      timeout: '1.5s',
      retries: { attempts: 3, perTryTimeout: '0.5s', retryOn: '5xx,503,reset', retryRemoteLocalities: true, backoff: '10ms' },
      mirrors: [{ destination: { host, subset: 'v3' }, percentage: { value: 0.1 } }],
      headers: { request: { set: { h: '1', host: 'other' }, add: { i: '%REQ(:path)%' }, remove: ['j', ':path'] } },
    },
  ],
  'redirects and direct responses': [
    { match: [{ uri: { prefix: '/r' } }], redirect: { uri: '/x', authority: 'y.example', scheme: 'https', port: 8443, redirectCode: 308 } },
    { match: [{ uri: { prefix: '/p' } }], redirect: { prefixRewrite: '/z', derivePort: 'FROM_REQUEST_PORT' } },
    { match: [{ uri: { prefix: '/s' } }], directResponse: { status: 418, body: { string: 'tea' } } },
    { match: [{ uri: { prefix: '/t' } }], directResponse: { status: 200, body: { bytes: 'dGVh' } } },
    { match: [{ uri: { prefix: '/n' } }] },
  ],
  'rewrites, CORS and faults': [
    { match: [{ uri: { prefix: '/old' } }], rewrite: { uri: '/new', authority: 'z.example' }, route: [v1] },
    { match: [{ uri: { prefix: '/re' } }], rewrite: { uriRegexRewrite: { match: '^/re/(.*)$', rewrite: '/\\1' } }, route: [v1] },
    {
      route: [v1],
      corsPolicy: { allowOrigins: [{ exact: 'https://a.example' }], allowMethods: ['GET'], maxAge: '24h', allowCredentials: true },
      fault: { delay: { fixedDelay: '5s', percentage: { value: 10 } }, abort: { httpStatus: 500, percentage: { value: 0.5 } } },
    },
  ],
};

function host9080(spec: HttpRouteSpec[] | undefined, protocol: ServicePort['protocol'] = 'http'): VirtualHost {
  const context = routeContext([service('reviews', { ports: [{ ...http, protocol }] })], [rule('reviews', policies['hash rings'] ?? {})]);
  const built = buildVirtualHost({
    context,
    domains: ['reviews', host],
    service: { host, port: 9080 },
    ...(spec && { virtualService: virtualService('reviews', spec) }),
  });
  if (built === undefined) throw new Error('no virtual host');
  return built;
}

function serving(table: RouteConfiguration): Listener {
  return create(ListenerSchema, {
    name: table.name,
    address: { address: { case: 'socketAddress', value: { address: '127.0.0.1', portSpecifier: { case: 'portValue', value: 0 } } } },
    filterChains: [
      {
        filters: [
          buildConnectionManagerFilter({ statPrefix: 'x', route: { inline: table }, direction: 'outbound', accessLogs: accessLogs(mesh) }),
        ],
      },
    ],
  });
}

describe('Envoy accepts routes', () => {
  it.each(Object.entries(routes))('with %s', async (_, spec) => {
    const table = { ...buildPortTable('9080', mesh), virtualHosts: [{ ...host9080(spec), name: `${host}:9080` }] };
    expect(await validateConfig(envoy, { listeners: [serving(table)], clusters: clusters() })).toEqual(accepted);
  });

  it('of every table', async () => {
    const listeners = [
      buildPortTable('9080', mesh),
      buildPortTable('http_proxy', { ...mesh, outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' } }),
      buildSniffedTable(`${host}:9080`, host9080(undefined, 'auto')),
      buildGatewayTable('http.8080'),
    ].map(serving);
    expect(await validateConfig(envoy, { listeners, clusters: [buildPassthroughCluster(mesh)] })).toEqual(accepted);
  });
});

describe('Envoy accepts listeners', () => {
  const context: OutboundListenerContext = { mesh, httpAccessLogs: accessLogs(mesh), tcpAccessLogs: accessLogs(mesh) };
  const tcp = { statPrefix: 'c', destination: { cluster: 'outbound|9080||reviews.default.svc.cluster.local' } };
  const given = [...clusters(), buildPassthroughCluster(mesh), buildBlackHoleCluster(mesh)];

  it('of every form', async () => {
    const listeners = [
      buildOutboundListener(context, { address: '0.0.0.0', port: 80, bindToPort: false, http: { route: '80' }, tcp: [] }),
      buildOutboundListener(context, { address: '127.0.0.1', port: 81, bindToPort: true, http: { route: '81' }, tcp: [] }),
      buildOutboundListener(context, {
        address: '10.0.0.1',
        port: 3306,
        bindToPort: false,
        tcp: [{ ...tcp, idleTimeout: '5s', hashSourceIp: true }],
      }),
      buildOutboundListener(context, { address: '10.0.0.2', port: 90, bindToPort: false, http: { route: `${host}:90` }, tcp: [tcp] }),
      buildOutboundListener(context, {
        address: '0.0.0.0',
        port: 443,
        bindToPort: false,
        http: { route: '443' },
        tcp: [
          { ...tcp, sniHosts: ['a.example', '*.b.example'] },
          { ...tcp, sniHosts: ['A.example', 'c.example'], cidrs: ['10.1.0.0/16', '2001:db8::1'] },
          { ...tcp, sniHosts: ['a.example'] },
          {
            statPrefix: 'vs.default',
            destination: {
              weighted: [
                { cluster: tcp.destination.cluster, weight: 1 },
                { cluster: 'PassthroughCluster', weight: 2 },
              ],
            },
            cidrs: ['10.2.0.0/16'],
          },
        ],
      }),
      buildVirtualOutbound(context, { interceptionMode: 'REDIRECT', address: '0.0.0.0', listenerAccessLogs: listenerAccessLogs(mesh) }),
      buildHttpProxyListener(context, 15002),
    ];
    expect(await validateConfig(envoy, { listeners, clusters: given })).toEqual(accepted);
  });
});
