import { describe, expect, it } from 'vitest';
import { RedirectAction_RedirectResponseCode, type Route } from '#gen/envoy/config/route/v3/route_components_pb.js';
import type { HttpRouteSpec, MeshDestinationRule } from '../../mesh/model.ts';
import { alpnFilterName } from '../filters/alpn.ts';
import { http, routeContext, rule, service, virtualService } from '../testing/model.ts';
import type { RouteContext } from './context.ts';
import { sourceLabelNames } from './source.ts';
import { buildVirtualHost } from './virtual-host.ts';

const host = 'reviews.default.svc.cluster.local';
const reviews = service('reviews', { ports: [http, { name: 'admin', number: 9090, protocol: 'http' }] });
const ratings = service('ratings', { ports: [{ name: 'http', number: 7070, protocol: 'http' }] });

function routes(
  spec: readonly HttpRouteSpec[] | undefined,
  rules: readonly MeshDestinationRule[] = [],
  over: Partial<RouteContext> = {},
): Route[] {
  const built = buildVirtualHost({
    context: routeContext([reviews, ratings], rules, over),
    domains: [host],
    service: { host, port: 9080 },
    ...(spec && { virtualService: virtualService('reviews', spec) }),
  });
  return built?.routes ?? [];
}

function forward(route: Route | undefined) {
  if (route?.action.case !== 'route') throw new Error(`no forwarding: ${route?.action.case}`);
  return route.action.value;
}

const cluster = (route: Route | undefined) => forward(route).clusterSpecifier.value;
const to = (subset?: string): NonNullable<HttpRouteSpec['route']> => [{ destination: { host, ...(subset !== undefined && { subset }) } }];

describe('without a VirtualService', () => {
  it('sends everything to the service, with the default retries and no time limit', () => {
    const [route] = routes(undefined);
    const action = forward(route);
    expect(route).toMatchObject({ name: 'default', decorator: { operation: `${host}:9080/*` } });
    expect(action).toMatchObject({
      clusterSpecifier: { case: 'cluster', value: `outbound|9080||${host}` },
      timeout: { seconds: 0n, nanos: 0 },
      maxGrpcTimeout: { seconds: 0n, nanos: 0 },
      retryPolicy: {
        retryOn: 'connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes',
        numRetries: 2,
        hostSelectionRetryMaxAttempts: 5n,
        retryHostPredicate: [{ name: 'envoy.retry_host_predicates.previous_hosts' }],
      },
    });
  });

  it('has no name, and counts attempts', () => {
    const built = buildVirtualHost({ context: routeContext([reviews]), domains: ['a', 'b'], service: { host, port: 9080 } });
    expect(built).toMatchObject({ name: '', domains: ['a', 'b'], includeRequestAttemptCount: true });
  });

  it('gives nothing without a service either', () => {
    expect(buildVirtualHost({ context: routeContext([]), domains: ['a'] })).toBeUndefined();
  });

  it('hashes by the rule of the port', () => {
    const portLevelSettings = [{ port: { number: 9080 }, loadBalancer: { consistentHash: { httpHeaderName: 'x-user' } } }];
    const [route] = routes(undefined, [rule('reviews', { trafficPolicy: { portLevelSettings } })]);
    expect(forward(route).hashPolicy.map(({ policySpecifier }) => policySpecifier)).toMatchObject([
      { case: 'header', value: { headerName: 'x-user' } },
    ]);
  });
});

