/** Where the status of the certificate authority is read and requests are left: a state folder, or the API server. */
import { delimiter, join, resolve } from 'node:path';
import { requestAnnotation, statusKey, statusMapName } from '../../ca/cluster/rotation-controller.ts';
import { requestFile, statusFile } from '../../ca/folder-rotation.ts';
import type { CaRequest } from '../../ca/rotation.ts';
import type { CaStatus } from '../../ca/status.ts';
import { readStateFile, replaceStateFile } from '../../identity/privatefile.ts';
import { defaultStateFolder } from '../../identity/statefolder.ts';
import { KubernetesApi } from '../../kubernetes/api.ts';
import { systemClock } from '../../kubernetes/clock.ts';
import { connectCluster } from '../../kubernetes/config.ts';
import { HttpTransport } from '../../kubernetes/http-transport.ts';
import { inClusterAccess } from '../../kubernetes/in-cluster.ts';
import { ApiRefusal, isRecord } from '../../kubernetes/list.ts';
import type { Transport } from '../../kubernetes/transport.ts';
import { CliError, exitCodes } from '../exit.ts';

export interface PlaceFlags {
  readonly state?: string;
  readonly kubeconfig?: string;
  readonly namespace?: string;
}

export interface CaDesk {
  status(): Promise<CaStatus>;
  request(request: CaRequest): Promise<void>;
}

type Env = Readonly<Record<string, string | undefined>>;

export async function openDesk(flags: PlaceFlags, env: Env, home: string): Promise<CaDesk> {
  const transport = flags.state === undefined ? await connect(flags, env) : undefined;
  if (transport === undefined) return new FolderDesk(resolve(flags.state ?? defaultStateFolder(env, home)));
  return new ClusterDesk(
    new KubernetesApi({ transport, fieldManager: 'mizzen-cli' }),
    flags.namespace ?? env['POD_NAMESPACE'] ?? 'istio-system',
  );
}

async function connect({ kubeconfig }: PlaceFlags, env: Env): Promise<Transport | undefined> {
  const file = kubeconfig ?? env['KUBECONFIG']?.split(delimiter).find((path) => path !== '');
  if (file !== undefined) return connectCluster({ kubeconfig: resolve(file) }).transport;
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = env;
  return host === undefined ? undefined : new HttpTransport(inClusterAccess({ host, port, clock: systemClock }));
}

class FolderDesk implements CaDesk {
  readonly #stateDir: string;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
  }

  async status(): Promise<CaStatus> {
    const file = statusFile(this.#stateDir);
    return parseStatus(readStateFile(file, 'public'), file);
  }

  async request(request: CaRequest): Promise<void> {
    // A folder that no daemon has used would be made by this.
    await this.status();
    replaceStateFile(requestFile(this.#stateDir), `${JSON.stringify(request)}\n`, 'secret');
  }
}

class ClusterDesk implements CaDesk {
  readonly #api: KubernetesApi;
  readonly #namespace: string;

  constructor(api: KubernetesApi, namespace: string) {
    this.#api = api;
    this.#namespace = namespace;
  }

  async status(): Promise<CaStatus> {
    const map = await this.#told(() => this.#api.get(this.#ref, this.#limit));
    const data = map !== undefined && isRecord(map['data']) ? map['data'][statusKey] : undefined;
    return parseStatus(typeof data === 'string' ? data : undefined, join('ConfigMap', this.#namespace, statusMapName));
  }

  async request(request: CaRequest): Promise<void> {
    const body = { metadata: { annotations: { [requestAnnotation]: JSON.stringify(request) } } };
    await this.#told(() => this.#api.mergePatch(this.#ref, body, this.#limit));
  }

  get #ref(): { apiVersion: string; plural: string; namespace: string; name: string } {
    return { apiVersion: 'v1', plural: 'configmaps', namespace: this.#namespace, name: statusMapName };
  }

  get #limit(): AbortSignal {
    return AbortSignal.timeout(10_000);
  }

  async #told<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (error instanceof ApiRefusal) throw new CliError(exitCodes.usage, `the API server refuses: ${error.message}`, { cause: error });
      throw new CliError(exitCodes.unreachable, error instanceof Error ? error.message : String(error), { cause: error });
    }
  }
}

function parseStatus(text: string | undefined, where: string): CaStatus {
  if (text === undefined)
    throw new CliError(exitCodes.usage, `${where} has no status of a certificate authority; is "mizzen discovery" running there?`);
  try {
    return JSON.parse(text) as CaStatus;
  } catch (cause) {
    throw new CliError(exitCodes.usage, `${where} cannot be read: ${(cause as Error).message}`, { cause });
  }
}
