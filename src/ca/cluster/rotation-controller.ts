/** The leader's part in a cluster: it advances the rotation, shows how far it is in ConfigMap `mizzen-ca`, and takes requests from there. */
import type { KubernetesApi } from '../../kubernetes/api.ts';
import type { RawObject } from '../../kubernetes/list.ts';
import { isRecord } from '../../kubernetes/list.ts';
import { ListWatch } from '../../kubernetes/listwatch.ts';
import type { Transport } from '../../kubernetes/transport.ts';
import { RotationDriver, type DriverOptions } from '../driver.ts';
import { parseRequest } from '../request.ts';
import type { CaRequest } from '../rotation.ts';

/** Whoever may patch it may start and abort rotations. It holds no keys. */
export const statusMapName = 'mizzen-ca';
export const statusKey = 'status.json';
export const requestAnnotation = 'mizzen.io/ca-request';

export interface RotationControllerOptions extends Omit<DriverOptions, 'request' | 'onStatus' | 'otherTime'> {
  readonly api: Pick<KubernetesApi, 'apply'>;
  readonly transport: Transport;
  readonly namespace: string;
  /** Called when `replicas` answers differently. Returns the function that ends it. */
  readonly onReplicasChange: (listener: () => void) => () => void;
}

export class RotationController {
  readonly name = 'root rotation';
  readonly #options: RotationControllerOptions;

  constructor(options: RotationControllerOptions) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { api, transport, clock, namespace, onReplicasChange, onFault } = this.#options;
    const stop = new AbortController();
    const within = AbortSignal.any([signal, stop.signal]);
    let request: CaRequest | undefined;
    let read = false;
    const driver = new RotationDriver({
      ...this.#options,
      // Until it is known what is asked for, nothing is advanced that somebody may have aborted.
      replicas: () => (read ? this.#options.replicas() : undefined),
      request: () => request,
      // Whatever it answers to whomever, it says when.
      otherTime: async (at) => (await transport.request({ method: 'GET', path: '/version' }, at)).dateMs,
      onStatus: async (status, at) => {
        const metadata = { name: statusMapName, namespace };
        const data = { [statusKey]: `${JSON.stringify(status, null, 2)}\n` };
        const ref = { apiVersion: 'v1', plural: 'configmaps', ...metadata };
        await api.apply(ref, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data }, at);
      },
    });
    const end = onReplicasChange(() => driver.wake());
    const watch = new ListWatch<RawObject>({
      transport,
      clock,
      resolve: async () => ({
        path: `/api/v1/namespaces/${encodeURIComponent(namespace)}/configmaps`,
        fieldSelector: `metadata.name=${statusMapName}`,
      }),
      trim: (map) => (map.metadata.name === statusMapName ? map : undefined),
      onChange: ({ upserts }) => {
        read = true;
        const before = request?.id;
        for (const map of upserts.values()) request = requestOf(map);
        if (request?.id !== before) driver.wake();
      },
      onFault: (fault) => {
        if (fault !== undefined) onFault(new Error(`ConfigMap ${namespace}/${statusMapName} cannot be watched: ${fault.message}`));
      },
    });
    try {
      await Promise.all([watch.run(within), driver.run(within)]);
    } finally {
      end();
      stop.abort();
    }
  }
}

function requestOf(map: RawObject): CaRequest | undefined {
  const annotations = isRecord(map.metadata['annotations']) ? map.metadata['annotations'] : {};
  const text = annotations[requestAnnotation];
  return typeof text === 'string' ? parseRequest(text) : undefined;
}
