/** ConfigMap `istio-ca-root-cert` with the roots of the mesh, in every namespace of it: what pods mount to verify the control plane. */
import type { KubernetesApi } from '../../kubernetes/api.ts';
import { Backoff } from '../../kubernetes/backoff.ts';
import { pause, type Clock } from '../../kubernetes/clock.ts';
import { ApiRefusal, isRecord, type RawObject } from '../../kubernetes/list.ts';
import { ListWatch } from '../../kubernetes/listwatch.ts';
import type { Transport } from '../../kubernetes/transport.ts';
import type { Controller } from '../controller.ts';
import { RateLimit } from './rate-limit.ts';

export interface RootConfigMapsOptions {
  readonly api: Pick<KubernetesApi, 'apply'>;
  readonly transport: Transport;
  readonly clock: Clock;
  /** All roots in PEM, as they are now. */
  readonly roots: () => string;
  /** Called when `roots` answers differently. Returns the function that ends it. */
  readonly onRootsChange: (listener: () => void) => () => void;
  /** Whether the mesh reads a namespace with these labels; asked again every few seconds, as it depends on MeshConfig. */
  readonly selects: (labels: Readonly<Record<string, string>>) => boolean;
  readonly onFault: (message: string, error: unknown) => void;
}

export const rootConfigMapName = 'istio-ca-root-cert';
const rootKey = 'root-cert.pem';
const label = 'istio.io/config';
/** Nobody's pods of a mesh run there. */
const ignored: ReadonlySet<string> = new Set(['kube-system', 'kube-public', 'kube-node-lease']);
const writers = 8;
const askAgainMs = 5_000;

interface Namespace {
  readonly terminating: boolean;
  readonly labels: Readonly<Record<string, string>>;
}

interface Present {
  readonly pem: string;
  readonly labelled: boolean;
}

export class RootConfigMaps implements Controller {
  readonly name = 'root ConfigMaps';
  readonly #options: RootConfigMapsOptions;

  constructor(options: RootConfigMapsOptions) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    await new Keeping(this.#options).run(signal);
  }
}

/** One time of leading. */
class Keeping {
  readonly #options: RootConfigMapsOptions;
  readonly #namespaces = new Map<string, Namespace>();
  readonly #present = new Map<string, Present>();
  readonly #due = new Set<string>();
  readonly #backoffs = new Map<string, Backoff>();
  readonly #limit: RateLimit;
  #unread = 2;
  #waiting = Promise.withResolvers<void>();

  constructor(options: RootConfigMapsOptions) {
    this.#options = options;
    this.#limit = new RateLimit(options.clock, { burst: 100, perSecond: 50 });
  }

  async run(signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const within = AbortSignal.any([signal, stop.signal]);
    within.addEventListener('abort', () => this.#wake(), { once: true });
    const endRoots = this.#options.onRootsChange(() => this.#allDue());
    try {
      await Promise.all([
        this.#watch('/api/v1/namespaces', undefined, (name, object) => this.#takeNamespace(name, object), within),
        this.#watch('/api/v1/configmaps', rootConfigMapName, (_, object, namespace) => this.#takeConfigMap(namespace, object), within),
        this.#askAgain(within),
        ...Array.from({ length: writers }, () => this.#write(within)),
      ]);
    } finally {
      endRoots();
      stop.abort();
    }
  }

  async #watch(
    path: string,
    only: string | undefined,
    take: (name: string, object: RawObject | undefined, namespace: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    let read = false;
    await new ListWatch<RawObject>({
      transport: this.#options.transport,
      clock: this.#options.clock,
      resolve: async () => ({ path, ...(only !== undefined && { fieldSelector: `metadata.name=${only}` }) }),
      trim: (object) => (only === undefined || object.metadata.name === only ? object : undefined),
      onChange: ({ upserts, deletes }) => {
        for (const object of upserts.values()) take(object.metadata.name, object, object.metadata.namespace ?? '');
        for (const key of deletes) {
          const slash = key.indexOf('/');
          take(key.slice(slash + 1), undefined, key.slice(0, slash));
        }
        if (!read && --this.#unread === 0) this.#allDue();
        read = true;
      },
      onFault: (fault) => {
        if (fault !== undefined) this.#options.onFault(`${path} cannot be watched`, new Error(fault.message));
      },
    }).run(signal);
  }

  #takeNamespace(name: string, object: RawObject | undefined): void {
    if (object === undefined) {
      this.#namespaces.delete(name);
      this.#backoffs.delete(name);
      return;
    }
    const { deletionTimestamp, labels } = object.metadata;
    this.#namespaces.set(name, {
      terminating: deletionTimestamp !== undefined,
      labels: isRecord(labels) ? (labels as Namespace['labels']) : {},
    });
    this.#check(name);
  }

