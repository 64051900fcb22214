/** What stands behind a service: its EndpointSlices, workloads that its selector matches, or that its ServiceEntry lists. */
import { inCluster } from '../apis/object.ts';
import { firstPair, matchesLabels } from '../lib/labels.ts';
import { formatSpiffe } from './identity.ts';
import type { Mesh } from './mesh.ts';
import type { Endpoint, Service, ServicePort, Workload } from './model.ts';
import { sliceEndpoints } from './slices.ts';
import { externalName, inlineWorkloads } from './workloads.ts';

export interface ServiceEndpoints {
  /** In the order of address, port and object. */
  readonly endpoints: readonly Endpoint[];
  /** Known and not ready, in the same order: what Envoy has to know of where it prefers some endpoints to others. */
  readonly notReady: readonly Endpoint[];
  /** Distinct SPIFFE ids of the endpoints, sorted. */
  readonly identities: readonly string[];
  /** Endpoints that are left out until their pod is known. */
  readonly pendingPods: number;
}

/** Reads through the mesh, so that an endpoint's change costs the services that have it. */
export function serviceEndpoints(mesh: Mesh, service: Service): ServiceEndpoints {
  const { endpoints, notReady, pendingPods } = sliceEndpoints(mesh, service);
  const trustDomain = mesh.objects.meshConfig().trustDomain;
  for (const workload of workloadsOf(mesh, service)) {
    const mtls = mesh.peerAuthentication(workload.namespace, workload.labels);
    for (const port of service.ports) {
      if (port.protocol === 'udp') continue;
      const number = workloadPort(port, workload);
      if (number === undefined) continue;
      const disabled = (mtls.ports[number] ?? mtls.mode) === 'DISABLE';
      // Without an address it is reached by the gateway of its network alone.
      const addresses = workload.addresses.length === 0 && workload.network !== '' ? [''] : workload.addresses;
      for (const address of addresses) {
        endpoints.push({
          address,
          port: number,
          servicePort: port.name === '' ? String(port.number) : port.name,
          labels: workload.labels,
          locality: workload.locality,
          network: workload.network || mesh.networks.networkOf(workload.cluster, address, workload.labels),
          weight: workload.weight,
          identity: workload.serviceAccount === '' ? '' : formatSpiffe(trustDomain, workload.namespace, workload.serviceAccount),
          tlsMode: workload.meshTls && !service.meshExternal && !disabled ? 'istio' : 'disabled',
          health: workload.healthy ? 'healthy' : 'unhealthy',
          namespace: workload.namespace,
          workloadName: workload.name,
          ...(workload.node !== undefined && { node: workload.node }),
          cluster: workload.cluster ?? mesh.clusterId,
          object: workload.object,
        });
      }
    }
  }
  endpoints.sort(inOrder);
  const identities = [...new Set(endpoints.map((e) => e.identity).filter((i) => i !== ''))].sort();
  return { endpoints, notReady: notReady.toSorted(inOrder), identities, pendingPods };
}

function workloadsOf(mesh: Mesh, service: Service): Workload[] {
  const workloads: Workload[] = [];
  const pair = service.selector === undefined ? undefined : firstPair(service.selector);
  if (pair !== undefined) {
    const matching = (workload: Workload | undefined): void => {
      if (workload !== undefined && matchesLabels(service.selector ?? {}, workload.labels)) workloads.push(workload);
    };
    const bucket = `${service.namespace}|${pair}`;
    for (const key of mesh.workloadsByLabel.keys(bucket)) matching(mesh.workloads.get(key));
    // Pods of a Service come by its EndpointSlices, which know whether they are ready.
    if (service.registry === 'ServiceEntry') for (const key of mesh.podsByLabel.keys(bucket)) matching(mesh.pods.get(key));
  }
  if (service.registry === 'Kubernetes' && service.resolution === 'dns-strict') {
    const named = mesh.objects.kinds.Service.get(`${service.namespace}/${service.name}${inCluster(service.cluster)}`);
    if (named?.spec.externalName !== undefined) workloads.push(externalName(named, named.spec.externalName));
  }
  if (service.registry === 'ServiceEntry') {
    const entry = mesh.objects.kinds.ServiceEntry.get(`${service.namespace}/${service.name}`);
    if (entry !== undefined) workloads.push(...inlineWorkloads(entry, service.host));
  }
  return workloads;
}

/** Where a workload's ports have names. */
export interface WorkloadPorts {
  readonly ports: Readonly<Record<string, number>>;
  readonly containerPorts?: Readonly<Record<string, number>>;
}

/** The number that a service port has at a workload: by the workload's named ports, else the target port, else the port itself. */
export function workloadPort(port: ServicePort, workload: WorkloadPorts): number | undefined {
  if (typeof port.targetPort === 'string' && !/^\d+$/.test(port.targetPort))
    return workload.ports[port.targetPort] ?? workload.ports[port.name] ?? workload.containerPorts?.[port.targetPort];
  return workload.ports[port.name] ?? (port.targetPort === undefined ? port.number : Number(port.targetPort));
}

/** Same endpoints in the same order, field by field. */
export function sameEndpoints(a: ServiceEndpoints, b: ServiceEndpoints): boolean {
  return a.pendingPods === b.pendingPods && sameList(a.endpoints, b.endpoints) && sameList(a.notReady, b.notReady);
}

function inOrder(a: Endpoint, b: Endpoint): number {
  return compare(a.address, b.address) || a.port - b.port || compare(a.object, b.object) || compare(a.servicePort, b.servicePort);
}

function sameList(a: readonly Endpoint[], b: readonly Endpoint[]): boolean {
  return a.length === b.length && a.every((endpoint, i) => sameEndpoint(endpoint, b[i]));
}

function sameEndpoint(a: Endpoint, b: Endpoint | undefined): boolean {
  return (
    b !== undefined &&
    a.address === b.address &&
    a.port === b.port &&
    a.servicePort === b.servicePort &&
    (a.labels === b.labels || JSON.stringify(a.labels) === JSON.stringify(b.labels)) &&
    a.locality.region === b.locality.region &&
    a.locality.zone === b.locality.zone &&
    a.locality.subZone === b.locality.subZone &&
    a.network === b.network &&
    a.weight === b.weight &&
    a.identity === b.identity &&
    a.tlsMode === b.tlsMode &&
    a.health === b.health &&
    a.workloadName === b.workloadName &&
    a.hostname === b.hostname &&
    a.node === b.node &&
    a.cluster === b.cluster &&
    a.object === b.object
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
