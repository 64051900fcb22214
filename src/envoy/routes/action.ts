import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  RedirectAction_RedirectResponseCode,
  type Route,
  type RouteAction_RequestMirrorPolicySchema,
  type RouteActionSchema,
  RouteActionSchema as ActionSchema,
  DirectResponseActionSchema,
  RedirectActionSchema,
} from '#gen/envoy/config/route/v3/route_components_pb.js';
import { base64Decode } from '@bufbuild/protobuf/wire';
import { FractionalPercent_DenominatorType } from '#gen/envoy/type/v3/percent_pb.js';
import type { HTTPRedirect, HTTPRouteDestination, Percent } from '../../apis/virtual-service.ts';
import type { HttpRouteSpec } from '../../mesh/model.ts';
import { durationOf, noDuration } from '../duration.ts';
import type { RouteContext } from './context.ts';
import { type ResolvedDestination, resolveDestination } from './destination.ts';
import { buildHashPolicy } from './hash-policy.ts';
import { authorityOf, type HeaderMutations, headerMutations } from './header-operations.ts';
import { buildRetryPolicy } from './retry.ts';

type Action = Route['action'];
type ForwardInit = Extract<MessageInitShape<typeof RouteActionSchema>, { $typeName?: never }>;

export interface BuiltAction {
  readonly action: Action;
  /** Where it goes; empty for redirects and direct responses. */
  readonly destinations: readonly ResolvedDestination[];
  /** Of the only destination; with several they are on each. */
  readonly headers?: HeaderMutations;
}

/** Undefined where the route has nothing to do: its match then still stops the requests that it takes, as a 404. */
export function buildAction(context: RouteContext, route: HttpRouteSpec): BuiltAction | undefined {
  if (route.redirect !== undefined)
    return { action: { case: 'redirect', value: buildRedirect(context, route.redirect) }, destinations: [] };
  if (route.directResponse !== undefined) {
    return { action: { case: 'directResponse', value: buildDirectResponse(route.directResponse) }, destinations: [] };
  }
  const destinations = route.route ?? [];
  return destinations.length === 0 ? undefined : forward(context, route, destinations);
}

function forward(context: RouteContext, route: HttpRouteSpec, routes: readonly HTTPRouteDestination[]): BuiltAction {
  const [first] = routes;
  const only = routes.length === 1 ? first : undefined;
  // Weight 0 of several takes no traffic; the only destination takes all, whatever its weight.
  const weighted = routes.filter((destination) => only !== undefined || (destination.weight ?? 0) > 0);
  const resolved = weighted.map((destination) => resolveDestination(context, destination.destination));
  const hashPolicy = resolved.flatMap(({ consistentHash }) => buildHashPolicy(consistentHash) ?? []);
  const retryPolicy = buildRetryPolicy(route.retries ?? context.mesh.defaultHttpRetryPolicy, only !== undefined && hashPolicy.length > 0);
  const timeout = durationOf(route.timeout) ?? noDuration();
  const authority = route.rewrite?.authority || authorityOf(route.headers) || (only && authorityOf(only.headers));
  return {
    destinations: resolved,
    ...(only && { headers: headerMutations(only.headers) }),
    action: {
      case: 'route',
      value: create(ActionSchema, {
        ...clusters(weighted, resolved, only !== undefined),
        ...rewrite(route),
        timeout,
        // Otherwise a gRPC client's own deadline would be taken for the timeout of the route.
        maxGrpcTimeout: timeout,
        hashPolicy,
        ...(authority && { hostRewriteSpecifier: { case: 'hostRewriteLiteral', value: authority } }),
        ...(retryPolicy && { retryPolicy }),
        requestMirrorPolicies: mirrors(context, route),
      }),
    },
  };
}

