/** A real Envoy of the test's own. */
import { chmodSync } from 'node:fs';
import { beforeAll, onTestFailed } from 'vitest';
import { envoyBinary } from '../../../src/cli/download/envoy.ts';
import { Child } from './child.ts';
import { Folder } from './folder.ts';
import { http, type HttpResponse } from './http.ts';
import type { Pod } from './pods.ts';
import { eventually, patienceMs } from './wait.ts';

export interface EnvoyOptions {
  /** Any form of Envoy's Bootstrap in JSON. */
  readonly bootstrap: unknown;
  readonly admin: { readonly address: string; readonly port: number };
  readonly flags?: readonly string[];
  /** Runs inside this pod's network namespace, as user 1337 so that the pod's redirection leaves its own connections alone. */
  readonly pod?: Pod;
  readonly name?: string;
  readonly logLevel?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface ClusterStatus {
  readonly name: string;
  readonly host_statuses?: readonly {
    readonly address: { readonly socket_address?: { readonly address: string; readonly port_value: number } };
    readonly health_status?: { readonly eds_health_status?: string };
    readonly weight?: number;
  }[];
}

export interface ConfigDumpSection {
  readonly '@type': string;
  readonly [field: string]: unknown;
}

const defaultFlags = ['--concurrency', '1', '--disable-hot-restart', '--drain-time-s', '1', '--drain-strategy', 'immediate'];

export class Envoy implements AsyncDisposable {
  readonly #child: Child;
  readonly #folder: Folder;
  readonly #admin: EnvoyOptions['admin'];
  #lastLog: string | undefined;

  private constructor(child: Child, folder: Folder, admin: EnvoyOptions['admin']) {
    this.#child = child;
    this.#folder = folder;
    this.#admin = admin;
  }

  /** Returns when its admin answers; what it has fetched by then is another question, see `ready`. */
  static async start(options: EnvoyOptions): Promise<Envoy> {
    const binary = await envoyBinary();
    const folder = new Folder(`envoy-${options.name ?? 'test'}`);
    const config = folder.write('bootstrap.json', JSON.stringify(options.bootstrap));
    // Envoy drops to another user in a pod, and reads its configuration from here.
    chmodSync(folder.path, 0o755);
    const command = [binary, '-c', config, '-l', options.logLevel ?? 'warning', ...(options.flags ?? defaultFlags)] as const;
    const child = new Child({
      command: options.pod === undefined ? [...command] : options.pod.asProxy(command),
      log: folder.at('envoy.log'),
      ...(options.env === undefined ? {} : { env: options.env }),
    });
    const envoy = new Envoy(child, folder, options.admin);
    try {
      onTestFailed(() => console.error(`--- ${options.name ?? 'Envoy'}:\n${envoy.logTail()}`));
    } catch {
      // Started in a hook, outside of a single test: then the fault that is thrown carries the log.
    }
    try {
      await envoy.#answers();
    } catch (fault) {
      const log = envoy.logTail();
      await envoy.stop();
      throw new Error(`Envoy did not start: ${(fault as Error).message}\n${log}`, { cause: fault });
    }
    return envoy;
  }

  async #answers(): Promise<void> {
    let gone = false;
    await eventually('the admin of Envoy answers', async () => {
      if (!this.#child.running) {
        gone = true;
        return true;
      }
      return (await this.admin('/server_info')).status === 200;
    });
    if (gone) throw new Error(`it ended with code ${this.#child.exitCode}`);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get running(): boolean {
    return this.#child.running;
  }

  /** It stands still: connections stay, and nothing is answered. */
  freeze(): void {
    this.#child.signal('SIGSTOP');
  }

  thaw(): void {
    this.#child.signal('SIGCONT');
  }

