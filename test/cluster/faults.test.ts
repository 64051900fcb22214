/** The faults that tests of clients rely on happen as they are named. */
import { request } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from 'vitest';
import { within } from '../envoy/harness/wait.ts';
import { type KubeObject, KubeApi } from './harness/api.ts';
import { clusterBinaries } from './harness/binaries.ts';
import { TestCluster } from './harness/cluster.ts';
import { FaultProxy } from './harness/fault-proxy.ts';

interface WatchEvent {
  readonly type: string;
  readonly object: KubeObject & { readonly code?: number };
}

const configMap = (name: string): KubeObject => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' } });

/** A watch of the ConfigMaps of the namespace `default`, on a connection of its own. */
class Watch {
  readonly #events: AsyncIterator<string>;
  readonly ended: Promise<void>;

  private constructor(incoming: IncomingMessage) {
    this.#events = createInterface({ input: incoming })[Symbol.asyncIterator]();
    this.ended = new Promise((resolve) => {
      incoming.once('error', () => resolve());
      incoming.once('close', () => resolve());
    });
  }

  static start(server: string, token: string, ca: string, resourceVersion: string): Promise<Watch> {
    const path = `/api/v1/namespaces/default/configmaps?watch=true&resourceVersion=${resourceVersion}`;
    return new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}` };
      const outgoing = request(new URL(path, server), { ca, headers, agent: false }, (incoming) => resolve(new Watch(incoming)));
      outgoing.on('error', reject);
      outgoing.end();
    });
  }

  async next(limitMs?: number): Promise<WatchEvent> {
    const { value } = await within('an event', this.#events.next(), limitMs);
    return JSON.parse(String(value)) as WatchEvent;
  }
}

describe('faults between a client and the API server', () => {
  const stack = new AsyncDisposableStack();
  let cluster: TestCluster;
  let token: string;
  let watches = 0;

  beforeAll(async () => {
    const binaries = await clusterBinaries();
    cluster = stack.use(await TestCluster.start({ binaries }));
    await cluster.apply(`
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: view, namespace: default }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view }
subjects: [{ kind: ServiceAccount, name: default, namespace: default }]
`);
    token = (await cluster.kubectl(['create', 'token', 'default'])).trim();
  }, 3_600_000);

  afterAll(() => stack.disposeAsync());

  const explainFailure = (): void => onTestFailed(() => console.error(cluster.logs()));

  async function watchFromNow(proxy: FaultProxy): Promise<Watch> {
    // Changed each time: applying what is there already makes no new version.
    const { metadata } = await cluster.api.apply({ ...configMap('now'), data: { count: String(++watches) } });
    return Watch.start(proxy.url, token, cluster.ca, metadata.resourceVersion ?? '');
  }

  it('a cut ends a watch, and the next one is served', async () => {
    explainFailure();
    await using proxy = await FaultProxy.start(cluster.url);
    const watch = await watchFromNow(proxy);
    await cluster.api.create(configMap('before-cut'));
    expect((await watch.next()).object.metadata.name).toBe('before-cut');
    proxy.cut();
    await within('the watch ends', watch.ended);
    const again = await watchFromNow(proxy);
    await cluster.api.create(configMap('after-cut'));
    expect((await again.next()).object.metadata.name).toBe('after-cut');
    expect(proxy.accepted).toBe(2);
  });

  it('silence ends nothing, and nothing comes', async () => {
    explainFailure();
    await using proxy = await FaultProxy.start(cluster.url);
    const watch = await watchFromNow(proxy);
    proxy.silence();
    await cluster.api.create(configMap('unheard'));
    await expect(watch.next(1_000)).rejects.toThrow('not within 1000 ms: an event');
    expect(proxy.open).toBe(1);
    proxy.heal();
    await within('the watch ends', watch.ended);
  });

  it('refuses connections until it is healed', async () => {
    explainFailure();
    await using proxy = await FaultProxy.start(cluster.url);
    using api = new KubeApi({ server: proxy.url, ca: cluster.ca, user: { token } });
    proxy.refuse();
    await expect(api.list('v1', 'ConfigMap', 'default')).rejects.toThrow(/ECONNRESET|socket hang up|disconnected/);
    proxy.heal();
    expect((await api.list('v1', 'ConfigMap', 'default')).map((c) => c.metadata.name)).toContain('kube-root-ca.crt');
  });

  it('forgotten history turns an old resourceVersion into 410 Gone', async () => {
    explainFailure();
    const { metadata } = await cluster.api.apply(configMap('old'));
    await cluster.forgetHistory();
    const watch = await Watch.start(cluster.url, token, cluster.ca, metadata.resourceVersion ?? '');
    const { type, object } = await watch.next();
    expect({ type, code: object.code }).toEqual({ type: 'ERROR', code: 410 });
    expect((await cluster.api.get(configMap('old'))).metadata.name).toBe('old');
  });
});
