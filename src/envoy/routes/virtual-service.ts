import { create } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { type Route, RouteSchema } from '#gen/envoy/config/route/v3/route_components_pb.js';
import type { HTTPMatchRequest } from '../../apis/virtual-service.ts';
import type { HttpRouteSpec, MeshVirtualService } from '../../mesh/model.ts';
import { configPath, istioMetadata } from '../config-metadata.ts';
import { alpnPerRoute } from '../filters/alpn.ts';
import { corsFilterName, faultFilterName } from '../filters/hcm.ts';
import { buildAction } from './action.ts';
import type { RouteContext } from './context.ts';
import { buildCors } from './cors.ts';
import type { ResolvedDestination } from './destination.ts';
import { buildFault } from './fault.ts';
import { headerMutations } from './header-operations.ts';
import { buildRouteMatch, isCatchAll } from './match.ts';
import { concerns } from './source.ts';

/** The routes that concern this table, in the order of the VirtualService; nothing comes after one that takes every request. */
export function buildVirtualServiceRoutes(context: RouteContext, virtualService: MeshVirtualService): Route[] {
  const routes: Route[] = [];
  for (const http of virtualService.http) {
    const matches: readonly (HTTPMatchRequest | undefined)[] =
      http.match === undefined || http.match.length === 0 ? [undefined] : http.match;
    for (const match of matches) {
      if (match !== undefined && !concerns(context, match)) continue;
      const route = buildRoute(context, virtualService, http, match);
      routes.push(route);
      if (route.match !== undefined && isCatchAll(route.match)) return routes;
    }
  }
  return routes;
}

function buildRoute(
  context: RouteContext,
  virtualService: MeshVirtualService,
  http: HttpRouteSpec,
  match: HTTPMatchRequest | undefined,
): Route {
  const built = buildAction(context, http);
  const own = headerMutations(http.headers);
  const only = built?.headers;
  const routeMatch = buildRouteMatch(match);
  return create(RouteSchema, {
    name: match?.name ? `${http.name ?? ''}.${match.name}` : (http.name ?? ''),
    match: routeMatch,
    action: built?.action ?? notFound(),
    metadata: { filterMetadata: { [istioMetadata]: { config: configPath(virtualService.object) } } },
    decorator: { operation: operationOf(context, virtualService, built?.destinations ?? [], routeMatch) },
    statPrefix: match?.statPrefix ?? '',
    requestHeadersToAdd: [...own.requestHeadersToAdd, ...(only?.requestHeadersToAdd ?? [])],
    requestHeadersToRemove: [...own.requestHeadersToRemove, ...(only?.requestHeadersToRemove ?? [])],
    responseHeadersToAdd: [...own.responseHeadersToAdd, ...(only?.responseHeadersToAdd ?? [])],
    responseHeadersToRemove: [...own.responseHeadersToRemove, ...(only?.responseHeadersToRemove ?? [])],
    typedPerFilterConfig: perFilter(http, built?.destinations ?? []),
  });
}

function perFilter(http: HttpRouteSpec, destinations: readonly ResolvedDestination[]): Record<string, Any> {
  const fault = http.fault && buildFault(http.fault);
  return {
    ...alpnPerRoute(destinations),
    ...(fault && { [faultFilterName]: fault }),
    ...(http.corsPolicy && { [corsFilterName]: buildCors(http.corsPolicy) }),
  };
}

/** A route without destination, redirect or response: Envoy demands an action. */
function notFound(): Route['action'] {
  return { case: 'directResponse', value: { $typeName: 'envoy.config.route.v3.DirectResponseAction', status: 404 } };
}

type Match = ReturnType<typeof buildRouteMatch>;

/** Name of the span: `host:port/path*` of the only destination, else of the VirtualService. */
function operationOf(
  context: RouteContext,
  virtualService: MeshVirtualService,
  destinations: readonly ResolvedDestination[],
  match: Match,
): string {
  const path = operationPath(match.pathSpecifier);
  const [only] = destinations;
  if (only !== undefined && destinations.length === 1) return `${only.host}:${only.port}${path}`;
  return `${virtualService.name}:${context.listenerPort}${path}`;
}

function operationPath(specifier: Match['pathSpecifier']): string {
  switch (specifier.case) {
    case 'prefix':
      return `${specifier.value}*`;
    case 'path':
      return specifier.value;
    case 'safeRegex':
      return specifier.value.regex;
    default:
      return '/*';
  }
}
