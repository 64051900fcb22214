/** What mizzen knows of a real API server, without a daemon around it. */
import { untranslatedPaths } from '../../../src/apis/untranslated.ts';
import { Intake } from '../../../src/discovery/objects.ts';
import { connectCluster } from '../../../src/kubernetes/config.ts';
import { Mesh } from '../../../src/mesh/mesh.ts';
import { Objects } from '../../../src/mesh/objects.ts';
import { KubernetesSource } from '../../../src/sources/kubernetes/kubernetes-source.ts';
import { Graph } from '../../../src/store/graph.ts';

/** The mesh as mizzen has it, from a kubeconfig. */
export class Registry implements AsyncDisposable {
  readonly mesh: Mesh;
  readonly source: KubernetesSource;
  readonly deleted: string[] = [];
  readonly warnings: object[] = [];
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(kubeconfig: string) {
    const objects = new Objects(new Graph());
    const onFault = (collection: string, key: string, cause: unknown): never => {
      throw new Error(`${collection} ${key}`, { cause });
    };
    this.mesh = new Mesh(objects, { onFault, untranslated: untranslatedPaths });
    const intake = new Intake({ objects, changed: () => objects.graph.flush(), event: () => {} });
    const { transport } = connectCluster({ kubeconfig }, { timeoutMs: 5_000 });
    const quiet = (): void => {};
    const warn = (fields: object): void => void this.warnings.push(fields);
    this.source = new KubernetesSource({
      transport,
      backoff: { maxMs: 500 },
      limits: { silenceMs: 10_000, absentMs: 200 },
      logger: { debug: quiet, info: quiet, warn, error: warn },
    });
    const sink = {
      apply: (change: Parameters<Intake['apply']>[0]): void => {
        this.deleted.push(...change.deletes);
        intake.apply(change);
      },
    };
    this.#running = this.source.run(sink, this.#stop.signal);
  }

  endpoints(): Record<string, string[]> {
    const found: Record<string, string[]> = {};
    for (const key of this.mesh.services.keysNow()) {
      const service = this.mesh.services.peek(key);
      if (service === undefined || service.namespace === 'default' || service.namespace === 'kube-system') continue;
      found[`${service.namespace}/${service.name}`] = (this.mesh.endpoints.peek(key)?.endpoints ?? [])
        .map((e) => `${e.address}:${e.port}`)
        .sort();
    }
    return sorted(found);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

function sorted(record: Record<string, string[]>): Record<string, string[]> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}