  /** `http` to the admin. */
  admin(path: string, method = 'GET'): Promise<HttpResponse> {
    return http({ address: this.#admin.address, port: this.#admin.port, path, method });
  }

  async configDump(section: string, query = ''): Promise<ConfigDumpSection> {
    const dump = JSON.parse((await this.admin(`/config_dump${query}`)).body) as { configs: ConfigDumpSection[] };
    const found = dump.configs.find((config) => config['@type'].endsWith(`.${section}`));
    if (found === undefined) throw new Error(`no ${section} in the dump: ${dump.configs.map((c) => c['@type']).join(', ')}`);
    return found;
  }

  async clusters(): Promise<readonly ClusterStatus[]> {
    return (JSON.parse((await this.admin('/clusters?format=json')).body) as { cluster_statuses?: ClusterStatus[] }).cluster_statuses ?? [];
  }

  /** `address:port` of the endpoints of one cluster; undefined when there is no such cluster. */
  async endpoints(cluster: string): Promise<string[] | undefined> {
    const found = (await this.clusters()).find((c) => c.name === cluster);
    return found === undefined
      ? undefined
      : (found.host_statuses ?? []).map((h) => `${h.address.socket_address?.address}:${h.address.socket_address?.port_value}`);
  }

  /** Names of the listeners that accept connections. */
  async listeners(): Promise<string[]> {
    const body = (await this.admin('/listeners?format=json')).body;
    return ((JSON.parse(body) as { listener_statuses?: { name: string }[] }).listener_statuses ?? []).map((l) => l.name).sort();
  }

  /** Names and versions of dynamic clusters by state. */
  async clusterStates(): Promise<{ active: Record<string, string>; warming: Record<string, string> }> {
    const dump = (await this.configDump('ClustersConfigDump')) as {
      dynamic_active_clusters?: { version_info?: string; cluster: { name: string } }[];
      dynamic_warming_clusters?: { version_info?: string; cluster: { name: string } }[];
    };
    const versions = (list: { version_info?: string; cluster: { name: string } }[] = []): Record<string, string> =>
      Object.fromEntries(list.map((c) => [c.cluster.name, c.version_info ?? '']));
    return { active: versions(dump.dynamic_active_clusters), warming: versions(dump.dynamic_warming_clusters) };
  }

  /** Versions of dynamic listeners by state. */
  async listenerStates(): Promise<Record<string, { active?: string; warming?: string; draining?: string; error?: string }>> {
    interface State {
      version_info?: string;
    }
    const dump = (await this.configDump('ListenersConfigDump')) as {
      dynamic_listeners?: {
        name: string;
        active_state?: State;
        warming_state?: State;
        draining_state?: State;
        error_state?: { details?: string };
      }[];
    };
    return Object.fromEntries(
      (dump.dynamic_listeners ?? []).map((l) => [
        l.name,
        {
          ...(l.active_state === undefined ? {} : { active: l.active_state.version_info ?? '' }),
          ...(l.warming_state === undefined ? {} : { warming: l.warming_state.version_info ?? '' }),
          ...(l.draining_state === undefined ? {} : { draining: l.draining_state.version_info ?? '' }),
          ...(l.error_state === undefined ? {} : { error: l.error_state.details ?? '' }),
        },
      ]),
    );
  }

  /** Value of one counter or gauge; undefined when there is none of that name yet. */
  async stat(name: string): Promise<number | undefined> {
    const { body } = await this.admin(`/stats?filter=${encodeURIComponent(`^${name.replaceAll(/[.|]/g, '\\$&')}$`)}`);
    const match = /: (\d+)\s*$/.exec(body.trim());
    return match === null ? undefined : Number(match[1]);
  }

  async prometheus(): Promise<string> {
    return (await this.admin('/stats/prometheus')).body;
  }

  /** Returns when every resource that it waits for at its start has come. */
  async ready(limitMs = patienceMs): Promise<void> {
    await eventually('Envoy is ready', async () => (await this.admin('/ready')).status === 200, limitMs).catch((fault: unknown) => {
      throw new Error(`${(fault as Error).message}\n${this.logTail()}`, { cause: fault });
    });
  }

  logTail(lines?: number): string {
    return this.#lastLog ?? this.#child.tail(lines);
  }

  async stop(): Promise<void> {
    // Nothing is in flight that a drain would save.
    await this.#child.stop('SIGKILL');
    this.#lastLog ??= this.#child.tail();
    this.#folder[Symbol.dispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Fetches Envoy before the first test, so that no test's time limit contains a download. */
export function needsEnvoy(): void {
  beforeAll(async () => {
    await envoyBinary();
  }, 600_000);
}
