import { join } from 'node:path';
import { Child } from './child.ts';
import { http } from './http.ts';
import type { Pod } from './pods.ts';
import { freePorts } from './ports.ts';
import { eventually } from './wait.ts';

export interface DiscoveryOptions {
  /** Its program; the default is that of the source, which needs no build. */
  readonly main?: string;
  /** Folder with the manifests; or `kubeconfig`. */
  readonly config?: string;
  /** Kubeconfig of the cluster that it serves. */
  readonly kubeconfig?: string;
  /** Folder for the CA and the keys; the same one for a restart. */
  readonly state: string;
  /** File for its output. */
  readonly log: string;
  /** Runs in this pod and listens on its address; else on free ports of 127.0.0.1. */
  readonly pod?: Pod;
  /** Where proxies reach it when it runs in no pod: an address of the test's own; its debug API stays on 127.0.0.1. */
  readonly address?: string;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Default true; else `ready` is to be waited for. */
  readonly awaitReady?: boolean;
}

interface Addresses {
  readonly address: string;
  /** Of the monitoring port and of HTTP. */
  readonly adminAddress: string;
  /** ADS in plaintext. */
  readonly grpc: number;
  /** ADS and CA over TLS. */
  readonly secureGrpc: number;
  readonly monitoring: number;
  readonly http: number;
}

/** Two seconds on an idle machine; when it ends instead, nobody waits. */
const startLimitMs = 90_000;
/** It ends its streams over some seconds. */
const stopLimitMs = 20_000;

const sourceMain = join(import.meta.dirname, '..', '..', '..', 'src', 'main.ts');

/** `mizzen discovery` as a process of its own. */
export class Discovery implements AsyncDisposable {
  readonly addresses: Addresses;
  readonly #options: DiscoveryOptions;
  #child: Child;

  private constructor(options: DiscoveryOptions, addresses: Addresses) {
    this.#options = options;
    this.addresses = addresses;
    this.#child = this.#spawn();
  }

  /** Returns when it is ready, that is, when everything has been translated once. */
  static async start(options: DiscoveryOptions): Promise<Discovery> {
    const [grpc = 0, secureGrpc = 0, monitoring = 0, web = 0] =
      options.pod === undefined ? await freePorts(4) : [15010, 15012, 15014, 8080];
    const adminAddress = options.pod?.ip ?? '127.0.0.1';
    const address = options.address ?? adminAddress;
    const discovery = new Discovery(options, { address, adminAddress, grpc, secureGrpc, monitoring, http: web });
    if (options.awaitReady !== false) await discovery.ready();
    return discovery;
  }

  #spawn(): Child {
    const { main = sourceMain, config, kubeconfig, state, pod, log, flags = [], env } = this.#options;
    const { address, adminAddress, grpc, secureGrpc, monitoring, http: web } = this.addresses;
    const listen = ['--grpc-address', `${address}:${grpc}`, '--secure-grpc-address', `${address}:${secureGrpc}`];
    const serve = ['--monitoring-address', `${adminAddress}:${monitoring}`, '--http-address', `${adminAddress}:${web}`];
    const source = config === undefined ? [] : ['--config', config];
    const command = [process.execPath, main, 'discovery', ...source, '--state', state, ...listen, ...serve, ...flags] as const;
    const environment = { ...(kubeconfig === undefined ? {} : { KUBECONFIG: kubeconfig }), ...env };
    return new Child({ command: pod === undefined ? [...command] : pod.asApp(command), log, env: environment });
  }

  async ready(): Promise<void> {
    try {
      await eventually(
        'mizzen discovery is ready',
        async () => {
          if (!this.#child.running) return true;
          return (await http({ address: this.addresses.adminAddress, port: this.addresses.http, path: '/ready' })).status === 200;
        },
        startLimitMs,
      );
      if (!this.#child.running) throw new Error(`it ended with code ${this.#child.exitCode}`);
    } catch (fault) {
      const log = this.log();
      await this.#child.stop('SIGKILL');
      throw new Error(`mizzen discovery did not start: ${(fault as Error).message}\n${log}`, { cause: fault });
    }
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get running(): boolean {
    return this.#child.running;
  }

  /** The end of its output. */
  log(lines = 60): string {
    return this.#child.tail(lines);
  }

  /** Everything that it has written. */
  fullLog(): string {
    return this.#child.tail(Number.MAX_SAFE_INTEGER);
  }

  /** Ends it without a chance to say goodbye. */
  async kill(): Promise<void> {
    await this.#child.stop('SIGKILL');
  }

  /** Asks it to end; returns when it has, in its own time. Its exit code. */
  async stop(): Promise<number | null> {
    await this.#child.stop('SIGTERM', stopLimitMs);
    return this.#child.exitCode;
  }

  /** Keeps it from running, lets it go on, asks it to end, or calls a hook of the test's own. */
  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGTERM' | 'SIGUSR2'): void {
    this.#child.signal(signal);
  }

  /** Starts it again on the same folders and ports, ended or not; returns when it is ready. */
  async restart(): Promise<void> {
    await this.stop();
    this.#child = this.#spawn();
    await this.ready();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
