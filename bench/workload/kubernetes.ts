/** Objects in a Kubernetes cluster without kubelets: pods are objects with the status that a kubelet would write. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { KubeApi, type ApiAccess, type KubeObject, type ObjectReference } from '../../test/cluster/harness/api.ts';
import { addNode, addPod, defaultNode, type RunningPod, removePod } from '../../test/cluster/harness/objects.ts';
import { podToken } from '../../test/cluster/harness/tokens.ts';
import { eventually } from '../../test/envoy/harness/wait.ts';
import { nowMs } from '../streams/clock.ts';
import type { Edit } from './edit.ts';
import { serviceManifest } from './entries.ts';
import type { Feed, Written } from './feed.ts';
import { type Item, type MeshService, type MeshSize, rootNamespace, serviceOf, type SimulatedProxy } from './mesh.ts';

/** Requests under way at once. */
const parallel = 16;
/** The namespace controller deletes thousands of objects one by one. */
const deletionLimitMs = 180_000;

export class KubernetesFeed implements Feed {
  readonly kind = 'kubernetes';
  readonly place: string;
  readonly #api: KubeApi;
  /** What each object was written as. */
  readonly #written = new Map<string, string>();
  readonly #pods = new Map<string, RunningPod>();
  /** Pods that `replacePod` has made, by service; the newest last. */
  readonly #replacements = new Map<number, RunningPod[]>();
  readonly #namespaces = new Set<string>();
  /** The mesh config that was there before. */
  #meshConfig: KubeObject | undefined;
  readonly #keep: boolean;

  /** `keep`: the cluster goes with the run, so that nothing has to be removed from it. */
  constructor(access: ApiAccess, { keep }: { readonly keep: boolean }) {
    this.place = access.server;
    this.#api = new KubeApi(access);
    this.#keep = keep;
  }

