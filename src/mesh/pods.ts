/** Pods as workloads, and where their nodes are. */
import type { Node } from '../apis/node.ts';
import { keyOf } from '../apis/object.ts';
import type { Pod } from '../apis/pod.ts';
import { noLocality, type Locality, type Workload } from './model.ts';
import { parseLocality } from './workloads.ts';

const labels = {
  region: 'topology.kubernetes.io/region',
  zone: 'topology.kubernetes.io/zone',
  subZone: 'topology.istio.io/subzone',
  locality: 'istio-locality',
  network: 'topology.istio.io/network',
  tlsMode: 'security.istio.io/tlsMode',
  hash: 'pod-template-hash',
} as const;

export function nodeLocality(node: Pick<Node, 'labels'>): Locality {
  return {
    region: node.labels[labels.region] ?? '',
    zone: node.labels[labels.zone] ?? '',
    subZone: node.labels[labels.subZone] ?? '',
  };
}

export function sameLocality(a: Locality, b: Locality): boolean {
  return a.region === b.region && a.zone === b.zone && a.subZone === b.subZone;
}

/** Undefined for a pod that has ended: its address may be another's by now. `localityOf` reads the node of its cluster, which may come later. */
export function fromPod(object: Pod, localityOf: (node: string) => Locality | undefined): Workload | undefined {
  const { spec = {}, status = {} } = object.spec;
  if (status.phase === 'Succeeded' || status.phase === 'Failed') return undefined;
  const addresses = [...new Set([status.podIP, ...(status.podIPs ?? []).map(({ ip }) => ip)])].filter(
    (ip) => ip !== undefined && ip !== '',
  );
  const containerPorts: Record<string, number> = {};
  for (const { ports = [] } of spec.containers ?? []) {
    for (const { name, containerPort, protocol = 'TCP' } of ports) {
      if (name !== undefined && containerPort !== undefined && protocol === 'TCP') containerPorts[name] ??= containerPort;
    }
  }
  const own = object.labels[labels.locality];
  const atNode = spec.nodeName === undefined ? undefined : localityOf(spec.nodeName);
  return {
    object: keyOf(object),
    name: workloadName(object),
    namespace: object.namespace,
    addresses: addresses as string[],
    labels: object.labels,
    ports: {},
    containerPorts,
    serviceAccount: spec.serviceAccountName ?? 'default',
    network: object.labels[labels.network] ?? '',
    locality: own === undefined ? (atNode ?? noLocality) : parseLocality(own),
    weight: 1,
    meshTls: object.labels[labels.tlsMode] === 'istio',
    healthy: addresses.length > 0,
    ...(spec.nodeName !== undefined && spec.nodeName !== '' && { node: spec.nodeName }),
    ...(object.origin.cluster !== undefined && { cluster: object.origin.cluster }),
  };
}

export function sameWorkload(a: Workload, b: Workload): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Of a Deployment's pod the Deployment, by the hash that its name carries; else the pod itself. */
function workloadName({ name, labels: own }: Pod): string {
  const hash = own[labels.hash];
  const at = hash === undefined ? -1 : name.lastIndexOf(`-${hash}-`);
  return at > 0 ? name.slice(0, at) : name;
}
