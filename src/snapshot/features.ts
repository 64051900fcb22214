/** What the time of translations is spent on. */
import { clusterType, endpointType, listenerType, nameTableType, routeType, secretType, virtualHostType } from '../wire/types.ts';
import type { TypeUrl } from '../xds/source.ts';

/**
 * Resources of the outbound parts count by their type; all that is made for gateways, for a Sidecar, or for what a workload receives, counts for that. Secrets are
 * those of gateways. What is made of no feature alone is the model: services, endpoints, who sees what, and which proxies there are.
 */
export const features = [
  'model',
  'policies',
  'clusters',
  'endpoints',
  'listeners',
  'routes',
  'virtual hosts',
  'name tables',
  'inbound',
  'gateway',
  'sidecar',
  'secrets',
  'plans',
  'references',
] as const;

export type Feature = (typeof features)[number];

const byType: ReadonlyMap<TypeUrl, Feature> = new Map<TypeUrl, Feature>([
  [clusterType, 'clusters'],
  [endpointType, 'endpoints'],
  [listenerType, 'listeners'],
  [routeType, 'routes'],
  [virtualHostType, 'virtual hosts'],
  [nameTableType, 'name tables'],
  [secretType, 'secrets'],
]);

export function featureOfType(type: TypeUrl): Feature {
  return byType.get(type) ?? 'model';
}
