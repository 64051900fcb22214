import { create } from '@bufbuild/protobuf';
import { type Route, RouteSchema, type VirtualHost, VirtualHostSchema } from '#gen/envoy/config/route/v3/route_components_pb.js';
import type { MeshVirtualService } from '../../mesh/model.ts';
import { noDuration } from '../duration.ts';
import { alpnPerRoute } from '../filters/alpn.ts';
import type { RouteContext } from './context.ts';
import { resolveDestination } from './destination.ts';
import { buildHashPolicy } from './hash-policy.ts';
import { buildRouteMatch } from './match.ts';
import { buildRetryPolicy } from './retry.ts';
import { buildVirtualServiceRoutes } from './virtual-service.ts';

export interface VirtualHostInput {
  readonly context: RouteContext;
  readonly domains: readonly string[];
  /** The service port behind the host, if the mesh knows it: gets whatever no VirtualService takes over. */
  readonly service?: { readonly host: string; readonly port: number };
  readonly virtualService?: MeshVirtualService;
}

/**
 * A virtual host without its name, which depends on the table and is put in on sending. The routes are those of the VirtualService; where it has
 * none for this table, the default route to the service. Undefined where there is neither.
 */
export function buildVirtualHost(input: VirtualHostInput): VirtualHost | undefined {
  const { context, service, virtualService } = input;
  let routes = virtualService === undefined ? [] : buildVirtualServiceRoutes(context, virtualService);
  if (routes.length === 0 && service !== undefined) routes = [buildDefaultRoute(context, service.host, service.port)];
  if (routes.length === 0) return undefined;
  return create(VirtualHostSchema, { domains: [...input.domains], routes, includeRequestAttemptCount: true });
}

/** Everything to the service, without a time limit, with Istio's default retries. */
function buildDefaultRoute(context: RouteContext, host: string, port: number): Route {
  const destination = resolveDestination(context, { host, port: { number: port } });
  const hashPolicy = buildHashPolicy(destination.consistentHash);
  const retryPolicy = buildRetryPolicy(context.mesh.defaultHttpRetryPolicy, false);
  const perFilter = alpnPerRoute([destination]);
  return create(RouteSchema, {
    name: 'default',
    match: buildRouteMatch(undefined),
    decorator: { operation: `${host}:${port}/*` },
    action: {
      case: 'route',
      value: {
        clusterSpecifier: { case: 'cluster', value: destination.cluster },
        timeout: noDuration(),
        maxGrpcTimeout: noDuration(),
        hashPolicy: hashPolicy === undefined ? [] : [hashPolicy],
        ...(retryPolicy && { retryPolicy }),
      },
    },
    ...(perFilter && { typedPerFilterConfig: perFilter }),
  });
}
