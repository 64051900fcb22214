/** A mesh of two real clusters: pods of one are endpoints for those of the other, whatever happens to the credential and the API server between them. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { ClusterView } from '../../src/admin/clusterz.ts';
import type { HttpEcho } from '../envoy/harness/apps.ts';
import { needsEnvoy } from '../envoy/harness/envoy.ts';
import { http } from '../envoy/harness/http.ts';
import { Load } from '../envoy/harness/load.ts';
import { describeWithPods } from '../envoy/harness/suites.ts';
import { eventually } from '../envoy/harness/wait.ts';
import { ApiFault, KubeApi } from './harness/api.ts';
import { clusterBinaries } from './harness/binaries.ts';
import type { TestCluster } from './harness/cluster.ts';
import { kubeconfig } from './harness/kubeconfig.ts';
import { addServiceAccount, removePod, setReady } from './harness/objects.ts';
import { KubernetesMesh } from './mesh.ts';

needsEnvoy();

const vip = '10.96.100.10';
const eastVip = '10.96.100.77';
const cluster = 'outbound|80||reviews.shop.svc.cluster.local';

const service = (address: string): string => `
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: shop }
spec:
  clusterIP: ${address}
  selector: { app: reviews }
  ports: [{ name: http, port: 80, targetPort: web }]
`;

const strict = `
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
`;

/** What docs/kubernetes.md says that a remote credential needs. */
const readerRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: mizzen-reader }
rules:
  - apiGroups: ['']
    resources: [services, pods, nodes, namespaces]
    verbs: [get, list, watch]
  - apiGroups: [discovery.k8s.io]
    resources: [endpointslices]
    verbs: [get, list, watch]
  - apiGroups: [authentication.k8s.io]
    resources: [tokenreviews]
    verbs: [create]
`;

const reviews = (version: string, inCluster?: string) =>
  ({
    serviceAccount: 'reviews',
    labels: { app: 'reviews', version },
    ports: { web: 8080 },
    apps: [{ kind: 'http', port: 8080, version }],
    ...(inCluster !== undefined && { cluster: inCluster }),
  }) as const;

/** A service account that may read the cluster, and its token. */
async function addReader(cluster: TestCluster, name: string): Promise<string> {
  const { api } = cluster;
  await addServiceAccount(api, 'istio-system', name);
  await cluster.apply(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: ${name} }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: mizzen-reader }
subjects: [{ kind: ServiceAccount, name: ${name}, namespace: istio-system }]
`);
  const path = `/api/v1/namespaces/istio-system/serviceaccounts/${name}/token`;
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } };
  const { status } = await api.request<{ status: { token: string } }>({ method: 'POST', path, body });
  return status.token;
}

/** With 401: nobody knows the credential any more. */
async function isRefused(api: KubeApi): Promise<boolean> {
  try {
    await api.request({ path: '/api/v1/nodes?limit=1' });
    return false;
  } catch (fault) {
    if (fault instanceof ApiFault && fault.status === 401) return true;
    throw fault;
  }
}

