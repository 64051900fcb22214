/** The mesh that is measured: services, their endpoints and routes as manifests, and the proxies that stand beside some of the endpoints. */

export interface MeshSize {
  readonly services: number;
  readonly virtualServices: number;
  readonly proxies: number;
}

/** A Kubernetes or Istio object as it is written down. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** A workload whose proxy is simulated. */
export interface SimulatedProxy {
  readonly name: string;
  readonly namespace: string;
  readonly address: string;
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
}

export const namespaces = 10;
export const endpointsPerService = 3;
/** The last endpoint of a service has no simulated proxy, so that a change of it concerns those that call it and no proxy itself. */
const maxProxiesPerService = endpointsPerService - 1;
const maxServices = 10_000;

/** What is wrong with the size, if anything. */
export function checkSize({ services, virtualServices, proxies }: MeshSize): string | undefined {
  if (services < 1 || services > maxServices) return `services must be 1 to ${maxServices}, not ${services}`;
  if (virtualServices < 0 || virtualServices > services) return `there can be as many VirtualServices as services, ${services}`;
  if (proxies < 1 || proxies > services * maxProxiesPerService)
    return `proxies must be 1 to ${services * maxProxiesPerService}: each is an endpoint of its own, ${maxProxiesPerService} for every service`;
  return undefined;
}

export function namespaceOf(service: number): string {
  return `ns-${service % namespaces}`;
}

export function hostOf(service: number): string {
  return `svc-${service}.${namespaceOf(service)}.svc.cluster.local`;
}

/** Manifests by file name: one file for a service with its endpoints, one for a VirtualService, one for the namespaces. */
export function meshFiles(size: MeshSize): Map<string, Manifest[]> {
  const files = new Map<string, Manifest[]>();
  for (let i = 0; i < size.services; i++) files.set(serviceFile(i), serviceManifests(i));
  for (let i = 0; i < size.virtualServices; i++) files.set(routeFile(i), [routeManifest(size, i, 'first')]);
  files.set(namespacesFile, namespaceManifests());
  return files;
}

export const namespacesFile = 'namespaces.yaml';

export function namespaceManifests(): Manifest[] {
  return Array.from({ length: namespaces }, (_, i) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespaceOf(i) } }));
}

export function serviceFile(service: number): string {
  return `svc-${service}.yaml`;
}

export function routeFile(service: number): string {
  return `route-${service}.yaml`;
}

/** A service and its endpoints; the last endpoint can be given another address. */
export function serviceManifests(service: number, lastAddress?: string): Manifest[] {
  const name = `svc-${service}`;
  const addresses = Array.from({ length: endpointsPerService }, (_, e) => endpointAddress(service, e));
  if (lastAddress !== undefined) addresses[endpointsPerService - 1] = lastAddress;
  return namedService(name, namespaceOf(service), `10.112.${service >> 8}.${service & 255}`, addresses);
}

export function namedService(name: string, namespace: string, clusterIP: string, addresses: readonly string[]): Manifest[] {
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace },
      spec: { clusterIP, selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
    },
    ...addresses.map((address, e) => ({
      apiVersion: 'networking.istio.io/v1',
      kind: 'WorkloadEntry',
      metadata: { name: `${name}-${e}`, namespace },
      spec: { address, labels: endpointLabels(name, e), serviceAccount: name },
    })),
  ];
}

/** Canary routes for one of the first services. `marker` becomes the name of a route and is seen in Envoy's configuration only there. */
export function routeManifest({ services }: MeshSize, service: number, marker: string): Manifest {
  const other = (service + 1) % services;
  const destination = (of: number): object => ({ host: hostOf(of), port: { number: 80 } });
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: `route-${service}`, namespace: namespaceOf(service) },
    spec: {
      hosts: [hostOf(service)],
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
export function simulatedProxies({ services, proxies }: MeshSize): SimulatedProxy[] {
  return Array.from({ length: proxies }, (_, p) => {
    const endpoint = Math.floor(p / services);
    const service = p % services;
    const name = `svc-${service}`;
    return {
      name: `${name}-${endpoint}`,
      namespace: namespaceOf(service),
      address: endpointAddress(service, endpoint),
      serviceAccount: name,
      labels: endpointLabels(name, endpoint),
    };
  });
}

function endpointLabels(app: string, endpoint: number): Record<string, string> {
  return { app, version: `v${endpoint}`, 'security.istio.io/tlsMode': 'istio' };
}

function endpointAddress(service: number, endpoint: number): string {
  const n = service * endpointsPerService + endpoint;
  return `10.${1 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`;
}
