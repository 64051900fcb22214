/** What a workload's DNS answers for a host of the mesh, as Istio's agent does where it takes the workload's queries. */
import type { Mesh } from './mesh.ts';
import type { Service } from './model.ts';

export interface NameEntry {
  readonly host: string;
  readonly addresses: readonly string[];
  readonly registry: 'Kubernetes' | 'External';
  /** Of a Kubernetes Service, so that the agent answers for its shorter names too. */
  readonly shortName?: string;
  readonly namespace?: string;
}

/**
 * Entries of a host as seen from a namespace; `undefined` is the view that all share. A service has its virtual addresses, a headless one the addresses
 * of its endpoints, and so has each of its pods that has a name of its own. None for a host without an address: its name is resolved elsewhere, as that
 * of an address range is. Recorded reads: only of a headless service the endpoints.
 */
export function nameEntries(mesh: Mesh, host: string, namespace: string | undefined): NameEntry[] {
  const service = mesh.serviceAt(host, namespace);
  if (service === undefined) return [];
  const addresses = service.addresses.filter((address) => !address.includes('/'));
  if (addresses.length > 0) return [entry(service, service.host, service.name, addresses)];
  return service.resolution === 'passthrough' ? headlessEntries(mesh, service) : [];
}

function headlessEntries(mesh: Mesh, service: Service): NameEntry[] {
  const cluster = mesh.cluster ?? mesh.clusterId;
  const all = new Set<string>();
  const byPod = new Map<string, Set<string>>();
  const endpoints = (mesh.endpoints.get(service.key)?.endpoints ?? []).filter(({ address }) => isAddress(address));
  // As the cluster's own DNS answers, which knows of no other cluster. A pod elsewhere has its name where no pod here has it.
  const here = endpoints.filter((endpoint) => endpoint.cluster === cluster);
  for (const { address } of here) all.add(address);
  const named = new Set(here.flatMap(({ hostname }) => hostname ?? []));
  for (const { address, hostname, cluster: at } of endpoints) {
    if (hostname === undefined || (at !== cluster && named.has(hostname))) continue;
    const own = byPod.get(hostname);
    if (own === undefined) byPod.set(hostname, new Set([address]));
    else own.add(address);
  }
  const pods = [...byPod].map(([hostname, own]) => entry(service, `${hostname}.${service.host}`, `${hostname}.${service.name}`, own));
  return all.size === 0 ? pods : [entry(service, service.host, service.name, all), ...pods];
}

function entry(service: Service, host: string, shortName: string, addresses: Iterable<string>): NameEntry {
  const common = { host, addresses: [...addresses] };
  if (service.registry !== 'Kubernetes') return { ...common, registry: 'External' };
  return { ...common, registry: 'Kubernetes', shortName, namespace: service.namespace };
}

function isAddress(text: string): boolean {
  return text.includes(':') || /^\d+\.\d+\.\d+\.\d+$/.test(text);
}
