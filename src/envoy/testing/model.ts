/** Small facts of a mesh for tests of the translators. */
import { objectKey } from '../../apis/object.ts';
import type { DestinationRuleSpec } from '../../apis/destination-rule.ts';
import { defaultMeshConfig } from '../../apis/mesh-config.ts';
import {
  type Endpoint,
  type HttpRouteSpec,
  type MeshDestinationRule,
  type MeshVirtualService,
  noLocality,
  type Service,
  type ServicePort,
} from '../../mesh/model.ts';
import type { RouteContext } from '../routes/context.ts';

export const http: ServicePort = { name: 'http', number: 9080, protocol: 'http' };

export function service(name: string, over: Partial<Service> = {}): Service {
  const host = `${name}.default.svc.cluster.local`;
  return {
    key: `default/${host}`,
    host,
    namespace: 'default',
    name,
    registry: 'Kubernetes',
    ports: [http],
    addresses: ['10.0.0.1'],
    resolution: 'eds',
    meshExternal: false,
    headless: false,
    exportTo: ['*'],
    subjectAltNames: [],
    labels: {},
    object: objectKey('Service', 'default', name),
    ...over,
  };
}

export function endpoint(address: string, over: Partial<Endpoint> = {}): Endpoint {
  return {
    address,
    port: 9080,
    servicePort: 'http',
    labels: { app: 'reviews', version: 'v1' },
    locality: noLocality,
    network: '',
    weight: 1,
    identity: 'spiffe://cluster.local/ns/default/sa/reviews',
    tlsMode: 'istio',
    health: 'healthy',
    namespace: 'default',
    workloadName: 'reviews-v1',
    cluster: 'Kubernetes',
    object: objectKey('WorkloadEntry', 'default', 'reviews-v1'),
    ...over,
  };
}

/** `region/zone/subZone`. */
export function locality(text: string): Endpoint['locality'] {
  const [region = '', zone = '', subZone = ''] = text.split('/');
  return { region, zone, subZone };
}

export function rule(name: string, spec: Omit<DestinationRuleSpec, 'host'>): MeshDestinationRule {
  const host = `${name}.default.svc.cluster.local`;
  return { host, namespace: 'default', exportTo: ['*'], spec: { host, ...spec }, objects: [objectKey('DestinationRule', 'default', name)] };
}

export function virtualService(name: string, http: readonly HttpRouteSpec[]): MeshVirtualService {
  return {
    object: objectKey('VirtualService', 'default', name),
    name,
    namespace: 'default',
    hosts: [`${name}.default.svc.cluster.local`],
    gateways: ['mesh'],
    exportTo: ['*'],
    http,
  };
}

/** A table of port 9080 for a sidecar `app: productpage` in `default`. */
export function routeContext(
  services: readonly Service[],
  rules: readonly MeshDestinationRule[] = [],
  over: Partial<RouteContext> = {},
): RouteContext {
  return {
    mesh: defaultMeshConfig,
    gateways: ['mesh'],
    source: { labels: { app: 'productpage' }, namespace: 'default' },
    listenerPort: 9080,
    service: (host) => services.find((candidate) => candidate.host === host),
    rule: (host) => rules.find((candidate) => candidate.host === host),
    ...over,
  };
}