describeWithPods('a mesh of two clusters', () => {
  let mesh: KubernetesMesh;
  let east: TestCluster;
  let token = '';

  beforeAll(async () => {
    await clusterBinaries();
  }, 3_600_000);

  beforeAll(async () => {
    mesh = await KubernetesMesh.start({
      name: 'mul',
      manifests: service(vip) + strict,
      workloads: { client: { client: true }, 'reviews-1': reviews('1') },
    });
    east = await mesh.addCluster('east', ['shop']);
    await east.apply(readerRole);
    await east.apply(service(eastVip));
  });

  beforeEach(() => mesh?.explainFailure());

  afterAll(() => mesh?.[Symbol.asyncDispose]());

  const ipOf = (name: string): string => mesh.workload(name).pod.ip;

  async function secret(text: string): Promise<void> {
    await mesh.cluster.api.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'Opaque',
      metadata: {
        name: 'istio-remote-secret-east',
        namespace: 'istio-system',
        labels: { 'istio/multiCluster': 'true' },
        annotations: { 'networking.istio.io/cluster': 'east' },
      },
      data: { east: Buffer.from(text).toString('base64') },
    });
  }

  const access = (token: string): string => kubeconfig({ server: east.url, ca: east.ca, user: { token } });

  async function endpointsAre(...names: readonly string[]): Promise<void> {
    const expected = names.map(ipOf).sort().join();
    await eventually(
      `the endpoints are ${names.join(', ')}`,
      async () => (await mesh.endpointsOf('client', cluster)).join() === expected,
      60_000,
    );
  }

  /** What the other cluster's own controllers say, which may come late after an outage. */
  async function eastSays(...names: readonly string[]): Promise<void> {
    const expected = names.map(ipOf).sort().join();
    const output = 'jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].addresses[0]}';
    const selector = ['get', 'endpointslices', '-n', 'shop', '-l', 'kubernetes.io/service-name=reviews', '-o', output];
    const said = async (): Promise<string> => (await east.kubectl(selector)).split(' ').sort().join();
    await eventually(`kubectl shows ${names.join(', ') || 'none'}`, async () => (await said()) === expected, 120_000);
  }

  async function clusterz(): Promise<ClusterView | undefined> {
    const { adminAddress, monitoring } = mesh.discovery.addresses;
    const { body } = await http({ address: adminAddress, port: monitoring, path: '/debug/clusterz' });
    return (JSON.parse(body) as readonly ClusterView[]).find(({ id }) => id === 'east');
  }

  /** Responses with endpoints that were sent to proxies so far. */
  async function endpointPushes(): Promise<string | undefined> {
    const { adminAddress, monitoring } = mesh.discovery.addresses;
    const { body } = await http({ address: adminAddress, port: monitoring, path: '/metrics' });
    return /^pilot_xds_pushes\{type="eds"\} (\d+)$/m.exec(body)?.[1];
  }

  async function load(): Promise<Load> {
    return Load.start({ address: vip, port: 80, host: 'reviews.shop', limitMs: 300_000 }, mesh.workload('client').pod);
  }

  it('carries requests from one cluster to the pods of the other, over mutual TLS', async () => {
    token = await addReader(east, 'reader-1');
    await secret(access(token));
    await eventually('the cluster is known', async () => (await clusterz())?.syncStatus === 'synced');
    await mesh.add('reviews-2', reviews('2', 'east'));
    await endpointsAre('reviews-1', 'reviews-2');
    const versions = new Set<string>();
    await eventually('an answer of both', async () => {
      const { status, body } = await mesh.workload('client').client.http(vip, 80, { host: 'reviews.shop' });
      expect(status).toBe(200);
      versions.add((JSON.parse(body) as HttpEcho).version);
      return versions.size === 2;
    });
    const view = await clusterz();
    expect(view).toMatchObject({ secretName: 'istio-system/istio-remote-secret-east', syncStatus: 'synced' });
    expect(view?.endpoints).toBeGreaterThan(0);
  });

  it('proves who a pod of the other cluster is by that cluster, and shows it the mesh from there', async () => {
    const client = await mesh.add('client-2', { client: true, cluster: 'east' });
    const { status, body } = await client.client.http(eastVip, 80, { host: 'reviews.shop' });
    expect(status).toBe(200);
    expect((JSON.parse(body) as HttpEcho).headers['x-forwarded-client-cert']).toContain('URI=spiffe://cluster.local/ns/shop/sa/client-2');
  });

  it('loses no request while the credential is rotated', async () => {
    await using running = await load();
    const takeovers = (): number => mesh.discovery.fullLog().split('remote cluster was read').length - 1;
    const pushes = await endpointPushes();
    await secret(access(await addReader(east, 'reader-2')));
    await eventually('the new credential is in use', async () => takeovers() === 2);
    expect(pushes).toMatch(/^\d+$/);
    expect(await endpointPushes()).toBe(pushes);
    await east.api.delete({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'reader-1', namespace: 'istio-system' } });
    using old = new KubeApi({ server: east.url, ca: east.ca, user: { token } });
    await eventually('the old credential is worth nothing', () => isRefused(old), 60_000);
    await mesh.add('reviews-3', reviews('3', 'east'));
    await endpointsAre('reviews-1', 'reviews-2', 'reviews-3');
    await removePod(east.api, mesh.pod('reviews-3'));
    await endpointsAre('reviews-1', 'reviews-2');
    const { failed, versions } = await running.stop();
    expect(failed).toEqual({});
    expect(Object.keys(versions).sort()).toEqual(['1', '2', '3']);
  });

  it(
    'loses no request and no endpoint while the API server of the other cluster is away, and catches up',
    { timeout: 300_000 },
    async () => {
      await using running = await load();
      await east.apiServer.kill();
      await eventually('it is seen to be away', async () => (await clusterz())?.fault !== undefined, 60_000);
      await delay(20_000);
      expect(await mesh.endpointsOf('client', cluster)).toEqual([ipOf('reviews-1'), ipOf('reviews-2')].sort());
      await east.apiServer.start();
      await setReady(east.api, mesh.pod('reviews-2'), false);
      await eastSays();
      await endpointsAre('reviews-1');
      await setReady(east.api, mesh.pod('reviews-2'), true);
      await eastSays('reviews-2');
      await endpointsAre('reviews-1', 'reviews-2');
      await eventually('it is seen to be back', async () => (await clusterz())?.fault === undefined, 60_000);
      expect((await running.stop()).failed).toEqual({});
    },
  );

  it('goes on by the earlier credential while the new kubeconfig is broken', async () => {
    await using running = await load();
    await secret('current-context: [');
    const { adminAddress, monitoring } = mesh.discovery.addresses;
    await eventually('the problem is told', async () =>
      (await http({ address: adminAddress, port: monitoring, path: '/debug/problems' })).body.includes('data[\\"east\\"]'),
    );
    await setReady(east.api, mesh.pod('reviews-2'), false);
    await endpointsAre('reviews-1');
    await setReady(east.api, mesh.pod('reviews-2'), true);
    await endpointsAre('reviews-1', 'reviews-2');
    expect((await running.stop()).failed).toEqual({});
  });

  it('forgets the other cluster with its Secret', async () => {
    await using running = await load();
    await mesh.cluster.api.delete({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'istio-remote-secret-east', namespace: 'istio-system' },
    });
    await endpointsAre('reviews-1');
    expect(await clusterz()).toBeUndefined();
    expect((await running.stop()).failed).toEqual({});
  });
});
