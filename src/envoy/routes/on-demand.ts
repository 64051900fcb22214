/** Virtual hosts as a proxy in lazy mode gets them. */
import { clone, create } from '@bufbuild/protobuf';
import { type Route, RouteSchema, type VirtualHost, VirtualHostSchema } from '#gen/envoy/config/route/v3/route_components_pb.js';
import { noDuration } from '../duration.ts';
import { buildRouteMatch } from './match.ts';

/**
 * Its routes lift the time limit that the listener sets to the wait for the host, and take every request: for one that no route takes Envoy would ask for the host
 * again.
 */
export function onDemandHost(host: VirtualHost): VirtualHost {
  const result = clone(VirtualHostSchema, host);
  for (const { action } of result.routes) if (action.case === 'route') action.value.idleTimeout ??= noDuration();
  if (!result.routes.some(takesAll)) result.routes.push(notFound);
  return result;
}

export function isWildcard(domain: string): boolean {
  return domain.startsWith('*') || domain.endsWith('*');
}

/** Clusters that the routes name, the targets of copies among them, for which Envoy does not ask. */
export function clustersOf(host: VirtualHost): ReadonlySet<string> {
  const clusters = new Set<string>();
  for (const { action } of host.routes) {
    if (action.case !== 'route') continue;
    const { clusterSpecifier, requestMirrorPolicies } = action.value;
    if (clusterSpecifier.case === 'cluster') clusters.add(clusterSpecifier.value);
    if (clusterSpecifier.case === 'weightedClusters') for (const { name } of clusterSpecifier.value.clusters) clusters.add(name);
    for (const { cluster } of requestMirrorPolicies) if (cluster !== '') clusters.add(cluster);
  }
  return clusters;
}

function takesAll({ match }: Route): boolean {
  if (match?.pathSpecifier.case !== 'prefix' || match.pathSpecifier.value !== '/') return false;
  return match.headers.length + match.queryParameters.length === 0 && match.runtimeFraction === undefined && match.grpc === undefined;
}

const notFound = create(RouteSchema, {
  name: 'not_found',
  match: buildRouteMatch(undefined),
  action: { case: 'directResponse', value: { status: 404 } },
});
