import type { HTTPMatchRequest } from '../../apis/virtual-service.ts';
import { matchesLabels } from '../../lib/labels.ts';
import type { MeshVirtualService } from '../../mesh/model.ts';
import type { RouteContext } from './context.ts';

/** Whether a match concerns this table at all: its port, and either its gateways or its sources (gateways rule sources out, as in Istio). */
export function concerns(context: RouteContext, match: HTTPMatchRequest): boolean {
  if (match.port !== undefined && match.port !== 0 && match.port !== context.listenerPort) return false;
  const gateways = match.gateways ?? [];
  if (gateways.length > 0) return gateways.some((gateway) => context.gateways.includes(gateway));
  if (match.sourceLabels !== undefined && !matchesLabels(match.sourceLabels, context.source.labels)) return false;
  return !match.sourceNamespace || match.sourceNamespace === context.source.namespace;
}

/** Labels of the source that decide over the routes of a VirtualService: part of the key under which they can be shared. */
export function sourceLabelNames(virtualService: MeshVirtualService): readonly string[] {
  const names = virtualService.http.flatMap(({ match = [] }) => match.flatMap(({ sourceLabels = {} }) => Object.keys(sourceLabels)));
  return [...new Set(names)].sort();
}
