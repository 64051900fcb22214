/** The endpoints of a whole cluster as kubectl shows them, as a replica of mizzen knows them and as an Envoy uses them, in one form. */
import type { Endpoint, Service } from '../../src/mesh/model.ts';
import type { Envoy } from '../envoy/harness/envoy.ts';
import { http } from '../envoy/harness/http.ts';
import { eventually } from '../envoy/harness/wait.ts';
import type { TestCluster } from './harness/cluster.ts';
import type { KubernetesMesh, Replica } from './mesh.ts';

/** `address:port` of the endpoints that are ready, sorted, by the host of the Service. */
export type Known = Readonly<Record<string, readonly string[]>>;

interface Slice {
  readonly kind: 'EndpointSlice';
  readonly metadata: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> };
  readonly ports?: readonly { readonly port: number }[] | null;
  readonly endpoints?: readonly { readonly addresses: readonly string[]; readonly conditions: { readonly ready: boolean } }[] | null;
}

interface ServiceObject {
  readonly kind: 'Service';
  readonly metadata: { readonly namespace: string; readonly name: string };
}

const hostOf = (name: string | undefined, namespace: string): string => `${name}.${namespace}.svc.cluster.local`;

async function shownByKubectl(cluster: TestCluster): Promise<Known> {
  const text = await cluster.kubectl(['get', 'services,endpointslices', '--all-namespaces', '-o', 'json']);
  const { items } = JSON.parse(text) as { readonly items: readonly (Slice | ServiceObject)[] };
  return shownBy(
    items.filter((item) => item.kind === 'Service'),
    items.filter((item) => item.kind === 'EndpointSlice'),
  );
}

/** The same for less work, to be asked for again and again. */
async function shownByApi({ api }: TestCluster): Promise<Known> {
  const { items: services } = await api.request<{ items: ServiceObject[] }>({ path: '/api/v1/services' });
  const { items: slices } = await api.request<{ items: Slice[] }>({ path: '/apis/discovery.k8s.io/v1/endpointslices' });
  return shownBy(services, slices);
}

function shownBy(serviceObjects: readonly ServiceObject[], sliceObjects: readonly Slice[]): Known {
  const services = serviceObjects.map(({ metadata }) => hostOf(metadata.name, metadata.namespace));
  const slices = sliceObjects.flatMap(({ metadata, ports, endpoints }): [string, string[]][] => {
    const host = hostOf(metadata.labels['kubernetes.io/service-name'], metadata.namespace);
    const ready = (endpoints ?? []).filter(({ conditions }) => conditions.ready).flatMap(({ addresses }) => addresses);
    // The slices of a Service that was just deleted go a moment after it.
    return services.includes(host) ? [[host, ready.flatMap((address) => (ports ?? []).map(({ port }) => `${address}:${port}`))]] : [];
  });
  return byHost([...services.map((host) => [host, []] as const), ...slices]);
}

/** A page of a replica's debug API. */
export async function debugPage<T>({ discovery }: Replica, page: string): Promise<T> {
  const { adminAddress: address, monitoring: port } = discovery.addresses;
  return JSON.parse((await http({ address, port, path: `/debug/${page}` })).body) as T;
}

export async function knownTo(replica: Replica): Promise<Known> {
  const all = await debugPage<{ service: Pick<Service, 'host'>; endpoints: readonly Endpoint[] }[]>(replica, 'endpointz');
  return byHost(all.map(({ service, endpoints }) => [service.host, endpoints.map(({ address, port }) => `${address}:${port}`)]));
}

export async function usedBy(envoy: Envoy): Promise<Known> {
  const outbound = (await envoy.clusters()).filter(({ name }) => name.startsWith('outbound|'));
  return byHost(
    outbound.map(({ name, host_statuses: hosts = [] }) => {
      const at = hosts.map(({ address: { socket_address: socket } }) => `${socket?.address}:${socket?.port_value}`);
      return [(name.split('|')[3] ?? '').replace(/;$/, ''), at];
    }),
  );
}

/** Each host once, with what all of its ports have. */
function byHost(entries: Iterable<readonly [string, readonly string[]]>): Known {
  const all = new Map<string, Set<string>>();
  for (const [host, endpoints] of entries) all.set(host, new Set([...(all.get(host) ?? []), ...endpoints]));
  const sorted = [...all].map(([host, endpoints]) => [host, [...endpoints].sort()] as const);
  return Object.fromEntries(sorted.sort(([a], [b]) => (a < b ? -1 : 1)));
}

export interface Agreement {
  readonly endpoints: Known;
  /** Milliseconds from when the API server was first seen to have what was expected until all had it. */
  readonly behindMs: number;
}

/**
 * Returns when kubectl shows the expected endpoints, and every replica and each of these proxies has for every Service of the cluster what kubectl shows, no
 * more and no less.
 */
export async function agreement(
  mesh: KubernetesMesh,
  { proxies, expected, limitMs }: { readonly proxies: readonly string[]; readonly expected: Known; readonly limitMs: number },
): Promise<Agreement> {
  let shownAt: number | undefined;
  return eventually(
    'kubectl, the replicas and the proxies agree',
    async () => {
      const shown = await shownByApi(mesh.cluster);
      for (const [host, endpoints] of Object.entries(expected))
        compare('the API server', { [host]: shown[host] ?? [] }, { [host]: endpoints });
      shownAt ??= performance.now();
      for (const replica of mesh.replicas) compare(replica.name, await knownTo(replica), shown);
      for (const proxy of proxies) compare(proxy, await usedBy(mesh.workload(proxy).envoy), shown);
      const behindMs = Math.round(performance.now() - shownAt);
      compare('kubectl', await shownByKubectl(mesh.cluster), shown);
      return { endpoints: shown, behindMs };
    },
    limitMs,
  );
}

function compare(who: string, has: Known, expected: Known): void {
  const [found, wanted] = [has, expected].map((each) => JSON.stringify(each));
  if (found !== wanted) throw new Error(`${who} has ${found}, not ${wanted}`);
}