describe('matches', () => {
  it('are taken in order, and nothing after one that takes everything', () => {
    const built = routes([
      { name: 'a', match: [{ uri: { exact: '/a' } }, { uri: { prefix: '/' } }, { uri: { prefix: '/never' } }], route: to('v1') },
      { name: 'never', route: to('v2') },
    ]);
    expect(built.map(({ match }) => match?.pathSpecifier)).toMatchObject([
      { case: 'path', value: '/a' },
      { case: 'prefix', value: '/' },
    ]);
  });

  it('of other ports, gateways, labels and namespaces are passed over', () => {
    const built = routes([
      {
        match: [
          { name: 'port', port: 80 },
          { name: 'gateway', gateways: ['default/gw'] },
          { name: 'labels', sourceLabels: { app: 'ratings' } },
          { name: 'namespace', sourceNamespace: 'other' },
          { name: 'all', port: 9080, sourceLabels: { app: 'productpage' }, sourceNamespace: 'default', uri: { prefix: '/x' } },
          { name: 'mesh', gateways: ['mesh'], sourceLabels: { app: 'ignored beside gateways' }, uri: { prefix: '/y' } },
        ],
        route: to(),
      },
    ]);
    expect(built.map(({ name }) => name)).toEqual(['.all', '.mesh']);
  });

  it('that leave nothing give the default route', () => {
    expect(routes([{ match: [{ port: 80 }], route: to('v1') }]).map(({ name }) => name)).toEqual(['default']);
  });

  it('by header: present, absent, equal or not', () => {
    const [route] = routes([
      {
        match: [{ headers: { b: { exact: '1' }, a: {} }, withoutHeaders: { d: { prefix: 'x' }, c: {} }, method: { exact: 'GET' } }],
        route: to(),
      },
    ]);
    expect(route?.match?.headers).toMatchObject([
      { name: 'a', headerMatchSpecifier: { case: 'presentMatch', value: true }, invertMatch: false },
      { name: 'b', headerMatchSpecifier: { case: 'stringMatch', value: { matchPattern: { case: 'exact', value: '1' } } } },
      { name: 'c', headerMatchSpecifier: { case: 'presentMatch', value: true }, invertMatch: true, treatMissingHeaderAsEmpty: false },
      { name: 'd', headerMatchSpecifier: { case: 'stringMatch' }, invertMatch: true, treatMissingHeaderAsEmpty: true },
      { name: ':method', headerMatchSpecifier: { case: 'stringMatch' } },
    ]);
  });

  it('name the labels of sources that they read', () => {
    const match = [{ sourceLabels: { b: '1', a: '2' } }, { sourceLabels: { b: '3' } }];
    expect(sourceLabelNames(virtualService('reviews', [{ match }]))).toEqual(['a', 'b']);
  });
});

describe('destinations', () => {
  it('take the port of the listener; of a service that lacks it, its only port; or the one that is written', () => {
    const other = 'ratings.default.svc.cluster.local';
    const built = routes([
      { match: [{ uri: { prefix: '/1' } }], route: to('v1') },
      { match: [{ uri: { prefix: '/2' } }], route: [{ destination: { host: other } }] },
      { match: [{ uri: { prefix: '/3' } }], route: [{ destination: { host, port: { number: 9090 } } }] },
      { match: [{ uri: { prefix: '/4' } }], route: [{ destination: { host: 'unknown.example' } }] },
    ]);
    expect(built.map(cluster)).toEqual([
      `outbound|9080|v1|${host}`,
      `outbound|7070||${other}`,
      `outbound|9090||${host}`,
      'outbound|9080||unknown.example',
    ]);
  });

  it('are weighted; weight 0 gets nothing, unless it is alone', () => {
    const [v1, v2, v3] = ['v1', 'v2', 'v3'].map((subset) => ({ host, subset }));
    if (v1 === undefined || v2 === undefined || v3 === undefined) throw new Error('no destination');
    const [weighted] = routes([{ route: [{ destination: v1, weight: 90 }, { destination: v2, weight: 10 }, { destination: v3 }] }]);
    expect(cluster(weighted)).toMatchObject({
      clusters: [
        { name: `outbound|9080|v1|${host}`, weight: 90 },
        { name: `outbound|9080|v2|${host}`, weight: 10 },
      ],
    });
    expect(weighted?.decorator?.operation).toBe('reviews:9080/*');
    expect(cluster(routes([{ route: [{ destination: v3, weight: 0 }] }])[0])).toBe(`outbound|9080|v3|${host}`);
  });

  it('say which VirtualService they come from', () => {
    expect(routes([{ route: to('v1') }])[0]?.metadata?.filterMetadata).toEqual({
      istio: { config: '/apis/networking.istio.io/v1/namespaces/default/virtual-service/reviews' },
    });
  });

  it('are announced as HTTP by ALPN only on ports without a protocol, and not to servers outside of the mesh', () => {
    const auto = service('reviews', { ports: [{ ...http, protocol: 'auto' }] });
    const filters = (rules: readonly MeshDestinationRule[], services = [auto]) => {
      const find = (name: string) => services.find((candidate) => candidate.host === name);
      return Object.keys(routes([{ route: to() }], rules, { service: find })[0]?.typedPerFilterConfig ?? {});
    };
    expect(filters([])).toEqual([alpnFilterName]);
    expect(filters([rule('reviews', { trafficPolicy: { tls: { mode: 'SIMPLE' } } })])).toEqual([]);
    expect(filters([], [reviews])).toEqual([]);
  });
});

