/**
 * A mesh on Kubernetes: `mizzen discovery` on a test cluster, and for each pod object a network namespace with its applications, a real Envoy and the
 * files that a kubelet projects into a pod.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onTestFailed } from 'vitest';
import { parse } from 'yaml';
import { Discovery } from '../envoy/harness/discovery.ts';
import { Envoy } from '../envoy/harness/envoy.ts';
import { Folder, ProjectedVolume } from '../envoy/harness/folder.ts';
import { PodNetwork } from '../envoy/harness/pods.ts';
import { eventually } from '../envoy/harness/wait.ts';
import { meshConfig, Workload, type WorkloadOptions } from '../envoy/traffic/mesh.ts';
import type { KubeObject } from './harness/api.ts';
import { clusterBinaries } from './harness/binaries.ts';
import { TestCluster } from './harness/cluster.ts';
import { installCrds } from './harness/crds.ts';
import { FaultProxy } from './harness/fault-proxy.ts';
import { HeapProbe } from './harness/heap.ts';
import { addNamespace, addNode, addPod, addServiceAccount, type RunningPod, setReady } from './harness/objects.ts';
import { ServiceAddress } from './harness/service-address.ts';
import { podToken } from './harness/tokens.ts';

const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

/** Nodes by name, with their zones. */
export const nodes = { 'node-1': 'region-a', 'node-2': 'region-b' } as const;

/** The Service `reviews` of the namespace `shop` at this address, and mutual TLS for everybody. */
export function strictReviews(vip: string): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: shop }
spec:
  clusterIP: ${vip}
  selector: { app: reviews }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
