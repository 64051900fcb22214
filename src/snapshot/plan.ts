/** Which parts a proxy needs, from what it is and what the mesh says of it. */
import { inCluster } from '../apis/object.ts';
import { lazyLabel } from '../mesh/lazy.ts';
import type { Mesh } from '../mesh/mesh.ts';
import type { Locality, Proxy, Workload } from '../mesh/model.ts';
import type { ProxyLocation } from '../envoy/endpoints/locality-balancing.ts';
import type { Families } from '../envoy/families.ts';
import type { IpFamily, Vantage } from '../envoy/endpoints/reach.ts';
import type { GatewayScope } from './gateway.ts';
import type { WorkloadScope } from './inbound.ts';
import type { SidecarScope } from './sidecar.ts';
import type { Scope } from './translation.ts';

export type Plan =
  | {
      readonly type: 'router';
      readonly gateway: GatewayScope;
      /** Of the workload that the registry has under the proxy's name; undefined where it has none. */
      readonly serviceAccount: string | undefined;
      readonly nameTable: boolean;
      /** Of the proxy's addresses, where IPv6 is among them. */
      readonly families: Families | undefined;
      /** From which the proxy sees the mesh. */
      readonly cluster: string | undefined;
    }
  | {
      readonly type: 'sidecar';
      readonly outbound: Scope & { readonly namespace: string };
      /** Where it reaches others from; undefined: from where most do, the network of its cluster. */
      readonly vantage: Vantage | undefined;
      readonly location: ProxyLocation | undefined;
      /** With the node: only where some host depends on it, because every node has a part of its own then. */
      readonly onNode: ProxyLocation | undefined;
      readonly sidecar: SidecarScope | undefined;
      readonly inbound: WorkloadScope;
      readonly httpProxyPort: number | undefined;
      /** Virtual hosts and clusters only when the proxy asks for them. */
      readonly lazy: boolean;
      readonly nameTable: boolean;
      readonly families: Families | undefined;
      readonly cluster: string | undefined;
    };

/** Recorded reads: the plan changes when for example a Sidecar appears or the workload's labels change. */
export function planFor(mesh: Mesh, proxy: Proxy): Plan {
  const workload = workloadOf(mesh, proxy);
  const labels = workload?.labels ?? proxy.labels;
  const locality = workload === undefined || isEmpty(workload.locality) ? proxy.locality : workload.locality;
  const ports = {
    ports: workload?.ports ?? {},
    ...(workload?.containerPorts !== undefined && { containerPorts: workload.containerPorts }),
  };
  const node = mesh.dependsOnNode() ? (workload?.node ?? proxy.node) : undefined;
  const byNode = node !== undefined && { node };
  const only = onlyFamily(proxy.addresses);
  const families = only === 'ipv4' ? undefined : (only ?? 'both');
  const vantage = vantageOf(mesh, proxy, workload);
  const byCluster = mesh.comparesLabel('topology.istio.io/cluster') && { cluster: mesh.cluster ?? mesh.clusterId };
  if (proxy.type === 'router') {
    const location = { locality, labels, ...byNode, ...byCluster };
    const gateway = { namespace: proxy.namespace, labels, ...ports, location, ...(vantage !== undefined && { vantage }) };
    return {
      type: 'router',
      gateway,
      serviceAccount: workload?.serviceAccount,
      nameTable: proxy.nameTable,
      families,
      cluster: mesh.cluster,
    };
  }
  const sourceLabels: Record<string, string> = {};
  for (const [key, value] of Object.entries(labels)) if (mesh.sourceLabelKeys.has(key)) sourceLabels[key] = value;
  const locationLabels: Record<string, string> = {};
  for (const [key, value] of Object.entries(labels)) if (mesh.comparesLabel(key)) locationLabels[key] = value;
  const sidecar = mesh.sidecarOf(proxy.namespace, labels);
  const narrows =
    sidecar?.spec.egress !== undefined || sidecar?.spec.outboundTrafficPolicy !== undefined || proxy.interceptionMode === 'NONE';
  const address = proxy.addresses[0];
  const proxyPort = proxy.httpProxyPort ?? mesh.objects.meshConfig().proxyHttpPort;
  return {
    type: 'sidecar',
    outbound: { namespace: proxy.namespace, labels: sourceLabels },
    vantage,
    location: isEmpty(locality) ? undefined : { locality, labels: locationLabels, ...byCluster },
    onNode: node === undefined ? undefined : { locality, labels: locationLabels, node, ...byCluster },
    sidecar: narrows
      ? {
          namespace: proxy.namespace,
          interceptionMode: proxy.interceptionMode,
          ...(sidecar === undefined ? {} : { sidecar: `${sidecar.namespace}/${sidecar.name}` }),
        }
      : undefined,
    httpProxyPort: proxyPort > 0 ? proxyPort : undefined,
    lazy: proxy.onDemand && mesh.isLazy(proxy.namespace, labels[lazyLabel]),
    nameTable: proxy.nameTable,
    families,
    cluster: mesh.cluster,
    inbound: {
      namespace: proxy.namespace,
      labels,
      ...ports,
      interceptionMode: proxy.interceptionMode,
      ...(families !== undefined && { families }),
      ...(proxy.interceptionMode === 'NONE' && address !== undefined ? { address } : {}),
    },
  };
}

