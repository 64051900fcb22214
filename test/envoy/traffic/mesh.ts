/**
 * A mesh of real Envoys in pods, driven by `mizzen discovery` over a folder of manifests. Every proxy starts as a user would start it: with what
 * `mizzen token` and `mizzen bootstrap` print.
 */
import { execFile } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, onTestFailed } from 'vitest';
import { parse, stringify } from 'yaml';
import { type App, Apps } from '../harness/apps.ts';
import { Client } from '../harness/client.ts';
import { Discovery } from '../harness/discovery.ts';
import { Envoy } from '../harness/envoy.ts';
import { Folder } from '../harness/folder.ts';
import { http } from '../harness/http.ts';
import { type Pod, PodNetwork } from '../harness/pods.ts';

const main = join(import.meta.dirname, '..', '..', '..', 'src', 'main.ts');

export interface WorkloadOptions {
  readonly namespace?: string;
  /** The workload's name when absent. */
  readonly serviceAccount?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly locality?: string;
  readonly apps?: readonly App[];
  /** Has a client for single requests. */
  readonly client?: boolean;
  /** `none`: no proxy and no interception. */
  readonly proxy?: 'sidecar' | 'router' | 'none';
  /** Default REDIRECT; NONE: nothing intercepts, applications use listeners of the Sidecar. */
  readonly interception?: 'REDIRECT' | 'NONE';
  /** Further arguments of `mizzen bootstrap`. */
  readonly bootstrap?: readonly string[];
  /** What the proxy is started with instead of the truth. */
  readonly claims?: { readonly serviceAccount?: string; readonly namespace?: string };
  /** Waits until it has its first configuration. Default true. */
  readonly awaitReady?: boolean;
}

export interface MeshOptions {
  /** At most 3 letters: it becomes part of interface names. */
  readonly name: string;
  readonly workloads: Readonly<Record<string, WorkloadOptions>>;
  /** YAML by file name. */
  readonly manifests: Readonly<Record<string, string>>;
  /** MeshConfig in YAML. */
  readonly meshConfig?: string;
  readonly flags?: readonly string[];
}

export interface MeshProblem {
  readonly object: string;
  readonly path: string;
  readonly reason: string;
  readonly message: string;
}

/** What the command prints. */
export async function mizzen(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [main, ...args], { maxBuffer: 16 << 20 });
  return stdout;
}

export class Workload implements AsyncDisposable {
  readonly name: string;
  readonly namespace: string;
  readonly pod: Pod;
  readonly options: WorkloadOptions;
  readonly #stack = new AsyncDisposableStack();
  #envoy: Envoy | undefined;
  #client: Client | undefined;

  constructor(name: string, pod: Pod, options: WorkloadOptions) {
    this.name = name;
    this.namespace = options.namespace ?? 'shop';
    this.pod = pod;
    this.options = options;
  }

  get serviceAccount(): string {
    return this.options.serviceAccount ?? this.name;
  }

