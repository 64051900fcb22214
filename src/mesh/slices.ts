/** Endpoints of a Service from its EndpointSlices, with what their pods say of themselves. */
import type { Endpoint as SliceEndpoint, EndpointSlice } from '../apis/endpoint-slice.ts';
import { inCluster, keyOf } from '../apis/object.ts';
import { isClusterLocal } from './cluster-local.ts';
import { formatSpiffe } from './identity.ts';
import type { Mesh } from './mesh.ts';
import { noLocality, type Endpoint, type Service, type Workload } from './model.ts';

const serviceNameLabel = 'kubernetes.io/service-name';

/** Index value of a slice: `namespace/service`, of whichever cluster. */
export function serviceOfSlice(slice: EndpointSlice): string[] {
  const name = slice.labels[serviceNameLabel];
  return name === undefined || slice.spec.addressType === 'FQDN' ? [] : [`${slice.namespace}/${name}`];
}

export interface SliceEndpoints {
  readonly endpoints: Endpoint[];
  /** Those that neither end nor are ready. */
  readonly notReady: readonly Endpoint[];
  readonly pendingPods: number;
}

interface Found {
  readonly slice: EndpointSlice;
  readonly endpoint: SliceEndpoint;
  readonly pod: Workload | undefined;
}

/**
 * Endpoints of all clusters that are ready. Without any, those that end and still serve, as kube-proxy falls back. One whose pod is not known yet, or not
 * yet at that address, is left out until it is: without the pod nobody knows who it is. Recorded reads, also of what is missing.
 */
export function sliceEndpoints(mesh: Mesh, service: Service): SliceEndpoints {
  if (service.registry !== 'Kubernetes') return { endpoints: [], notReady: [], pendingPods: 0 };
  let pendingPods = 0;
  const ready: Found[] = [];
  const ending: Found[] = [];
  const unready: Found[] = [];
  const local = service.nodeLocal === true || isClusterLocal(service.host, mesh.objects.meshConfig());
  for (const key of mesh.slicesByService.keys(`${service.namespace}/${service.name}`)) {
    const slice = mesh.objects.kinds.EndpointSlice.get(key);
    if (slice === undefined || (local && slice.origin.cluster !== mesh.cluster)) continue;
    for (const endpoint of slice.spec.endpoints ?? []) {
      const { ready: isReady = true, serving = isReady, terminating = false } = endpoint.conditions ?? {};
      const list = isReady || service.publishNotReady === true ? ready : !terminating ? unready : serving ? ending : undefined;
      if (list === undefined) continue;
      const ref = endpoint.targetRef;
      if (ref?.kind !== 'Pod' || ref.name === undefined) {
        list.push({ slice, endpoint, pod: undefined });
        continue;
      }
      const pod = mesh.pods.get(`${ref.namespace ?? slice.namespace}/${ref.name}${inCluster(slice.origin.cluster)}`);
      if (pod !== undefined && endpoint.addresses.some((address) => pod.addresses.includes(address))) list.push({ slice, endpoint, pod });
      else if (list !== unready) pendingPods++;
    }
  }
  return {
    endpoints: distinct(mesh, service, ready.length > 0 ? ready : ending),
    notReady: distinct(mesh, service, unready).map((endpoint) => ({ ...endpoint, health: 'unhealthy' as const })),
    pendingPods,
  };
}

function distinct(mesh: Mesh, service: Service, found: readonly Found[]): Endpoint[] {
  // While slices are rearranged an endpoint may stand in two of them. On networks of their own, clusters may use the same addresses.
  const endpoints = new Map<string, Endpoint>();
  for (const one of found) {
    for (const endpoint of endpointsOf(mesh, service, one)) {
      endpoints.set(`${endpoint.servicePort}|${endpoint.port}|${endpoint.address}|${endpoint.cluster}`, endpoint);
    }
  }
  return [...endpoints.values()];
}

function endpointsOf(mesh: Mesh, service: Service, { slice, endpoint, pod }: Found): Endpoint[] {
  const trustDomain = mesh.objects.meshConfig().trustDomain;
  const mtls = pod?.meshTls === true ? mesh.peerAuthentication(pod.namespace, pod.labels) : undefined;
  const node = endpoint.nodeName ?? pod?.node;
  const endpoints: Endpoint[] = [];
  for (const port of service.ports) {
    if (port.protocol === 'udp') continue;
    const number = slice.spec.ports?.find((p) => (p.name ?? '') === port.name && (p.protocol ?? 'TCP') === 'TCP')?.port;
    if (number === undefined) continue;
    const speaksMtls = mtls !== undefined && (mtls.ports[number] ?? mtls.mode) !== 'DISABLE';
    for (const address of endpoint.addresses) {
      endpoints.push({
        address,
        port: number,
        servicePort: port.name === '' ? String(port.number) : port.name,
        labels: pod?.labels ?? {},
        locality: pod?.locality ?? (endpoint.zone === undefined ? noLocality : { ...noLocality, zone: endpoint.zone }),
        network: mesh.networks.networkOf(slice.origin.cluster, address, pod?.labels ?? {}),
        weight: 1,
        identity: pod === undefined || pod.serviceAccount === '' ? '' : formatSpiffe(trustDomain, pod.namespace, pod.serviceAccount),
        tlsMode: speaksMtls ? 'istio' : 'disabled',
        health: 'healthy',
        namespace: pod?.namespace ?? slice.namespace,
        workloadName: pod?.name ?? '',
        ...(endpoint.hostname !== undefined && endpoint.hostname !== '' && { hostname: endpoint.hostname }),
        ...(node !== undefined && { node }),
        cluster: slice.origin.cluster ?? mesh.clusterId,
        object: pod?.object ?? keyOf(slice),
      });
    }
  }
  return endpoints;
}