/** Undefined where it reaches the same as all others do: without gateways of networks and with one address family there is nothing else. Recorded. */
function vantageOf(mesh: Mesh, proxy: Proxy, workload: Workload | undefined): Vantage | undefined {
  const home = mesh.homeNetwork();
  const view = proxy.networkView;
  const several = mesh.networks.gateways() !== undefined;
  const ofPod =
    workload?.object.startsWith('Pod/') === true
      ? mesh.networks.networkOf(workload.cluster, workload.addresses[0] ?? '', workload.labels)
      : workload?.network;
  const network = !several ? home : proxy.network !== '' ? proxy.network : (ofPod ?? '');
  const family = mesh.hasBothFamilies() ? onlyFamily(proxy.addresses) : undefined;
  if (network === home && view === undefined && family === undefined) return undefined;
  return { network, ...(view !== undefined && { view: [...view].sort() }), ...(family !== undefined && { family }) };
}

function onlyFamily(addresses: readonly string[]): IpFamily | undefined {
  const families = new Set(addresses.map((address): IpFamily => (address.includes(':') ? 'ipv6' : 'ipv4')));
  return families.size === 1 ? [...families][0] : undefined;
}

/**
 * The registry's word about the workload counts, not the proxy's own: by its name, else by its address, in the namespace that was proven. Of pods only those
 * of the cluster from which the mesh is seen; WorkloadEntries are of the whole mesh.
 */
function workloadOf(mesh: Mesh, proxy: Proxy): Workload | undefined {
  const key = `${proxy.namespace}/${proxy.name}`;
  return (
    mesh.pods.get(`${key}${inCluster(mesh.cluster)}`) ??
    mesh.workloads.get(key) ??
    byAddress(proxy, mesh.workloadsByAddress, mesh.workloads, undefined) ??
    byAddress(proxy, mesh.podsByAddress, mesh.pods, mesh.cluster)
  );
}

function byAddress(
  proxy: Proxy,
  index: { keys(address: string): ReadonlySet<string> },
  workloads: { get(key: string): Workload | undefined },
  cluster: string | undefined,
): Workload | undefined {
  for (const address of proxy.addresses) {
    for (const key of [...index.keys(address)].sort()) {
      const found = workloads.get(key);
      if (found?.namespace === proxy.namespace && found.cluster === cluster) return found;
    }
  }
  return undefined;
}

function isEmpty(locality: Locality): boolean {
  return locality.region === '' && locality.zone === '' && locality.subZone === '';
}

/** The same for plans of equal content, whatever the order of labels. */
export function planKey(value: unknown): string {
  return JSON.stringify(value, (_key, v: unknown) =>
    typeof v === 'object' && v !== null && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)))
      : v,
  );
}
