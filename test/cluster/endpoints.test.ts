/** What stands behind the Services of a real API server, held against what kubectl shows of their EndpointSlices. */
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from 'vitest';
import type { Endpoint } from '../../src/mesh/model.ts';
import { eventually } from '../envoy/harness/wait.ts';
import type { KubeObject } from './harness/api.ts';
import { clusterBinaries } from './harness/binaries.ts';
import { TestCluster } from './harness/cluster.ts';
import { addNamespace, addNode, addPod, removePod, setReady } from './harness/objects.ts';
import { Registry } from './harness/registry.ts';

interface Slice {
  readonly ports?: readonly { readonly name?: string; readonly port: number }[] | null;
  readonly endpoints?:
    | readonly {
        readonly addresses: readonly string[];
        readonly hostname?: string;
        readonly nodeName?: string;
        readonly conditions: { readonly ready: boolean; readonly serving: boolean; readonly terminating: boolean };
      }[]
    | null;
}

describe('endpoints of a real cluster', () => {
  let cluster: TestCluster;
  let registry: Registry;

  beforeAll(async () => {
    cluster = await TestCluster.start({ binaries: await clusterBinaries() });
    await addNode(cluster.api, 'node-a', { region: 'eu', zone: 'eu-a' });
    await addNode(cluster.api, 'node-b', { region: 'eu', zone: 'eu-b' });
    await addNamespace(cluster.api, 'shop');
    registry = new Registry(cluster.kubeconfigFor('source', {}));
    await registry.source.ready;
  }, 3_600_000);

  afterAll(async () => {
    await registry?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  const service = (name: string, spec: object): Promise<unknown> =>
    cluster.api.apply({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: 'shop' },
      spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 'web' }], ...spec },
    });

  let address = 0;
  const backend = (app: string, n: number, options: Partial<Parameters<typeof addPod>[1]> = {}): ReturnType<typeof addPod> =>
    addPod(cluster.api, {
      namespace: 'shop',
      name: `${app}-${n}`,
      ip: `10.78.0.${++address}`,
      node: 'node-a',
      labels: { app },
      ports: { web: 8080 },
      ...options,
    });

  const ours = (name: string): readonly Endpoint[] => registry.mesh.endpoints.peek(`shop/${name}.shop.svc.cluster.local`)?.endpoints ?? [];

  /** Endpoints of the conditions, as `address:port`. */
  async function kubectl(name: string, count: (conditions: { ready: boolean; serving: boolean; terminating: boolean }) => boolean) {
    const text = await cluster.kubectl(['get', 'endpointslices', '-n', 'shop', '-l', `kubernetes.io/service-name=${name}`, '-o', 'json']);
    const { items } = JSON.parse(text) as { readonly items: readonly Slice[] };
    return items
      .flatMap(({ endpoints, ports }) =>
        (endpoints ?? [])
          .filter(({ conditions }) => count(conditions))
          .flatMap(({ addresses, hostname, nodeName }) =>
            (ports ?? []).flatMap(({ port }) => addresses.map((ip) => ({ at: `${ip}:${port}`, hostname, nodeName }))),
          ),
      )
      .sort((a, b) => (a.at < b.at ? -1 : 1));
  }

  const ready = ({ ready: isReady }: { ready: boolean }): boolean => isReady;
  const mine = (name: string) =>
    ours(name)
      .map(({ address: ip, port, hostname, node }) => ({ at: `${ip}:${port}`, hostname, nodeName: node }))
      .sort((a, b) => (a.at < b.at ? -1 : 1));

  /** Both have `size` endpoints and mean the same by them. */
  async function agree(name: string, size: number, count: Parameters<typeof kubectl>[1] = ready): Promise<void> {
    onTestFailed(() => console.error(registry.warnings, cluster.logs()));
    await eventually(
      `${size} endpoints of ${name}`,
      async () => {
        const [a, b] = [mine(name), await kubectl(name, count)];
        return a.length === size && JSON.stringify(a) === JSON.stringify(b);
      },
      30_000,
    ).catch(async (cause: unknown) => {
      throw new Error(`mizzen has ${JSON.stringify(mine(name))}, kubectl shows ${JSON.stringify(await kubectl(name, count))}`, { cause });
    });
  }

  it('a headless Service has its pods, by the names of a StatefulSet', async () => {
    await service('db', { clusterIP: 'None' });
    for (let n = 0; n < 3; n++) await backend('db', n, { hostname: `db-${n}`, subdomain: 'db' });
    await agree('db', 3);
    expect(ours('db').map(({ hostname }) => hostname)).toEqual(['db-0', 'db-1', 'db-2']);
    expect(registry.mesh.services.peek('shop/db.shop.svc.cluster.local')).toMatchObject({
      headless: true,
      resolution: 'passthrough',
      addresses: [],
    });
  });

  it('an ExternalName is found by its name, and a Service that becomes one loses its pods', async () => {
    await service('legacy', {});
    await backend('legacy', 0);
    await agree('legacy', 1);
    await cluster.kubectl(['delete', 'service', 'legacy', '-n', 'shop']);
    await service('legacy', {
      type: 'ExternalName',
      externalName: 'legacy.example.com',
      selector: null,
      ports: [{ name: 'http', port: 80 }],
    });
    await eventually('the name', async () => ours('legacy')[0]?.address === 'legacy.example.com', 30_000);
    expect(ours('legacy')).toMatchObject([{ address: 'legacy.example.com', port: 80, tlsMode: 'disabled' }]);
    expect(ours('legacy')).toHaveLength(1);
  });

  it('a target port that is a name is each pod’s own', async () => {
    await service('named', {});
    await backend('named', 0, { ports: { web: 8080 } });
    await backend('named', 1, { ports: { web: 9090 } });
    await backend('named', 2, { ports: { other: 7070 } });
    await agree('named', 2);
    expect(ours('named').map(({ port }) => port)).toEqual([8080, 9090]);
  });

  it('pods that are not ready count for a Service that publishes them, and else for nobody', async () => {
    await service('starting', {});
    await service('published', { selector: { app: 'starting' }, publishNotReadyAddresses: true });
    const pod = await backend('starting', 0, { ready: false });
    await agree('published', 1);
    await agree('starting', 0);
    await eventually(
      'the one that is not ready',
      async () => registry.mesh.endpoints.peek('shop/starting.shop.svc.cluster.local')?.notReady[0]?.health === 'unhealthy',
      30_000,
    );
    await setReady(cluster.api, pod, true);
    await agree('starting', 1);
    await setReady(cluster.api, pod, false);
    await agree('starting', 0);
  });

  it('pods that end go at once while others are ready, and serve to the last where none is', async () => {
    await service('ending', {});
    const [first, last] = [await backend('ending', 0, { graceSeconds: 600 }), await backend('ending', 1, { graceSeconds: 600 })];
    await agree('ending', 2);
    await cluster.api.delete(first);
    await agree('ending', 1);
    expect(ours('ending')[0]?.object).toBe('Pod/shop/ending-1');
    await cluster.api.delete(last);
    // kube-proxy's fallback: nothing is ready, both still serve.
    await agree('ending', 2, ({ serving, terminating }) => serving && terminating);
    await removePod(cluster.api, first);
    await agree('ending', 1, ({ serving, terminating }) => serving && terminating);
    await removePod(cluster.api, last);
    await agree('ending', 0);
  });

  it('nodes and zones are known, and what a Service asks of them', async () => {
    await service('near', { trafficDistribution: 'PreferClose', internalTrafficPolicy: 'Local' });
    await backend('near', 0, { node: 'node-a' });
    await backend('near', 1, { node: 'node-b' });
    await agree('near', 2);
    expect(ours('near').map(({ node, locality }) => [node, locality.zone])).toEqual([
      ['node-a', 'eu-a'],
      ['node-b', 'eu-b'],
    ]);
    expect(registry.mesh.services.peek('shop/near.shop.svc.cluster.local')).toMatchObject({
      trafficDistribution: 'PreferSameZone',
      nodeLocal: true,
    });
  });

  it('a Service of both families has the addresses of both', async () => {
    await service('dual', { ipFamilyPolicy: 'RequireDualStack', ipFamilies: ['IPv4', 'IPv6'] });
    await backend('dual', 0, { otherIp: 'fd00:78::1' });
    await agree('dual', 2);
    expect(ours('dual').map(({ object }) => object)).toEqual(['Pod/shop/dual-0', 'Pod/shop/dual-0']);
    const known = registry.mesh.services.peek('shop/dual.shop.svc.cluster.local');
    expect(known?.addresses).toEqual(
      JSON.parse(await cluster.kubectl(['get', 'service', 'dual', '-n', 'shop', '-o', 'jsonpath={.spec.clusterIPs}'])),
    );
    expect(known?.addresses).toHaveLength(2);
  });

  it('gateways of other networks are where load balancers, nodes and MeshNetworks put them, and the networks of pods where labels do', async () => {
    const gateways = (): string[] =>
      Object.values(registry.mesh.networks.gateways()?.byNetwork ?? {}).flatMap((all) =>
        all.map(({ network, address, port }) => `${network} ${address}:${port}`),
      );
    const become = (expected: readonly string[]): Promise<unknown> =>
      eventually(
        `gateways ${expected.join(', ')}`,
        async () => JSON.stringify(gateways().sort()) === JSON.stringify([...expected].sort()),
        30_000,
      );
    const ports = [{ name: 'tls', port: 15443, nodePort: 31443 }];
    const gateway = (
      name: string,
      network: string,
      type: string,
      annotations: Readonly<Record<string, string>> = {},
    ): Promise<KubeObject> =>
      cluster.api.apply({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name, namespace: 'shop', labels: { 'topology.istio.io/network': network }, annotations },
        spec: { type, ports: type === 'NodePort' ? ports : [{ name: 'tls', port: 15443 }] },
      });
    const balanced = await gateway('east', 'east', 'LoadBalancer');
    await cluster.api.patch(balanced, { status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } } }, 'status');
    await become(['east 192.0.2.1:15443']);

    await gateway('west', 'west', 'NodePort', { 'traffic.istio.io/nodeSelector': '{"kubernetes.io/hostname":"node-b"}' });
    const node = await cluster.api.find({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-b' } });
    await cluster.api.patch(node!, { status: { addresses: [{ type: 'ExternalIP', address: '192.0.2.2' }] } }, 'status');
    await become(['east 192.0.2.1:15443', 'west 192.0.2.2:31443']);

    await addNamespace(cluster.api, 'istio-system', { 'topology.istio.io/network': 'home' });
    const meshNetworks = 'networks: { south: { endpoints: [], gateways: [{ address: 192.0.2.3, port: 443 }] } }';
    await cluster.api.apply({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'istio', namespace: 'istio-system' },
      data: { meshNetworks },
    });
    await become(['east 192.0.2.1:15443', 'south 192.0.2.3:443', 'west 192.0.2.2:31443']);

    await service('spread', {});
    await backend('spread', 0);
    await backend('spread', 1, { labels: { app: 'spread', 'topology.istio.io/network': 'east' } });
    await agree('spread', 2);
    expect(ours('spread').map(({ network }) => network)).toEqual(['home', 'east']);
  });
});