function clusters(
  routes: readonly HTTPRouteDestination[],
  resolved: readonly ResolvedDestination[],
  single: boolean,
): Pick<ForwardInit, 'clusterSpecifier'> {
  if (single) return { clusterSpecifier: { case: 'cluster', value: resolved[0]?.cluster ?? '' } };
  return {
    clusterSpecifier: {
      case: 'weightedClusters',
      value: {
        clusters: routes.map((route, index) => {
          const authority = authorityOf(route.headers);
          return {
            name: resolved[index]?.cluster ?? '',
            weight: route.weight ?? 0,
            ...headerMutations(route.headers),
            ...(authority !== undefined && { hostRewriteSpecifier: { case: 'hostRewriteLiteral' as const, value: authority } }),
          };
        }),
      },
    },
  };
}

function rewrite(route: HttpRouteSpec): Pick<ForwardInit, 'prefixRewrite' | 'regexRewrite'> {
  const regex = route.rewrite?.uriRegexRewrite;
  if (regex?.match) return { regexRewrite: { pattern: { regex: regex.match }, substitution: regex.rewrite ?? '' } };
  return route.rewrite?.uri ? { prefixRewrite: route.rewrite.uri } : {};
}

type MirrorInit = MessageInitShape<typeof RouteAction_RequestMirrorPolicySchema>;

/** Copies of requests; their answers are dropped. `mirror` is the old form of `mirrors`; a share of 0 is none. */
function mirrors(context: RouteContext, route: HttpRouteSpec): MirrorInit[] {
  const whole = route.mirrorPercent ?? route.mirror_percent;
  const share = route.mirrorPercentage ?? (whole === undefined ? undefined : { value: whole });
  const all = [...(route.mirror === undefined ? [] : [{ destination: route.mirror, percentage: share }]), ...(route.mirrors ?? [])];
  return all.flatMap(({ destination, percentage }) => {
    if (percentage !== undefined && !percentage.value) return [];
    const { cluster } = resolveDestination(context, destination);
    return [{ cluster, runtimeFraction: { defaultValue: fraction(percentage) }, traceSampled: false }];
  });
}

function fraction(percentage: Percent | undefined) {
  if (percentage?.value === undefined) return { numerator: 100, denominator: FractionalPercent_DenominatorType.HUNDRED };
  return { numerator: Math.trunc(percentage.value * 10_000), denominator: FractionalPercent_DenominatorType.MILLION };
}

const redirectCodes: Readonly<Record<number, RedirectAction_RedirectResponseCode>> = {
  301: RedirectAction_RedirectResponseCode.MOVED_PERMANENTLY,
  302: RedirectAction_RedirectResponseCode.FOUND,
  303: RedirectAction_RedirectResponseCode.SEE_OTHER,
  307: RedirectAction_RedirectResponseCode.TEMPORARY_REDIRECT,
  308: RedirectAction_RedirectResponseCode.PERMANENT_REDIRECT,
};

function buildRedirect(context: RouteContext, redirect: HTTPRedirect) {
  const scheme = redirect.scheme || (context.https === true ? 'https' : 'http');
  const port = redirect.derivePort === 'FROM_REQUEST_PORT' ? context.listenerPort : (redirect.port ?? 0);
  const isDefaultPort = (scheme === 'http' && port === 80) || (scheme === 'https' && port === 443);
  return create(RedirectActionSchema, {
    hostRedirect: redirect.authority ?? '',
    portRedirect: isDefaultPort ? 0 : port,
    pathRewriteSpecifier: redirect.prefixRewrite
      ? { case: 'prefixRewrite', value: redirect.prefixRewrite }
      : { case: 'pathRedirect', value: redirect.uri ?? '' },
    ...(redirect.scheme && { schemeRewriteSpecifier: { case: 'schemeRedirect', value: redirect.scheme } }),
    responseCode: redirectCodes[redirect.redirectCode || 301] ?? RedirectAction_RedirectResponseCode.MOVED_PERMANENTLY,
  });
}

function buildDirectResponse({ status, body }: NonNullable<HttpRouteSpec['directResponse']>) {
  return create(DirectResponseActionSchema, {
    status,
    ...(body?.string !== undefined && { body: { specifier: { case: 'inlineString', value: body.string } } }),
    ...(body?.bytes !== undefined && { body: { specifier: { case: 'inlineBytes', value: base64Decode(body.bytes) } } }),
  });
}
