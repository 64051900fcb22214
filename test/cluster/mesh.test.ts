/** Real Envoys with projected tokens in a mesh whose database is a real Kubernetes API. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { HttpEcho } from '../envoy/harness/apps.ts';
import { needsEnvoy } from '../envoy/harness/envoy.ts';
import { Load } from '../envoy/harness/load.ts';
import { describeWithPods } from '../envoy/harness/suites.ts';
import { eventually } from '../envoy/harness/wait.ts';
import type { KubeObject } from './harness/api.ts';
import { clusterBinaries } from './harness/binaries.ts';
import { addNamespace, addPod, addServiceAccount, removeNamespace, removePod, setReady } from './harness/objects.ts';
import { Streams } from './harness/streams.ts';
import { expiredClaims, podToken, signedAnew } from './harness/tokens.ts';
import { KubernetesMesh } from './mesh.ts';

needsEnvoy();

const vip = '10.96.100.10';
const cluster = 'outbound|80||reviews.shop.svc.cluster.local';

const manifests = `
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: shop }
spec:
  clusterIP: ${vip}
  selector: { app: reviews }
  ports: [{ name: http, port: 80, targetPort: web }]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
`;

const reviews = (version: string) =>
  ({
    serviceAccount: 'reviews',
    labels: { app: 'reviews', version },
    ports: { web: 8080 },
    apps: [{ kind: 'http', port: 8080, version }],
  }) as const;

describeWithPods('a mesh on Kubernetes', () => {
  let mesh: KubernetesMesh;

  beforeAll(async () => {
    await clusterBinaries();
  }, 3_600_000);

  beforeAll(async () => {
    mesh = await KubernetesMesh.start({
      name: 'kub',
      manifests,
      workloads: {
        client: { client: true },
        outsider: { client: true, proxy: 'none' },
        'reviews-1': reviews('1'),
        'reviews-2': reviews('2'),
      },
    });
  });

  beforeEach(() => mesh?.explainFailure());

  afterAll(() => mesh?.[Symbol.asyncDispose]());

  const ipOf = (name: string): string => mesh.workload(name).pod.ip;

  async function endpointsAre(...names: readonly string[]): Promise<void> {
    const expected = names.map(ipOf).sort();
    await eventually(
      `the endpoints are ${names.join(', ')}`,
      async () => (await mesh.endpointsOf('client', cluster)).join() === expected.join(),
    );
  }

  /** What kubectl shows, which may come late: after an outage the controller manager itself waits up to half a minute before it asks again. */
  async function slicesSay(...names: readonly string[]): Promise<void> {
    const expected = names.map(ipOf).sort().join();
    const selector = ['get', 'endpointslices', '-n', 'shop', '-l', 'kubernetes.io/service-name=reviews'];
    const output = 'jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].addresses[0]}';
    const said = async (): Promise<string> => (await mesh.cluster.kubectl([...selector, '-o', output])).split(' ').sort().join();
    await eventually(`kubectl shows ${names.join(', ')}`, async () => (await said()) === expected, 90_000);
  }

  it('carries requests to all pods of a service over mutual TLS', async () => {
    await endpointsAre('reviews-1', 'reviews-2');
    const versions = new Set<string>();
    const echo = await eventually('an answer of both', async () => {
      const { status, body } = await mesh.workload('client').client.http(vip, 80, { host: 'reviews.shop' });
      expect(status).toBe(200);
      const answer = JSON.parse(body) as HttpEcho;
      versions.add(answer.version);
      return versions.size === 2 ? answer : undefined;
    });
    expect(echo.headers['x-forwarded-client-cert']).toContain('URI=spiffe://cluster.local/ns/shop/sa/client');
  });

  it('refuses whoever comes without a certificate', async () => {
    await expect(mesh.workload('outsider').client.http(ipOf('reviews-1'), 8080)).rejects.toThrow('ECONNRESET');
  });

  it('loses no request while pods come, are not ready and go', async () => {
    await using load = await Load.start({ address: vip, port: 80, host: 'reviews.shop' }, mesh.workload('client').pod);
    await setReady(mesh.cluster.api, mesh.pod('reviews-2'), false);
    await endpointsAre('reviews-1');
    await mesh.add('reviews-3', reviews('3'));
    await endpointsAre('reviews-1', 'reviews-3');
    await setReady(mesh.cluster.api, mesh.pod('reviews-2'), true);
    await endpointsAre('reviews-1', 'reviews-2', 'reviews-3');
    await removePod(mesh.cluster.api, mesh.pod('reviews-3'));
    await endpointsAre('reviews-1', 'reviews-2');
    const { failed, versions } = await load.stop();
    expect(failed).toEqual({});
    expect(Object.keys(versions).sort()).toEqual(['1', '2', '3']);
  });

  it('loses no request and no endpoint while the API server is away for a minute, and catches up', { timeout: 300_000 }, async () => {
    const target = { address: vip, port: 80, host: 'reviews.shop', limitMs: 300_000 };
    await using load = await Load.start(target, mesh.workload('client').pod);
    await mesh.cluster.apiServer.kill();
    await mesh.cluster.etcd.kill();
    await delay(60_000);
    expect(await mesh.endpointsOf('client', cluster)).toEqual([ipOf('reviews-1'), ipOf('reviews-2')].sort());
    await mesh.cluster.etcd.start();
    await mesh.cluster.apiServer.start();
    await setReady(mesh.cluster.api, mesh.pod('reviews-2'), false);
    await slicesSay('reviews-1');
    await endpointsAre('reviews-1');
    await setReady(mesh.cluster.api, mesh.pod('reviews-2'), true);
    await slicesSay('reviews-1', 'reviews-2');
    await endpointsAre('reviews-1', 'reviews-2');
    expect((await load.stop()).failed).toEqual({});
  });

  it('loses no request and no endpoint while 500 changes pass a connection that breaks and a history that is forgotten', async () => {
    await using load = await Load.start({ address: vip, port: 80, host: 'reviews.shop' }, mesh.workload('client').pod);
    const before = mesh.connection.accepted;
    for (let change = 1; change <= 500; change++) {
      await setReady(mesh.cluster.api, mesh.pod('reviews-2'), change % 2 === 0);
      if (change % 50 === 0) mesh.connection.cut();
      if (change === 275) await mesh.cluster.forgetHistory();
    }
    await slicesSay('reviews-1', 'reviews-2');
    await endpointsAre('reviews-1', 'reviews-2');
    expect(mesh.connection.accepted - before).toBeGreaterThan(20);
    expect((await load.stop()).failed).toEqual({});
  });

  it('follows a namespace that is deleted and made anew', async () => {
    const { api } = mesh.cluster;
    const ledger = 'outbound|80||ledger.bank.svc.cluster.local';
    const ledgerManifest = `
apiVersion: v1
kind: Service
metadata: { name: ledger, namespace: bank }
spec: { clusterIP: 10.96.100.20, selector: { app: ledger }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
`;
    const known = async (): Promise<string> => (await mesh.endpointsOf('client', ledger)).join();
    await addNamespace(api, 'bank');
    await mesh.cluster.apply(ledgerManifest);
    await mesh.announce('ledger', { namespace: 'bank', proxy: 'none', apps: [{ kind: 'http', port: 8080, version: '1' }] });
    await eventually('the ledger is known', async () => (await known()) === ipOf('ledger'));
    await removeNamespace(api, 'bank');
    await eventually('the ledger is forgotten', async () => (await known()) === '');
    await addNamespace(api, 'bank');
    await mesh.cluster.apply(ledgerManifest);
    await mesh.addObject('ledger');
    await eventually('the ledger is known again', async () => (await known()) === ipOf('ledger'));
    expect((await mesh.workload('client').client.http('10.96.100.20', 80, { host: 'ledger.bank' })).status).toBe(200);
  });

  it('refuses a proxy that claims to be another service account', async () => {
    const options = { client: true, claims: { serviceAccount: 'reviews' }, awaitReady: false } as const;
    const impostor = await mesh.add('impostor', options);
    await eventually(
      'it is refused',
      async () => (await impostor.envoy.stat('control_plane.connected_state')) === 0 && mesh.discovery.fullLog().includes('claims'),
    );
    expect(await mesh.endpointsOf('impostor', cluster)).toEqual([]);
  });

  it('refuses a stream with a token of another service account, an expired one, one for another audience and one of a pod that is gone', async () => {
    const { api } = mesh.cluster;
    await addServiceAccount(api, 'shop', 'guest');
    const pod = await addPod(api, { namespace: 'shop', name: 'guest', ip: '10.78.1.1', serviceAccount: 'guest' });
    const roots = await api.get<KubeObject & { readonly data: Readonly<Record<string, string>> }>({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { namespace: 'shop', name: 'istio-ca-root-cert' },
    });
    const { address, secureGrpc } = mesh.discovery.addresses;

    /** What becomes of a stream that shows this token: `accepted`, or why not. */
    async function shown(token: string, serviceAccount = 'guest', name = 'guest'): Promise<string> {
      const tls = { roots: roots.data['root-cert.pem'] ?? '', token, serviceAccount, pod: name };
      using streams = new Streams({ address: `${address}:${secureGrpc}`, count: 1, namespace: 'shop', tls });
      // Awaited, so that the stream is open so long.
      return await eventually(
        'it is accepted or refused',
        async () => (streams.synced === 1 ? 'accepted' : [...streams.reasons][0]),
        30_000,
      );
    }

    const token = await podToken(api, pod);
    expect(await shown(token)).toBe('accepted');
    expect(await shown(token, 'reviews')).toContain('metadata SERVICE_ACCOUNT of node');
    expect(await shown(token, 'guest', 'reviews-1')).toContain('claims pod "reviews-1"');
    expect(await shown(await signedAnew(mesh.cluster, token, expiredClaims()))).toContain('token refused: it has expired');
    const forVault = await mesh.cluster.kubectl(['create', 'token', 'guest', '-n', 'shop', '--audience', 'vault']);
    expect(await shown(forVault.trim())).toContain('token refused: its audience is not istio-ca');
    expect(await shown(token)).toBe('accepted');
    await removePod(api, pod);
    // The API server remembers what it has accepted for 10 s, and so does mizzen.
    await eventually('the token is refused', async () => (await shown(token)).includes('token refused by the API server'), 60_000);
  });
});
