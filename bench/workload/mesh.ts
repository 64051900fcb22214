/** The mesh that is measured, as neither a folder nor a cluster writes it down: services with their endpoints, and objects that are the same in both. */

/**
 * `default`: 10 namespaces, every proxy sees every service. `namespaces`: a namespace for every two proxies. `sidecars`: 10 namespaces, each with a
 * Sidecar that shows its proxies nothing of the others.
 */
export type Layout = 'default' | 'namespaces' | 'sidecars';
export const layouts: readonly Layout[] = ['default', 'namespaces', 'sidecars'];

export interface MeshSize {
  readonly services: number;
  readonly virtualServices: number;
  readonly proxies: number;
  readonly layout: Layout;
}

/** A Kubernetes or Istio object as it is written down. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

export interface Endpoint {
  readonly name: string;
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
  /** A proxy stands beside it, so that in a cluster it must be a pod. */
  readonly proxied: boolean;
}

/** A Service; its name is also that of its service account and of its `app` label. */
export interface MeshService {
  readonly name: string;
  readonly namespace: string;
  readonly clusterIP: string;
  readonly endpoints: readonly Endpoint[];
}

/** What a feed writes: a service with its endpoints, or one object. */
export type Item = { readonly service: MeshService } | { readonly object: Manifest };

/** A workload whose proxy takes part. */
export interface SimulatedProxy {
  readonly name: string;
  readonly namespace: string;
  readonly address: string;
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
}

export const endpointsPerService = 3;
/** The last endpoint of a service has no proxy, so that a change of it concerns those that call it and no proxy itself. */
const maxProxiesPerService = endpointsPerService - 1;
const maxServices = 10_000;
const minServices = 3;

/** What is wrong with the size, if anything. */
export function checkSize(size: MeshSize): string | undefined {
  const { services, virtualServices, proxies } = size;
  if (services < minServices || services > maxServices) return `services must be ${minServices} to ${maxServices}, not ${services}`;
  if (virtualServices < 0 || virtualServices > services) return `there can be as many VirtualServices as services, ${services}`;
  const most = services * maxProxiesPerService - 1;
  if (proxies < 1 || proxies > most)
    return `proxies must be 1 to ${most}: each is an endpoint of its own, ${maxProxiesPerService} for every service, and one is for a real Envoy`;
  const namespaces = namespaceCount(size);
  if (namespaces > services)
    return `layout ${size.layout} with ${proxies} proxies has ${namespaces} namespaces, which need as many services`;
  return undefined;
}

export function namespaceCount({ layout, services, proxies }: MeshSize): number {
  return layout === 'namespaces' ? Math.max(minServices, Math.ceil(proxies / 2)) : Math.min(10, services);
}

/** Services take turns, so that the first of them are one in each namespace. */
export function namespaceOf(size: MeshSize, service: number): string {
  return `ns-${service % namespaceCount(size)}`;
}

export function namespaceNames(size: MeshSize): string[] {
  return Array.from({ length: namespaceCount(size) }, (_, i) => namespaceOf(size, i));
}

export function serviceName(service: number): string {
  return `svc-${service}`;
}

export function hostOf(size: MeshSize, service: number): string {
  return `${serviceName(service)}.${namespaceOf(size, service)}.svc.cluster.local`;
}

/** The name of Istio's cluster for a host. */
export function clusterOf(host: string): string {
  return `outbound|80||${host}`;
}

/** Everything that is there before the first proxy connects. */
export function meshItems(size: MeshSize): Item[] {
  const namespaces = [rootNamespace, ...namespaceNames(size)].map((name) => ({ object: namespaceManifest(name) }));
  const sidecars = size.layout === 'sidecars' ? namespaceNames(size).map((name) => ({ object: sidecarManifest(name, []) })) : [];
  return [
    ...namespaces,
    { object: meshConfigManifest() },
    ...Array.from({ length: size.services }, (_, i) => ({ service: serviceOf(size, i) })),
    ...Array.from({ length: size.virtualServices }, (_, i) => ({ object: routeManifest(size, i, 'first') })),
    ...sidecars,
  ];
}

/** Where MeshConfig is. */
export const rootNamespace = 'istio-system';