describe('retries and timeouts', () => {
  it('of the route: codes among the words, attempts 0 for none', () => {
    const retries = { attempts: 5, retryOn: 'reset, 503,429', perTryTimeout: '250ms', backoff: '10ms', retryIgnorePreviousHosts: false };
    const [first, second] = routes([
      { match: [{ uri: { prefix: '/1' } }], route: to(), retries, timeout: '1.5s' },
      { match: [{ uri: { prefix: '/2' } }], route: to(), retries: { attempts: 0 } },
    ]);
    expect(forward(first)).toMatchObject({
      timeout: { seconds: 1n, nanos: 500_000_000 },
      maxGrpcTimeout: { seconds: 1n, nanos: 500_000_000 },
      retryPolicy: {
        numRetries: 5,
        retryOn: 'reset,retriable-status-codes',
        retriableStatusCodes: [503, 429],
        perTryTimeout: { seconds: 0n, nanos: 250_000_000 },
        retryBackOff: { baseInterval: { nanos: 10_000_000 } },
        retryHostPredicate: [],
      },
    });
    expect(forward(second).retryPolicy).toBeUndefined();
  });

  it('stay with the hashed endpoint', () => {
    const hashed = rule('reviews', { trafficPolicy: { loadBalancer: { consistentHash: { useSourceIp: true } } } });
    expect(forward(routes([{ route: to() }], [hashed])[0]).retryPolicy?.retryHostPredicate).toEqual([]);
  });
});

describe('answers of the proxy itself', () => {
  it('redirects, without the port that the scheme implies', () => {
    const [a, b, c] = routes([
      { match: [{ uri: { prefix: '/1' } }], redirect: { uri: '/x', scheme: 'https', port: 443 } },
      { match: [{ uri: { prefix: '/2' } }], redirect: { prefixRewrite: '/y', derivePort: 'FROM_REQUEST_PORT', redirectCode: 307 } },
      { match: [{ uri: { prefix: '/3' } }], directResponse: { status: 503, body: { string: 'closed' } } },
    ]);
    expect(a?.action).toMatchObject({
      case: 'redirect',
      value: {
        pathRewriteSpecifier: { case: 'pathRedirect', value: '/x' },
        portRedirect: 0,
        responseCode: RedirectAction_RedirectResponseCode.MOVED_PERMANENTLY,
      },
    });
    expect(b?.action).toMatchObject({
      case: 'redirect',
      value: {
        pathRewriteSpecifier: { case: 'prefixRewrite', value: '/y' },
        portRedirect: 9080,
        responseCode: RedirectAction_RedirectResponseCode.TEMPORARY_REDIRECT,
      },
    });
    expect(c?.action).toMatchObject({
      case: 'directResponse',
      value: { status: 503, body: { specifier: { case: 'inlineString', value: 'closed' } } },
    });
  });
});

describe('headers', () => {
  it('are added and set in order; host goes into the rewrite, and a rewrite of the route wins', () => {
    const headers = { request: { set: { 'x-b': '2', Host: 'other.example' }, add: { 'x-a': '1' }, remove: ['x-c', ':path'] } };
    const [a, b] = routes([
      { match: [{ uri: { prefix: '/1' } }], route: to(), headers, rewrite: { uri: '/new' } },
      { match: [{ uri: { prefix: '/2' } }], route: to(), headers, rewrite: { authority: 'z.example' } },
    ]);
    expect(a?.requestHeadersToAdd.map(({ header }) => `${header?.key}=${header?.value}`)).toEqual(['x-a=1', 'x-b=2']);
    expect(a?.requestHeadersToRemove).toEqual(['x-c']);
    expect(forward(a)).toMatchObject({
      prefixRewrite: '/new',
      hostRewriteSpecifier: { case: 'hostRewriteLiteral', value: 'other.example' },
    });
    expect(forward(b).hostRewriteSpecifier.value).toBe('z.example');
  });
});