  get envoy(): Envoy {
    if (this.#envoy === undefined) throw new Error(`${this.name} has no proxy`);
    return this.#envoy;
  }

  /** Makes requests from inside the pod as an application there. */
  get client(): Client {
    if (this.#client === undefined) throw new Error(`${this.name} has no client`);
    return this.#client;
  }

  async startApps(): Promise<void> {
    const { apps = [], client = false } = this.options;
    if (apps.length > 0) this.#stack.use(await Apps.start(apps, this.pod));
    if (client) this.#client = this.#stack.use(await Client.start(this.pod));
  }

  async startProxy(envoy: Envoy): Promise<void> {
    this.#envoy = this.#stack.use(envoy);
    if (this.options.awaitReady !== false) await envoy.ready(30_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

export class Mesh implements AsyncDisposable {
  readonly network: PodNetwork;
  readonly state: string;
  readonly #folder: Folder;
  readonly #workloads = new Map<string, Workload>();
  readonly #stack = new AsyncDisposableStack();
  #discovery: Discovery | undefined;

  private constructor(name: string) {
    this.network = this.#stack.use(new PodNetwork(name));
    this.#folder = this.#stack.use(new Folder(`mesh-${name}`));
    this.state = this.#folder.at('state');
  }

  /** Returns when every proxy has its configuration. */
  static async start(options: MeshOptions): Promise<Mesh> {
    const mesh = new Mesh(options.name);
    try {
      for (const [file, content] of Object.entries(options.manifests)) mesh.apply(file, content);
      mesh.apply('mesh-config', meshConfig(options.meshConfig ?? ''));
      const added = Object.entries(options.workloads).map(([name, workload]) => mesh.#add(name, workload));
      const apps = Promise.all(added.map((workload) => workload.startApps()));
      mesh.#discovery = mesh.#stack.use(
        await Discovery.start({
          config: mesh.#folder.at('config'),
          state: mesh.state,
          address: mesh.network.testAddress,
          log: mesh.#folder.at('discovery.log'),
          ...(options.flags === undefined ? {} : { flags: options.flags }),
        }),
      );
      await apps;
      await Promise.all(added.map((workload) => mesh.#startProxy(workload)));
      return mesh;
    } catch (fault) {
      const log = mesh.#discovery?.log() ?? '';
      await mesh.#stack.disposeAsync();
      throw new Error(`the mesh did not start: ${(fault as Error).message}\n${log}`, { cause: fault });
    }
  }

  get discovery(): Discovery {
    if (this.#discovery === undefined) throw new Error('mizzen discovery has not been started');
    return this.#discovery;
  }

  workload(name: string): Workload {
    const found = this.#workloads.get(name);
    if (found === undefined) throw new Error(`no workload ${name}`);
    return found;
  }

  /** Adds a workload to the running mesh. */
  async add(name: string, options: WorkloadOptions): Promise<Workload> {
    const workload = this.#add(name, options);
    await workload.startApps();
    await this.#startProxy(workload);
    return workload;
  }

  #add(name: string, options: WorkloadOptions): Workload {
    const redirect = (options.proxy ?? 'sidecar') === 'sidecar' && options.interception !== 'NONE';
    const pod = this.network.pod(name, { redirect });
    const workload = new Workload(name, pod, options);
    // Stopped before the namespaces are removed.
    this.#stack.use(workload);
    this.#workloads.set(name, workload);
    this.announce(name);
    return workload;
  }

  /** Writes the manifest that makes the workload an endpoint, with its address and labels. */
  announce(name: string): void {
    this.apply(`workload-${name}`, workloadEntry(this.workload(name)));
  }

  withdraw(name: string): void {
    this.remove(`workload-${name}`);
  }

  async #startProxy(workload: Workload): Promise<void> {
    const { name, pod, options } = workload;
    const type = options.proxy ?? 'sidecar';
    if (type === 'none') return;
    const { namespace = workload.namespace, serviceAccount = workload.serviceAccount } = options.claims ?? {};
    const folder = this.#folder.at('proxies', name);
    const { address, secureGrpc } = this.discovery.addresses;
    const labels = Object.entries(labelsOf(workload)).flatMap(([key, value]) => ['--label', `${key}=${value}`]);
    const [token, command] = await Promise.all([
      mizzen('token', '--namespace', workload.namespace, '--service-account', workload.serviceAccount, '--state', this.state),
      mizzen(
        ...['bootstrap', '--dir', folder, '--type', type, '--name', name, '--namespace', namespace, '--service-account', serviceAccount],
        ...['--ip', pod.ip, ...labels, '--locality', options.locality ?? '', '--control-plane', `${address}:${secureGrpc}`],
        ...['--root', join(this.state, 'ca', 'root-cert.pem'), '--token', join(folder, 'token'), '--admin', `${pod.ip}:15000`],
        ...['--concurrency', '1', '--drain-time', '5', '--interception-mode', options.interception ?? 'REDIRECT'],
        ...(options.bootstrap ?? []),
      ),
    ]);
    this.#folder.write(join('proxies', name, 'token'), token.trim(), 0o600);
    // Access logs are written at once, for tests that read them and for whoever reads why a test failed.
    const flags = [...command.trim().split(' ').slice(3), '--file-flush-interval-msec', '200'];
    const bootstrap: unknown = parse(readFileSync(join(folder, 'bootstrap.yaml'), 'utf8'), { version: '1.1' });
    await workload.startProxy(await Envoy.start({ bootstrap, admin: { address: pod.ip, port: 15000 }, pod, name, flags }));
  }

  /** Replaces the mesh configuration. */
  configure(yaml: string): void {
    this.apply('mesh-config', meshConfig(yaml));
  }

  /** Writes one manifest file; returns at once. */
  apply(name: string, yaml: string): void {
    this.#folder.write(join('config', `${name}.yaml`), yaml);
  }

  remove(name: string): void {
    rmSync(this.#folder.at('config', `${name}.yaml`));
  }

  /** Addresses of a cluster's endpoints as a proxy has them. */
  async endpointsOf(name: string, cluster: string): Promise<string[]> {
    const found = (await this.workload(name).envoy.clusters()).find((c) => c.name === cluster || c.name === `${cluster};`);
    return (found?.host_statuses ?? []).map((host) => host.address.socket_address?.address ?? '');
  }

  /** Whether the proxy is connected and has accepted everything that it was sent. */
  async inSync(name: string): Promise<boolean> {
    const { body } = await http({ port: this.discovery.addresses.monitoring, path: '/debug/syncz' });
    const proxy = `${name}.${this.workload(name).namespace}`;
    return (JSON.parse(body) as { proxy: string; state: string }[]).some((stream) => stream.proxy === proxy && stream.state === 'SYNCED');
  }

  /** What `/debug/problems` says. */
  async problems(): Promise<readonly MeshProblem[]> {
    const { body } = await http({ port: this.discovery.addresses.monitoring, path: '/debug/problems' });
    return JSON.parse(body) as MeshProblem[];
  }

  /** Runs `mizzen proxy-status` on the mesh; its exit status does not matter here. */
  async proxyStatus(...args: string[]): Promise<string> {
    return mizzen('proxy-status', '--address', `127.0.0.1:${this.discovery.addresses.monitoring}`, ...args).catch(
      (fault: { stdout: string; stderr: string }) => fault.stdout + fault.stderr,
    );
  }

  /** Shows why, when the running test fails: what the control plane logged, and requests that a proxy has failed. */
  explainFailure(): void {
    onTestFailed(async () => {
      console.error(`--- mizzen discovery:\n${this.discovery.log(30)}`);
      console.error(`--- problems:\n${JSON.stringify(await this.problems().catch(String), undefined, 1)}`);
      for (const { name, options, envoy } of [...this.#workloads.values()].filter((w) => w.options.proxy !== 'none')) {
        if (options.awaitReady === false) continue;
        const telling = envoy.logTail(Number.MAX_SAFE_INTEGER).split('\n').filter(isTelling).slice(-20);
        console.error(`--- ${name}:\n${telling.join('\n')}`);
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** A mesh for the tests of one suite; call the result in a test. What `options` reads may be made in a hook before. */
export function useMesh(options: () => MeshOptions): () => Mesh {
  let mesh: Mesh | undefined;
  beforeAll(async () => {
    mesh = await Mesh.start(options());
  });
  beforeEach(() => mesh?.explainFailure());
  afterAll(async () => {
    await mesh?.[Symbol.asyncDispose]();
  });
  return () => {
    if (mesh === undefined) throw new Error('the mesh has not started');
    return mesh;
  };
}

/** Warnings, and access logs of what did not go well. */
function isTelling(line: string): boolean {
  return !/^\[\d{4}-[^\]]*\] "[^"]*" [123]\d\d |Deprecated field|no configured limit/.test(line);
}

function labelsOf({ name, options }: Workload): Readonly<Record<string, string>> {
  return { app: name, ...options.labels };
}

function workloadEntry(workload: Workload): string {
  const { name, namespace, serviceAccount, pod, options } = workload;
  const tlsMode = options.proxy === 'none' ? 'disabled' : 'istio';
  return stringify({
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadEntry',
    metadata: { name, namespace },
    spec: {
      address: pod.ip,
      serviceAccount,
      labels: { ...labelsOf(workload), 'security.istio.io/tlsMode': tlsMode },
      ...(options.locality === undefined ? {} : { locality: options.locality }),
    },
  });
}

/** The mesh configuration, with the access logs that the tests show when they fail. */
export function meshConfig(mesh: string): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'istio', namespace: 'istio-system' },
    data: { mesh: `accessLogFile: /dev/stdout\n${mesh}` },
  });
}