export function namespaceManifest(name: string, labels: Readonly<Record<string, string>> = {}): Manifest {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { 'kubernetes.io/metadata.name': name, ...labels } } };
}

/** A namespace with this label is no part of the mesh. */
export const hiddenLabel = 'bench-hidden';

/** ConfigMap `istio`. JSON, which is YAML too. */
export function meshConfigManifest(settings: Readonly<Record<string, unknown>> = {}): Manifest {
  const mesh = {
    discoverySelectors: [{ matchExpressions: [{ key: hiddenLabel, operator: 'DoesNotExist' }] }],
    ...settings,
  };
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'istio', namespace: rootNamespace },
    data: { mesh: JSON.stringify(mesh) },
  };
}

/** Shows the proxies of a namespace their own services and those of some others. */
export function sidecarManifest(namespace: string, others: readonly string[]): Manifest {
  const hosts = ['./*', `${rootNamespace}/*`, ...others.map((other) => `${other}/*`)];
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'Sidecar',
    metadata: { name: 'default', namespace },
    spec: { egress: [{ hosts }] },
  };
}

/** A service and its endpoints; the last endpoint, which has no proxy, can be given another address. */
export function serviceOf(size: MeshSize, service: number, lastAddress?: string): MeshService {
  const name = serviceName(service);
  return {
    name,
    namespace: namespaceOf(size, service),
    clusterIP: `10.112.${service >> 8}.${service & 255}`,
    endpoints: Array.from({ length: endpointsPerService }, (_, e) => ({
      name: `${name}-${e}`,
      address: e === endpointsPerService - 1 && lastAddress !== undefined ? lastAddress : endpointAddress(service, e),
      labels: endpointLabels(name, e),
      // One more than are simulated, for a real Envoy.
      proxied: e * size.services + service <= size.proxies,
    })),
  };
}

/** A service of some other name, with endpoints that have no proxies. */
export function namedService(name: string, namespace: string, clusterIP: string, addresses: readonly string[]): MeshService {
  return {
    name,
    namespace,
    clusterIP,
    endpoints: addresses.map((address, e) => ({ name: `${name}-${e}`, address, labels: endpointLabels(name, e), proxied: false })),
  };
}

/** Canary routes for one of the first services. `marker` becomes the name of a route and is seen in Envoy's configuration only there. */
export function routeManifest(size: MeshSize, service: number, marker: string): Manifest {
  const namespaces = namespaceCount(size);
  // Of the same namespace, because a Sidecar may show no other.
  const other = service + namespaces < size.services ? service + namespaces : service % namespaces;
  const destination = (of: number): object => ({ host: hostOf(size, of), port: { number: 80 } });
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: `route-${service}`, namespace: namespaceOf(size, service) },
    spec: {
      hosts: [hostOf(size, service)],
      http: [
        {
          name: marker,
          match: [{ uri: { prefix: '/api' }, headers: { 'x-canary': { exact: 'yes' } } }],
          timeout: '5s',
          route: [
            { destination: destination(service), weight: 90 },
            { destination: destination(other), weight: 10 },
          ],
        },
        { route: [{ destination: destination(service) }] },
      ],
    },
  };
}

/** Beside the first endpoint of each of the first services, and so in all namespaces; a second one of a service only when each has one. */
export function simulatedProxies(size: MeshSize): SimulatedProxy[] {
  return Array.from({ length: size.proxies }, (_, p) => proxyOf(size, p));
}

/** The workload beside which a real Envoy stands. */
export function envoyProxy(size: MeshSize): SimulatedProxy {
  return proxyOf(size, size.proxies);
}

function proxyOf(size: MeshSize, p: number): SimulatedProxy {
  const endpoint = Math.floor(p / size.services);
  const service = p % size.services;
  const name = serviceName(service);
  return {
    name: `${name}-${endpoint}`,
    namespace: namespaceOf(size, service),
    address: endpointAddress(service, endpoint),
    serviceAccount: name,
    labels: endpointLabels(name, endpoint),
  };
}

function endpointLabels(app: string, endpoint: number): Record<string, string> {
  return { app, version: `v${endpoint}`, 'security.istio.io/tlsMode': 'istio' };
}

function endpointAddress(service: number, endpoint: number): string {
  const n = service * endpointsPerService + endpoint;
  return `10.${1 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`;
}
