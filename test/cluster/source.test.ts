/** The source against a real API server: what it holds in the end is what kubectl shows, whatever happened to connections, server and history. */
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from 'vitest';
import { eventually } from '../envoy/harness/wait.ts';
import { clusterBinaries } from './harness/binaries.ts';
import { TestCluster } from './harness/cluster.ts';
import { installCrds } from './harness/crds.ts';
import { FaultProxy } from './harness/fault-proxy.ts';
import { addNamespace, addNode, addPod, defaultNode, removeNamespace, removePod, type RunningPod, setReady } from './harness/objects.ts';
import { Registry } from './harness/registry.ts';

interface Listed<T> {
  readonly items: readonly T[];
}

interface Slice {
  readonly metadata: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> };
  readonly endpoints?: readonly { readonly addresses: readonly string[]; readonly conditions: { readonly ready: boolean } }[] | null;
  readonly ports?: readonly { readonly port: number }[] | null;
}

/** The same from kubectl. */
async function kubectlEndpoints(cluster: TestCluster): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {};
  const services = JSON.parse(await cluster.kubectl(['get', 'services', '-A', '-o', 'json'])) as Listed<
    Slice & { metadata: { name: string } }
  >;
  for (const { metadata } of services.items) {
    if (metadata.namespace !== 'default' && metadata.namespace !== 'kube-system') found[`${metadata.namespace}/${metadata.name}`] = [];
  }
  const slices = JSON.parse(await cluster.kubectl(['get', 'endpointslices', '-A', '-o', 'json'])) as Listed<Slice>;
  for (const { metadata, endpoints, ports } of slices.items) {
    const list = found[`${metadata.namespace}/${metadata.labels['kubernetes.io/service-name'] ?? ''}`];
    for (const endpoint of endpoints ?? []) {
      if (endpoint.conditions.ready) for (const { port } of ports ?? []) list?.push(...endpoint.addresses.map((a) => `${a}:${port}`));
    }
  }
  for (const list of Object.values(found)) list.sort();
  return sorted(found);
}

function sorted(record: Record<string, string[]>): Record<string, string[]> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}

describe('KubernetesSource on a real API server', () => {
  let cluster: TestCluster;
  let proxy: FaultProxy;
  let registry: Registry;
  const pods: RunningPod[] = [];

  const addService = (namespace: string, name: string): Promise<unknown> =>
    cluster.api.create({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace },
      spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 'web' }] },
    });

  const addBackend = (namespace: string, app: string, n: number, subnet: number): Promise<RunningPod> =>
    addPod(cluster.api, { namespace, name: `${app}-${n}`, ip: `10.77.${subnet}.${n + 1}`, labels: { app }, ports: { web: 8080 } });

  /** Both agree, and there is something to agree about. */
  const agree = (what: string): Promise<unknown> =>
    eventually(
      what,
      async () => {
        const [ours, theirs] = [registry.endpoints(), await kubectlEndpoints(cluster)];
        return JSON.stringify(ours) === JSON.stringify(theirs) && Object.values(ours).flat().length > 0;
      },
      60_000,
    ).catch(async (cause: unknown) => {
      expect(registry.endpoints()).toEqual(await kubectlEndpoints(cluster));
      throw cause;
    });

  beforeAll(async () => {
    cluster = await TestCluster.start({ binaries: await clusterBinaries() });
    await addNode(cluster.api, defaultNode, { region: 'region', zone: 'region-a' });
    proxy = await FaultProxy.start(cluster.url);
    await addNamespace(cluster.api, 'shop');
    for (const [subnet, app] of ['reviews', 'ratings', 'details'].entries()) {
      await addService('shop', app);
      for (let n = 0; n < 5; n++) pods.push(await addBackend('shop', app, n, subnet));
    }
    registry = new Registry(cluster.kubeconfigFor('source', { server: proxy.url }));
    await registry.source.ready;
  }, 3_600_000);

  afterAll(async () => {
    await registry?.[Symbol.asyncDispose]();
    await proxy?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  it('has the endpoints with what pod and node say', async () => {
    onTestFailed(() => console.error(registry.warnings, cluster.logs()));
    await agree('the first load');
    expect(registry.mesh.endpoints.peek('shop/reviews.shop.svc.cluster.local')?.endpoints[0]).toMatchObject({
      address: '10.77.0.1',
      port: 8080,
      identity: 'spiffe://cluster.local/ns/shop/sa/default',
      locality: { region: 'region', zone: 'region-a' },
    });
  });

  it('finds kinds that are installed while it runs', async () => {
    await installCrds(cluster.api);
    await cluster.apply(`
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: { name: reviews, namespace: shop }
spec: { hosts: [reviews], http: [{ route: [{ destination: { host: reviews } }] }] }
`);
    await eventually('the VirtualService', async () => registry.mesh.virtualServices.peek('shop/reviews') !== undefined, 30_000);
  });

  it('loses nothing over 500 flips of endpoints, cuts, a restart, a forgotten history and a namespace made anew', async () => {
    onTestFailed(() => console.error(registry.warnings, cluster.logs()));
    let random = 11;
    const next = (below: number): number => (random = (random * 1103515245 + 12345) % 2147483648) % below;
    const ready = new Map<RunningPod, boolean>();
    const flip = async (): Promise<void> => {
      const pod = pods[next(pods.length)] as RunningPod;
      const now = !(ready.get(pod) ?? true);
      ready.set(pod, now);
      await setReady(cluster.api, pod, now);
    };
    const faults: Record<number, () => Promise<void> | void> = {
      50: () => proxy.cut(),
      120: () => proxy.cut(),
      180: async () => {
        proxy.refuse();
        for (let n = 0; n < 20; n++) await flip();
        proxy.heal();
      },
      250: () => cluster.apiServer.restart(),
      330: () => cluster.forgetHistory(),
      400: async () => {
        await removeNamespace(cluster.api, 'shop');
        await addNamespace(cluster.api, 'shop');
        pods.length = 0;
        for (const [subnet, app] of ['reviews', 'ratings'].entries()) {
          await addService('shop', app);
          for (let n = 0; n < 5; n++) pods.push(await addBackend('shop', app, n, subnet + 10));
        }
      },
      450: async () => {
        const gone = pods.shift();
        if (gone !== undefined) await removePod(cluster.api, gone);
        proxy.silence();
      },
      470: () => proxy.heal(),
    };
    for (let n = 0; n < 500; n++) {
      await faults[n]?.();
      await flip();
    }
    await agree('the end of all faults');
  });

  it('tells no deletion of what stays, over a restart and a forgotten history', async () => {
    await agree('a quiet start');
    registry.deleted.length = 0;
    await cluster.apiServer.restart();
    await cluster.forgetHistory();
    const extra = await addBackend('shop', 'ratings', 90, 20);
    await agree('the new pod');
    await removePod(cluster.api, extra);
    await agree('the end of the new pod');
    expect(registry.deleted.filter((key) => !key.includes('ratings-90'))).toEqual([]);
  });
});