  async load(items: readonly Item[]): Promise<void> {
    await this.#prepareNode();
    const isNamespace = (item: Item): boolean => 'object' in item && item.object.kind === 'Namespace';
    if (this.#meshConfig === undefined && this.#written.size === 0) {
      this.#meshConfig = await this.#api.find(meshConfigReference);
    }
    const namespaces = items.filter(isNamespace);
    for (const item of namespaces) if ('object' in item) await this.#gone(item.object);
    await inParallel(namespaces, (item) => this.#put(item));
    await inParallel(
      items.filter((item) => !isNamespace(item)),
      (item) => this.#put(item),
    );
    await this.#slicesMade(items);
  }

  async apply({ put = [], remove = [] }: Edit): Promise<Written> {
    let first: number | undefined;
    const answered = (): void => {
      first ??= nowMs();
    };
    await inParallel(put, (item) => this.#put(item, answered));
    await inParallel(remove, (item) => this.#remove(item, answered));
    const lastMs = nowMs();
    return { firstMs: first ?? lastMs, lastMs };
  }

  async replacePod(size: MeshSize, service: number, n: number): Promise<void> {
    const { name, namespace } = serviceOf(size, service);
    await this.#ensureAccount(namespace, name);
    const pods = this.#replacements.get(service) ?? [];
    this.#replacements.set(service, pods);
    const ip = `10.201.${100 + Math.floor(n / 100)}.${100 + (n % 100)}`;
    const before = pods.shift();
    const pod = await addPod(this.#api, {
      namespace,
      name: `${name}-replacement-${n}`,
      ip,
      serviceAccount: name,
      labels: { app: name, version: 'v1', 'security.istio.io/tlsMode': 'istio' },
    });
    pods.push(pod);
    if (before !== undefined) await removePod(this.#api, before);
  }

  token = async ({ name, namespace }: SimulatedProxy): Promise<string> => {
    const pod = this.#pods.get(`${namespace}/${name}`);
    if (pod === undefined) throw new Error(`pod ${namespace}/${name} was not made: it can have no token`);
    return podToken(this.#api, pod);
  };

  /** ConfigMap `istio-ca-root-cert`, which the control plane writes into every namespace. */
  roots = async (): Promise<string> => {
    const [namespace = rootNamespace] = [...this.#namespaces].filter((name) => name !== rootNamespace);
    const name = 'istio-ca-root-cert';
    return eventually(
      `ConfigMap ${name} in namespace ${namespace}`,
      async () => {
        const found = await this.#api.find<KubeObject & { readonly data?: Readonly<Record<string, string>> }>({
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name, namespace },
        });
        return found?.data?.['root-cert.pem'];
      },
      30_000,
    );
  };

  async #prepareNode(): Promise<void> {
    const nodes = await this.#api.request<{ items: KubeObject[] }>({ path: '/api/v1/nodes' });
    const other = nodes.items.find(({ metadata }) => metadata.name !== defaultNode);
    if (other !== undefined)
      throw new Error(
        `${this.place} has node ${other.metadata.name}: the bench writes the status of its pods itself and needs a cluster without kubelets, as \`npm run cluster\` makes one`,
      );
    if (nodes.items.length === 0) await addNode(this.#api, defaultNode, { region: 'region', zone: 'zone' });
  }

  /** An earlier run may have deleted the namespace: until all that was in it has gone, nothing new can be made there. */
  async #gone(namespace: ObjectReference): Promise<void> {
    const gone = async (): Promise<boolean> => (await this.#api.find(namespace))?.metadata.deletionTimestamp === undefined;
    await eventually(`namespace ${namespace.metadata.name}, which is being deleted, is gone from ${this.place}`, gone, deletionLimitMs);
  }

  async #put(item: Item, answered?: () => void): Promise<void> {
    if ('object' in item) return this.#write(item.object as unknown as KubeObject, answered);
    const { service } = item;
    // Its address is the API server's choice.
    const { spec = {}, ...rest } = serviceManifest(service);
    const { clusterIP: _clusterIP, ...others } = spec;
    await this.#write({ ...rest, metadata: { ...rest.metadata }, spec: others }, answered);
    await this.#write(sliceOf(service), answered);
    const proxied = service.endpoints.filter((endpoint) => endpoint.proxied);
    if (proxied.length > 0) await this.#ensureAccount(service.namespace, service.name);
    for (const { name, address, labels } of proxied) {
      const key = `${service.namespace}/${name}`;
      if (this.#pods.has(key)) continue;
      const pod = { namespace: service.namespace, name, ip: address, labels, serviceAccount: service.name };
      this.#pods.set(key, await addPod(this.#api, pod));
    }
  }

  async #ensureAccount(namespace: string, name: string): Promise<void> {
    await this.#write({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } });
  }

  async #write(object: KubeObject, answered?: () => void): Promise<void> {
    const key = referenceKey(object);
    const text = JSON.stringify(object);
    if (this.#written.get(key) === text) return;
    if (object.kind === 'Namespace') this.#namespaces.add(object.metadata.name);
    await this.#api.apply(object);
    answered?.();
    this.#written.set(key, text);
  }

  async #remove(item: Item, answered: () => void): Promise<void> {
    const objects: ObjectReference[] = 'object' in item ? [item.object] : [serviceManifest(item.service), sliceOf(item.service)];
    for (const object of objects) {
      await this.#api.delete(object);
      answered();
      this.#written.delete(referenceKey(object));
    }
  }

