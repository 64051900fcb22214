/** A collection that mizzen keeps, compared with what the API server says, through everything that can happen in between. */
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from 'vitest';
import { systemClock } from '../../src/kubernetes/clock.ts';
import { connectCluster } from '../../src/kubernetes/config.ts';
import { Discovery } from '../../src/kubernetes/discovery.ts';
import type { Change } from '../../src/kubernetes/held.ts';
import { ListWatch, type ListWatchFault, type ListWatchLimits } from '../../src/kubernetes/listwatch.ts';
import { eventually } from '../envoy/harness/wait.ts';
import { ApiFault, type KubeObject } from './harness/api.ts';
import { clusterBinaries } from './harness/binaries.ts';
import { TestCluster } from './harness/cluster.ts';
import { crdManifests, installCrds } from './harness/crds.ts';
import { FaultProxy } from './harness/fault-proxy.ts';
import { addNamespace, removeNamespace } from './harness/objects.ts';

const namespace = 'watched';

const configMap = (name: string, value: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace, labels: { watched: 'yes' } },
  data: { value },
});

const valueOf = (object: { readonly [field: string]: unknown }): string => (object['data'] as { value: string }).value;

interface FollowerOptions {
  readonly kubeconfig: string;
  readonly path?: string;
  readonly limits?: Partial<ListWatchLimits>;
  /** Default: always. */
  readonly wanted?: () => boolean;
}

/** What a consumer of a ListWatch has after all changes that it was told. */
class Follower implements AsyncDisposable {
  readonly values = new Map<string, string>();
  readonly deleted: string[] = [];
  readonly faults: ListWatchFault[] = [];
  /** How often each object was told. */
  readonly told = new Map<string, number>();
  readonly watch: ListWatch<string>;
  #changes = 0;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;

  constructor({ kubeconfig, path = `/api/v1/namespaces/${namespace}/configmaps`, limits, wanted = () => true }: FollowerOptions) {
    const { transport } = connectCluster({ kubeconfig });
    this.watch = new ListWatch<string>({
      transport,
      clock: systemClock,
      resolve: () => Promise.resolve({ path, labelSelector: 'watched=yes' }),
      trim: (object) => (wanted() ? valueOf(object) : undefined),
      onChange: (change) => this.#take(change),
      onFault: (fault) => {
        if (fault !== undefined) this.faults.push(fault);
      },
      limits: { pageSize: 7, ...limits },
      backoff: { firstMs: 20, maxMs: 200 },
    });
    this.#ended = this.watch.run(this.#stop.signal);
  }