  #takeConfigMap(namespace: string, object: RawObject | undefined): void {
    if (object === undefined) this.#present.delete(namespace);
    else {
      const data = isRecord(object['data']) ? object['data'] : {};
      const labels = isRecord(object.metadata['labels']) ? object.metadata['labels'] : {};
      const pem = typeof data[rootKey] === 'string' ? data[rootKey] : '';
      const roots = this.#options.roots();
      // One string for all namespaces.
      this.#present.set(namespace, { pem: pem === roots ? roots : pem, labelled: labels[label] === 'true' });
    }
    this.#check(namespace);
  }

  #allDue(): void {
    for (const name of this.#namespaces.keys()) this.#check(name);
  }

  #check(namespace: string): void {
    if (this.#unread > 0 || !this.#isWrong(namespace)) return;
    this.#due.add(namespace);
    this.#wake();
  }

  #isWrong(name: string): boolean {
    const namespace = this.#namespaces.get(name);
    if (namespace === undefined || namespace.terminating || ignored.has(name) || !this.#options.selects(namespace.labels)) return false;
    const present = this.#present.get(name);
    return present === undefined || !present.labelled || present.pem !== this.#options.roots();
  }

  /** What is selected changes without an event of ours. */
  async #askAgain(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await pause(this.#options.clock, askAgainMs, signal);
      this.#allDue();
    }
  }

  async #write(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const [namespace] = this.#due;
      if (namespace === undefined) {
        await this.#waiting.promise;
        continue;
      }
      this.#due.delete(namespace);
      if (!this.#isWrong(namespace)) continue;
      await this.#limit.turn(signal);
      if (!signal.aborted) await this.#apply(namespace, signal);
    }
  }

  /** All writers wait for one promise; each looks for itself what is left. */
  #wake(): void {
    this.#waiting.resolve();
    this.#waiting = Promise.withResolvers();
  }

  async #apply(namespace: string, signal: AbortSignal): Promise<void> {
    const pem = this.#options.roots();
    const ref = { apiVersion: 'v1', plural: 'configmaps', namespace, name: rootConfigMapName };
    const metadata = { name: rootConfigMapName, namespace, labels: { [label]: 'true' } };
    try {
      await this.#options.api.apply(ref, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { [rootKey]: pem } }, signal);
      this.#backoffs.delete(namespace);
      // Until its event arrives it counts as written.
      this.#present.set(namespace, { pem, labelled: true });
    } catch (error) {
      if (signal.aborted || isOver(error)) return;
      this.#options.onFault(`${rootConfigMapName} of namespace ${namespace} could not be written`, error);
      this.#later(namespace, signal);
    }
  }

  #later(namespace: string, signal: AbortSignal): void {
    let backoff = this.#backoffs.get(namespace);
    if (backoff === undefined) this.#backoffs.set(namespace, (backoff = new Backoff(this.#options.clock, { firstMs: 200, maxMs: 30_000 })));
    const cancel = this.#options.clock.after(backoff.failed(), () => {
      signal.removeEventListener('abort', cancel);
      this.#check(namespace);
    });
    signal.addEventListener('abort', cancel, { once: true });
  }
}

/** The namespace is gone, or takes no new objects because it ends. */
function isOver(error: unknown): boolean {
  return error instanceof ApiRefusal && (error.status === 404 || (error.status === 403 && error.message.includes('is being terminated')));
}