  /** The controller has made slices of the pods. */
  async #slicesMade(items: readonly Item[]): Promise<void> {
    const services = items.flatMap((item) => ('service' in item && item.service.endpoints.some((e) => e.proxied) ? [item.service] : []));
    await inParallel(services, async ({ name, namespace, endpoints }) => {
      const count = endpoints.filter((e) => e.proxied).length;
      const made = async (): Promise<boolean> => {
        const slices = await this.#api.list<Slice>('discovery.k8s.io/v1', 'EndpointSlice', namespace, `kubernetes.io/service-name=${name}`);
        return (
          slices
            .filter(({ metadata }) => metadata.labels?.[managedBy] !== manager)
            .reduce((sum, s) => sum + (s.endpoints?.length ?? 0), 0) >= count
        );
      };
      await eventually(`slices of Service ${namespace}/${name} hold its ${count} pods`, made, 60_000);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (!this.#keep && this.#written.size > 0) await this.#cleanUp();
    } finally {
      this.#api[Symbol.dispose]();
    }
  }

  async #cleanUp(): Promise<void> {
    this.#namespaces.delete(rootNamespace);
    if (this.#meshConfig === undefined) await this.#api.delete(meshConfigReference);
    else await this.#api.patch(meshConfigReference, { data: this.#meshConfig['data'] });
    await inParallel([...this.#namespaces], (name) => this.#api.delete({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }));
  }
}

interface Slice extends KubeObject {
  readonly endpoints?: readonly unknown[] | null;
}

const meshConfigReference = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'istio', namespace: rootNamespace } };
const managedBy = 'endpointslice.kubernetes.io/managed-by';
const manager = 'mizzen-bench';

/**
 * The endpoints that are no pods, in a slice of our own beside the controller's: a change of one is a single write, and the time of the controller is not
 * in the figures.
 */
function sliceOf({ name, namespace, endpoints }: MeshService): KubeObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${name}-bench`, namespace, labels: { 'kubernetes.io/service-name': name, [managedBy]: manager } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    endpoints: endpoints
      .filter((endpoint) => !endpoint.proxied)
      .map(({ address }) => ({ addresses: [address], conditions: { ready: true, serving: true, terminating: false } })),
  };
}

function referenceKey({ kind, metadata: { namespace = '', name } }: ObjectReference): string {
  return `${kind}/${namespace}/${name}`;
}

async function inParallel<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async (): Promise<void> => {
    for (const item of queue) await run(item);
  };
  await Promise.all(Array.from({ length: Math.min(parallel, items.length) }, worker));
}

/** Access of the current context of a kubeconfig that holds its certificates or a token itself. Throws with the path of what is missing. */
export function readKubeconfig(path: string): ApiAccess {
  const config = parse(readFileSync(path, 'utf8')) as Kubeconfig;
  const context = config.contexts?.find(({ name }) => name === config['current-context'])?.context;
  const cluster = config.clusters?.find(({ name }) => name === context?.cluster)?.cluster;
  const user = config.users?.find(({ name }) => name === context?.user)?.user;
  if (cluster === undefined || user === undefined)
    throw new Error(`${path}: current-context "${config['current-context'] ?? ''}" names no cluster and user of this file`);
  const ca = cluster['certificate-authority-data'];
  if (cluster.server === undefined || ca === undefined) throw new Error(`${path}: its cluster needs server and certificate-authority-data`);
  const access = { server: cluster.server, ca: decoded(ca) };
  if (user.token !== undefined) return { ...access, user: { token: user.token } };
  const certificate = user['client-certificate-data'];
  const key = user['client-key-data'];
  if (certificate === undefined || key === undefined)
    throw new Error(`${path}: its user needs a token, or client-certificate-data and client-key-data`);
  return { ...access, user: { certificate: decoded(certificate), key: decoded(key) } };
}

interface Kubeconfig {
  readonly 'current-context'?: string;
  readonly contexts?: readonly { readonly name: string; readonly context: { readonly cluster: string; readonly user: string } }[];
  readonly clusters?: readonly {
    readonly name: string;
    readonly cluster: { readonly server?: string; readonly 'certificate-authority-data'?: string };
  }[];
  readonly users?: readonly {
    readonly name: string;
    readonly user: { readonly token?: string; readonly 'client-certificate-data'?: string; readonly 'client-key-data'?: string };
  }[];
}

function decoded(base64: string): string {
  return Buffer.from(base64, 'base64').toString('utf8');
}
