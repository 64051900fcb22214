/** A Kubernetes cluster without nodes that run: etcd, the API server and the controller manager, each a process of this one. */
import { execFile } from 'node:child_process';
import { Folder } from '../../envoy/harness/folder.ts';
import { http } from '../../envoy/harness/http.ts';
import { freePort, freePorts } from '../../envoy/harness/ports.ts';
import { KubeApi } from './api.ts';
import { type Binaries, clusterBinaries } from './binaries.ts';
import { Component } from './component.ts';
import { apiServerOptions, apiServerUrl, controllerManagerOptions, etcdOptions, type Layout, writeCredentials } from './components.ts';
import { ClusterAuthority, type KeyAndCertificate } from './keys.ts';
import { kubeconfig } from './kubeconfig.ts';
import { addNamespace } from './objects.ts';

export interface ClusterOptions {
  /** Where the API server listens; default 127.0.0.1. Pods reach it at an address of their network. */
  readonly address?: string;
  readonly binaries?: Binaries;
}

export class TestCluster implements AsyncDisposable {
  readonly etcd: Component;
  readonly apiServer: Component;
  readonly controllerManager: Component;
  /** The API as administrator. */
  readonly api: KubeApi;
  /** `https://address:port` of the API server. */
  readonly url: string;
  /** The CA certificate in PEM. */
  readonly ca: string;
  /** Path of the administrator's kubeconfig. */
  readonly kubeconfig: string;
  readonly folder: Folder;
  readonly #layout: Layout;
  readonly #admin: KeyAndCertificate;
  #stack: AsyncDisposableStack;

  private constructor(layout: Layout, stack: AsyncDisposableStack) {
    const { folder, authority } = layout;
    this.folder = folder;
    this.url = apiServerUrl(layout);
    this.ca = authority.certificate;
    this.#admin = authority.client('admin', 'system:masters');
    const access = { server: this.url, ca: this.ca, user: this.#admin };
    this.kubeconfig = folder.write('admin.kubeconfig', kubeconfig(access), 0o600);
    this.#layout = layout;
    this.#stack = stack;
    this.api = stack.use(new KubeApi(access));
    // Stopped in the opposite order: the API server ends its requests while etcd still answers.
    this.etcd = stack.use(new Component(etcdOptions(layout)));
    this.apiServer = stack.use(new Component(apiServerOptions(layout)));
    this.controllerManager = stack.use(new Component(controllerManagerOptions(layout)));
  }

  /** Returns when pods can be made in the namespace `default`. */
  static async start({ address = '127.0.0.1', binaries }: ClusterOptions = {}): Promise<TestCluster> {
    const programs = binaries ?? (await clusterBinaries());
    const [etcd = 0, etcdPeer = 0, controllerManager = 0] = await freePorts(3);
    const apiServer = await freePort(address);
    await using stack = new AsyncDisposableStack();
    const folder = stack.use(new Folder('cluster'));
    const ports = { etcd, etcdPeer, apiServer, controllerManager };
    const layout = { binaries: programs, folder, authority: new ClusterAuthority(), address, ports };
    await writeCredentials(layout);
    const cluster = new TestCluster(layout, stack);
    for (const component of cluster.components) await component.start();
    await addNamespace(cluster.api, 'default');
    cluster.#stack = stack.move();
    return cluster;
  }

  /** In the order of their start. */
  get components(): readonly Component[] {
    return [this.etcd, this.apiServer, this.controllerManager];
  }

  /** Path of the program. */
  get kubectlPath(): string {
    return this.#layout.binaries.kubectl;
  }

  /** What kubectl prints, as administrator; throws with its standard error when it fails. */
  async kubectl(args: readonly string[], input?: string): Promise<string> {
    // Its cache of the API goes with the cluster.
    const env = { ...process.env, KUBECONFIG: this.kubeconfig, HOME: this.folder.path };
    return new Promise((resolve, reject) => {
      const child = execFile(this.kubectlPath, [...args], { env, maxBuffer: 64 << 20, timeout: 60_000 }, (fault, stdout, stderr) => {
        if (fault === null) resolve(stdout);
        else reject(new Error(`kubectl ${args.join(' ')}: ${stderr.trim() || fault.message}`, { cause: fault }));
      });
      child.stdin?.end(input);
    });
  }

  /** Applies manifests in YAML or JSON. */
  async apply(yaml: string): Promise<string> {
    return this.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], yaml);
  }

  /** Writes a kubeconfig and returns its path. Without a token it is the administrator's; `server` may be that of a FaultProxy. */
  kubeconfigFor(name: string, { token, server = this.url }: { readonly token?: string; readonly server?: string }): string {
    const user = token === undefined ? this.#admin : { token };
    return this.folder.write(`${name}.kubeconfig`, kubeconfig({ server, ca: this.ca, user }), 0o600);
  }

  /**
   * Makes every resourceVersion that a client holds too old: etcd drops its history, and the API server, started again, has none of its own either.
   * A watch that goes on from there, once it connects again, is told 410 Gone.
   */
  async forgetHistory(): Promise<void> {
    // Some change after what clients have seen; else the newest version is still theirs.
    const marker = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'history', namespace: 'default' } };
    const { metadata } = await this.api.apply({ ...marker, data: { forgotten: new Date().toISOString() } });
    const body = JSON.stringify({ revision: metadata.resourceVersion, physical: true });
    const answer = await http({ port: this.#layout.ports.etcd, path: '/v3/kv/compaction', method: 'POST', body });
    if (answer.status !== 200) throw new Error(`etcd refused the compaction: ${answer.status} ${answer.body}`);
    // Asked to end, it would wait for its watches.
    await this.apiServer.kill();
    await this.apiServer.start();
  }

  /** Ends of the outputs of all components, for a test that fails. */
  logs(lines = 20): string {
    return this.components.map((component) => `--- ${component.name}:\n${component.log(lines)}`).join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