  #take({ upserts, deletes }: Change<string>): void {
    this.#changes++;
    for (const key of deletes) {
      this.values.delete(key);
      this.deleted.push(key);
    }
    for (const [key, value] of upserts) {
      this.values.set(key, value);
      this.told.set(key, (this.told.get(key) ?? 0) + 1);
    }
  }

  listed(): Promise<boolean> {
    return eventually('the first list', async () => this.#changes > 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }
}

describe('a list and watch of a real API server', () => {
  const stack = new AsyncDisposableStack();
  let cluster: TestCluster;
  let proxy: FaultProxy;
  let kubeconfig: string;

  beforeAll(async () => {
    const binaries = await clusterBinaries();
    cluster = stack.use(await TestCluster.start({ binaries }));
    proxy = stack.use(await FaultProxy.start(cluster.url));
    kubeconfig = cluster.kubeconfigFor('proxied', { server: proxy.url });
    await addNamespace(cluster.api, namespace);
  }, 3_600_000);

  afterAll(() => stack.disposeAsync());

  const explainFailure = (): void => onTestFailed(() => console.error(cluster.logs()));

  async function truth(): Promise<Record<string, string>> {
    const objects = await cluster.api.list('v1', 'ConfigMap', namespace, 'watched=yes');
    return Object.fromEntries(objects.map((o) => [`${namespace}/${o.metadata.name}`, valueOf(o)]));
  }

  /** Returns when the follower has what the API server has now. */
  async function caughtUp(follower: Follower, limitMs = 30_000): Promise<void> {
    const expected = await truth();
    await eventually('the follower has caught up', async () => equal(Object.fromEntries(follower.values), expected), limitMs).catch(
      () => undefined,
    );
    expect(Object.fromEntries(follower.values)).toEqual(expected);
  }

  /** Writes until it is served: the API server may be away. */
  function write(act: () => Promise<unknown>): Promise<unknown> {
    return eventually(
      'a write is served',
      () =>
        act().then(
          () => true,
          (fault: unknown) => (fault instanceof ApiFault && (fault.status === 404 || fault.status === 409) ? true : Promise.reject(fault)),
        ),
      60_000,
    );
  }

  /** Random writes to 20 objects; the ones named `kept-N` are changed and never deleted. */
  async function churn(count: number, each: (index: number) => Promise<void> | void): Promise<void> {
    for (let index = 0; index < count; index++) {
      const name = `churn-${Math.floor(Math.random() * 20)}`;
      if (Math.random() < 0.3) await write(() => cluster.api.delete(configMap(name, '')));
      else await write(() => cluster.api.apply(configMap(name, `v${index}`)));
      if (index % 10 === 0) await write(() => cluster.api.apply(configMap(`kept-${index % 3}`, `v${index}`)));
      await each(index);
    }
  }

  const keptDeletes = (follower: Follower): string[] => follower.deleted.filter((key) => key.startsWith(`${namespace}/kept-`));

  it('follows 400 writes while its connections are cut 40 times', async () => {
    explainFailure();
    await using follower = new Follower({ kubeconfig });
    await follower.listed();
    const before = proxy.accepted;
    await churn(400, (index) => {
      if (index % 10 === 5) proxy.cut();
    });
    await caughtUp(follower);
    expect(proxy.accepted - before).toBeGreaterThan(10);
    expect(keptDeletes(follower)).toEqual([]);
  });

  it('follows a namespace that is selected and left out by turns, beside the watch of all', async () => {
    explainFailure();
    let selected = false;
    await using follower = new Follower({ kubeconfig, path: '/api/v1/configmaps', wanted: () => selected });
    await follower.listed();
    const turn = (): void => {
      selected = !selected;
      if (selected) follower.watch.readNamespace(namespace);
      else follower.watch.dropNamespace(namespace);
    };
    await churn(200, (index) => {
      if (index % 5 === 4) turn();
      if (index % 50 === 30) proxy.cut();
    });
    expect([selected, follower.values.size]).toEqual([false, 0]);
    turn();
    await churn(20, () => undefined);
    await caughtUp(follower);
  });

  it('gives a silent connection up', async () => {
    explainFailure();
    await using follower = new Follower({ kubeconfig, limits: { silenceMs: 1_000 } });
    await follower.listed();
    const before = proxy.accepted;
    proxy.silence();
    await cluster.api.apply(configMap('kept-0', 'while silent'));
    await eventually('it connects again by itself', async () => proxy.accepted > before);
    proxy.heal();
    await caughtUp(follower);
    expect(keptDeletes(follower)).toEqual([]);
  });

  it('compares a new list with what it has when its version is too old, and tells the difference only', async () => {
    explainFailure();
    await cluster.api.apply(configMap('kept-1', 'unchanged'));
    await cluster.api.apply(configMap('leaves', 'soon'));
    await using follower = new Follower({ kubeconfig });
    await caughtUp(follower);
    const told = follower.told.get(`${namespace}/kept-1`);
    proxy.refuse();
    await cluster.api.delete(configMap('leaves', ''));
    await cluster.api.apply(configMap('kept-0', 'changed while nobody watched'));
    await cluster.forgetHistory();
    proxy.heal();
    await caughtUp(follower);
    expect(follower.deleted).toEqual([`${namespace}/leaves`]);
    expect(follower.told.get(`${namespace}/kept-1`)).toBe(told);
  });

  it('follows writes while the API server and etcd are killed', async () => {
    explainFailure();
    await using follower = new Follower({ kubeconfig });
    await follower.listed();
    await churn(60, async (index) => {
      if (index % 30 === 10) await cluster.apiServer.kill().then(() => cluster.apiServer.start());
      if (index % 30 === 20) await cluster.etcd.kill().then(() => cluster.etcd.start());
    });
    await caughtUp(follower);
    expect(keptDeletes(follower)).toEqual([]);
  });

  it('forgets a deleted namespace and learns what is in its successor', async () => {
    explainFailure();
    await using follower = new Follower({ kubeconfig });
    await caughtUp(follower);
    await removeNamespace(cluster.api, namespace);
    await eventually('nothing is left', async () => follower.values.size === 0);
    await addNamespace(cluster.api, namespace);
    await cluster.api.create(configMap('kept-0', 'new'));
    await caughtUp(follower);
  });

  it('waits for a kind until its definition is installed, and forgets it with the definition', async () => {
    explainFailure();
    const { transport } = connectCluster({ kubeconfig });
    const discovery = new Discovery({ transport, clock: systemClock, freshMs: 100 });
    const kind = { group: 'networking.istio.io', plural: 'virtualservices', versions: ['v1', 'v1beta1'] };
    const hosts = new Map<string, unknown>();
    const faults: ListWatchFault['type'][] = [];
    const watch = new ListWatch<unknown>({
      transport,
      clock: systemClock,
      resolve: async () => {
        const version = await discovery.servedVersion(kind);
        return version === undefined ? undefined : { path: `/apis/${kind.group}/${version}/${kind.plural}` };
      },
      trim: (object) => (object['spec'] as { hosts: unknown }).hosts,
      onChange: ({ upserts, deletes }) => {
        for (const key of deletes) hosts.delete(key);
        for (const [key, value] of upserts) hosts.set(key, value);
      },
      onFault: (fault) => fault !== undefined && faults.push(fault.type),
      limits: { absentMs: 200 },
    });
    const stop = new AbortController();
    const ended = watch.run(stop.signal);
    try {
      await eventually('it is known to be missing', async () => faults.includes('not-served'));
      await installCrds(cluster.api);
      await cluster.apply(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, namespace: default }
spec: { hosts: [reviews], http: [{ route: [{ destination: { host: reviews } }] }] }
`);
      await eventually('the object is seen', async () => hosts.has('default/reviews'), 30_000);
      expect(hosts.get('default/reviews')).toEqual(['reviews']);
      const definition = crdManifests('istio-crds').find((crd) => crd.metadata.name === 'virtualservices.networking.istio.io');
      if (definition === undefined) throw new Error('no definition of VirtualService');
      await cluster.api.delete(definition);
      await eventually('the object is gone', async () => hosts.size === 0, 30_000);
    } finally {
      stop.abort();
      await ended;
    }
  });
});

function equal(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