`;
}

/** A pod behind that Service. */
export const reviewsPod = (version: string) =>
  ({ serviceAccount: 'reviews', labels: { app: 'reviews', version }, apps: [{ kind: 'http', port: 8080, version }] }) as const;

export interface KubernetesWorkloadOptions extends WorkloadOptions {
  readonly node?: keyof typeof nodes;
  /** Named container ports. */
  readonly ports?: Readonly<Record<string, number>>;
  /** The cluster that it is in, one of `addCluster`; default: the one whose configuration counts. */
  readonly cluster?: string;
}

export interface KubernetesMeshOptions {
  /** At most 3 letters: it becomes part of interface names. */
  readonly name: string;
  /** Pods by name. */
  readonly workloads: Readonly<Record<string, KubernetesWorkloadOptions>>;
  /** YAML; the namespaces of the workloads and istio-system exist before it is applied. */
  readonly manifests: string;
  /** MeshConfig in YAML. */
  readonly meshConfig?: string;
  /** Of every replica. */
  readonly flags?: readonly string[];
  /** How many replicas of mizzen discovery there are at first, `replica-1` and so on. Default 1. */
  readonly replicas?: number;
  /** Lets `Replica.heap` ask how much lives in their heaps. */
  readonly measureHeaps?: true;
}

/** One `mizzen discovery`, with a connection to the API server of its own. */
export interface Replica {
  readonly name: string;
  readonly discovery: Discovery;
  /** Between it and the API server. */
  readonly connection: FaultProxy;
  /** Only with `measureHeaps`. */
  readonly heap: HeapProbe | undefined;
}

export class KubernetesMesh implements AsyncDisposable {
  readonly network: PodNetwork;
  /** Whose configuration counts. */
  readonly cluster: TestCluster;
  readonly #remotes = new Map<string, TestCluster>();
  /** Where the proxies find the control plane: an address that leads to the replicas that are ready. */
  readonly service: ServiceAddress;
  readonly state: string;
  readonly #folder: Folder;
  readonly #stack: AsyncDisposableStack;
  readonly #workloads = new Map<string, Workload>();
  readonly #pods = new Map<string, RunningPod>();
  readonly #rootVolumes = new Map<Workload, ProjectedVolume>();
  readonly #replicas = new Map<string, Replica>();
  readonly #options: KubernetesMeshOptions;

  private constructor(
    network: PodNetwork,
    cluster: TestCluster,
    service: ServiceAddress,
    stack: AsyncDisposableStack,
    options: KubernetesMeshOptions,
  ) {
    this.network = network;
    this.cluster = cluster;
    this.service = service;
    this.#stack = stack;
    this.#options = options;
    this.#folder = stack.use(new Folder('kubernetes-mesh'));
    this.state = this.#folder.at('state');
  }

  /** Returns when every proxy has its configuration. */
  static async start(options: KubernetesMeshOptions): Promise<KubernetesMesh> {
    const binaries = await clusterBinaries();
    const stack = new AsyncDisposableStack();
    let logs = (): string => '';
    try {
      const network = stack.use(new PodNetwork(options.name));
      const cluster = stack.use(await TestCluster.start({ address: network.testAddress, binaries }));
      const service = stack.use(await ServiceAddress.listen(network.testAddress));
      const mesh = new KubernetesMesh(network, cluster, service, stack, options);
      logs = () => mesh.logs();
      await mesh.#prepare();
      const added = await Promise.all(Object.entries(options.workloads).map(([name, workload]) => mesh.announce(name, workload)));
      for (let n = 1; n <= (options.replicas ?? 1); n++) await mesh.startReplica(`replica-${n}`);
      await Promise.all(added.map((workload) => mesh.#startProxy(workload)));
      return mesh;
    } catch (fault) {
      const said = logs();
      await stack.disposeAsync();
      throw new Error(`the mesh did not start: ${(fault as Error).message}\n${said}`, { cause: fault });
    }
  }

  /** Another cluster on the network, with nodes and namespaces and no control plane of its own. */
  async addCluster(id: string, namespaces: readonly string[]): Promise<TestCluster> {
    const cluster = this.#stack.use(await TestCluster.start({ address: this.network.testAddress, binaries: await clusterBinaries() }));
    for (const [name, zone] of Object.entries(nodes)) await addNode(cluster.api, name, { region: 'region', zone });
    for (const namespace of ['istio-system', ...namespaces]) await addNamespace(cluster.api, namespace);
    this.#remotes.set(id, cluster);
    return cluster;
  }

  #clusterOf({ cluster }: KubernetesWorkloadOptions): TestCluster {
    const found = cluster === undefined ? this.cluster : this.#remotes.get(cluster);
    if (found === undefined) throw new Error(`no cluster ${cluster}`);
    return found;
  }

  async #prepare(): Promise<void> {
    const { workloads, manifests, meshConfig: config = '' } = this.#options;
    const { api } = this.cluster;
    await installCrds(api);
    for (const [name, zone] of Object.entries(nodes)) await addNode(api, name, { region: 'region', zone });
    const namespaces = new Set(['istio-system', ...Object.values(workloads).map((w) => w.namespace ?? 'shop')]);
    for (const namespace of namespaces) await addNamespace(api, namespace);
    await this.cluster.apply(meshConfig(config));
    await this.cluster.apply(manifests);
  }

  /** One more replica; returns when it is ready and gets connections. `flags` come after those of all. */
  async startReplica(name: string, flags: readonly string[] = []): Promise<Replica> {
    const connection = this.#stack.use(await FaultProxy.start(this.cluster.url));
    const heap = this.#options.measureHeaps === true ? new HeapProbe(this.#folder.at(`${name}.heap`)) : undefined;
    const discovery = this.#stack.use(
      await Discovery.start({
        kubeconfig: this.cluster.kubeconfigFor(name, { server: connection.url }),
        state: this.state,
        address: this.network.testAddress,
        log: this.#folder.at(`${name}.log`),
        flags: [...(this.#options.flags ?? []), ...flags],
        env: { POD_NAME: name, ...heap?.env },
      }),
    );
    const replica = { name, discovery, connection, heap };
    this.#replicas.set(name, replica);
    const { address, secureGrpc, adminAddress, http } = discovery.addresses;
    await this.service.add({ address, port: secureGrpc, probe: { address: adminAddress, port: http } });
    return replica;
  }

  get replicas(): readonly Replica[] {
    return [...this.#replicas.values()];
  }

  replica(name: string): Replica {
    const found = this.#replicas.get(name);
    if (found === undefined) throw new Error(`no replica ${name}`);
    return found;
  }

  /** Of the first replica. */
  get discovery(): Discovery {
    return this.replica('replica-1').discovery;
  }

  /** Between the first replica and the API server. */
  get connection(): FaultProxy {
    return this.replica('replica-1').connection;
  }

  workload(name: string): Workload {
    const found = this.#workloads.get(name);
    if (found === undefined) throw new Error(`no workload ${name}`);
    return found;
  }

  /** The pod's object as it was made. */
  pod(name: string): RunningPod {
    const found = this.#pods.get(name);
    if (found === undefined) throw new Error(`no pod ${name}`);
    return found;
  }

  /** Adds a pod to the running mesh; returns when its proxy has its configuration. */
  async add(name: string, options: KubernetesWorkloadOptions): Promise<Workload> {
    const workload = await this.announce(name, options);
    await this.#startProxy(workload);
    return workload;
  }

  /**
   * Makes the network namespace, its applications and the pod object. A pod with a proxy is not ready: as with a kubelet's probes, that comes with the
   * proxy's own readiness.
   */
  async announce(name: string, options: KubernetesWorkloadOptions): Promise<Workload> {
    const redirect = (options.proxy ?? 'sidecar') === 'sidecar';
    const workload = new Workload(name, this.network.pod(name, { redirect }), options);
    this.#stack.use(workload);
    this.#workloads.set(name, workload);
    await Promise.all([workload.startApps(), this.addObject(name)]);
    return workload;
  }

  /** Makes the pod's object, and its service account when there is none. */
  async addObject(name: string): Promise<void> {
    const workload = this.workload(name);
    const options: KubernetesWorkloadOptions = workload.options;
    const type = options.proxy ?? 'sidecar';
    const { api } = this.#clusterOf(options);
    const { namespace, serviceAccount } = workload;
    await addServiceAccount(api, namespace, serviceAccount);
    this.#pods.set(
      name,
      await addPod(api, {
        namespace,
        name,
        ip: workload.pod.ip,
        serviceAccount,
        ready: type === 'none',
        labels: { app: name, ...options.labels, ...(type === 'none' ? {} : { 'security.istio.io/tlsMode': 'istio' }) },
        ...(options.node === undefined ? {} : { node: options.node }),
        ...(options.ports === undefined ? {} : { ports: options.ports }),
      }),
    );
  }

  async #startProxy(workload: Workload): Promise<void> {
    const { name, pod } = workload;
    const options: KubernetesWorkloadOptions = workload.options;
    const { api } = this.#clusterOf(options);
    const type = options.proxy ?? 'sidecar';
    if (type === 'none') return;
    const folder = this.#folder.at('proxies', name);
    const roots = join(folder, 'roots');
    this.#rootVolumes.set(workload, new ProjectedVolume(roots));
    await this.syncRoots(workload);
    const tokens = join(folder, 'tokens');
    new ProjectedVolume(tokens).update({ 'istio-token': await podToken(api, this.pod(name)) });
    const { namespace = workload.namespace, serviceAccount = workload.serviceAccount } = options.claims ?? {};
    const labels = Object.entries({ app: name, ...options.labels }).flatMap(([key, value]) => ['--label', `${key}=${value}`]);
    const { stdout: command } = await promisify(execFile)(process.execPath, [
      ...[
        main,
        'bootstrap',
        '--dir',
        folder,
        '--type',
        type,
        '--name',
        name,
        '--namespace',
        namespace,
        '--service-account',
        serviceAccount,
      ],
      ...['--ip', pod.ip, ...labels, '--control-plane', `${this.network.testAddress}:${this.service.port}`],
      ...['--root', join(roots, 'root-cert.pem'), '--token', join(tokens, 'istio-token'), '--admin', `${pod.ip}:15000`],
      ...['--concurrency', '1', '--drain-time', '5'],
      ...(options.cluster === undefined ? [] : ['--cluster-id', options.cluster]),
    ]);
    const [, , , ...flags] = command.trim().split(' ');
    const bootstrap: unknown = parse(readFileSync(join(folder, 'bootstrap.yaml'), 'utf8'), { version: '1.1' });
    await workload.startProxy(await Envoy.start({ bootstrap, admin: { address: pod.ip, port: 15000 }, pod, name, flags }));
    if (options.awaitReady !== false) await setReady(api, this.pod(name), true);
  }

  /** Projects ConfigMap `istio-ca-root-cert` into the pod, as its kubelet does within a minute or two of a change. */
  async syncRoots(workload: Workload): Promise<void> {
    const { namespace } = workload;
    const metadata = { name: 'istio-ca-root-cert', namespace };
    const found = await eventually(`the roots of namespace ${namespace}`, () =>
      this.cluster.api.find<KubeObject & { readonly data: Readonly<Record<string, string>> }>({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata,
      }),
    );
    this.#rootVolumes.get(workload)?.update(found.data);
  }

  /** Addresses of a cluster's endpoints as a proxy has them, sorted. */
  async endpointsOf(name: string, cluster: string): Promise<string[]> {
    const found = (await this.workload(name).envoy.clusters()).find((c) => c.name === cluster || c.name === `${cluster};`);
    return (found?.host_statuses ?? []).map((host) => host.address.socket_address?.address ?? '').sort();
  }

  logs(): string {
    const replicas = this.replicas.map(({ name, discovery }) => `--- ${name}:\n${discovery.log(30)}`);
    return [...(replicas.length === 0 ? ['--- no replica of mizzen discovery was started'] : replicas), this.cluster.logs(8)].join('\n');
  }

  /** Shows why, when the running test fails. */
  explainFailure(): void {
    onTestFailed(() => console.error(this.logs()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
