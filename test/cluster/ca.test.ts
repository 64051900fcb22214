/** The certificate authority in a cluster: one for all replicas, its roots in every namespace, and roots that are rotated while real Envoys carry traffic. */
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { connect } from 'node:tls';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { CaMaterial } from '../../src/ca/material.ts';
import type { CaStatus } from '../../src/ca/status.ts';
import { TestHierarchy } from '../../src/ca/testing/hierarchy.ts';
import { needsEnvoy } from '../envoy/harness/envoy.ts';
import { http } from '../envoy/harness/http.ts';
import { Load } from '../envoy/harness/load.ts';
import { describeWithPods } from '../envoy/harness/suites.ts';
import { eventually } from '../envoy/harness/wait.ts';
import type { KubeObject } from './harness/api.ts';
import { clusterBinaries } from './harness/binaries.ts';
import { addNamespace, removeNamespace } from './harness/objects.ts';
import { KubernetesMesh, type Replica, reviewsPod, strictReviews } from './mesh.ts';
import { caStatus, mizzenCa, rotationIn } from './rotation.ts';

needsEnvoy();

const vip = '10.96.102.10';
const proxies = ['client', 'reviews-1', 'bystander'] as const;
/** What a rotation waits for what it cannot see. */
const patience = '10s';

type WithData = KubeObject & { readonly data: Readonly<Record<string, string>>; readonly type?: string };

describeWithPods('the certificate authority in a cluster', () => {
  let mesh: KubernetesMesh;

  beforeAll(async () => {
    await clusterBinaries();
  }, 3_600_000);

  beforeAll(async () => {
    mesh = await KubernetesMesh.start({
      name: 'ca',
      replicas: 2,
      manifests: strictReviews(vip),
      flags: ['--root-rotation-patience', patience],
      workloads: {
        client: { client: true },
        'reviews-1': reviewsPod('1'),
        bystander: { apps: [{ kind: 'http', port: 8080, version: '1' }] },
      },
    });
  });

  beforeEach(() => mesh?.explainFailure());

  afterAll(() => mesh?.[Symbol.asyncDispose]());

  const find = (kind: string, namespace: string, name: string): Promise<WithData | undefined> =>
    mesh.cluster.api.find<WithData>({ apiVersion: 'v1', kind, metadata: { namespace, name } });

  const rootsIn = async (namespace: string): Promise<string> =>
    (await find('ConfigMap', namespace, 'istio-ca-root-cert'))?.data['root-cert.pem'] ?? '';

  const inPhase = (phase: CaStatus['phase'], limitMs = 120_000, and?: (seen: CaStatus) => boolean): Promise<CaStatus> =>
    rotationIn(mesh, proxies, phase, limitMs, and);

  const cli = (...args: readonly string[]): Promise<string> => mizzenCa(mesh.cluster, ...args);

  /** What a replica shows on its TLS port, leaf first. */
  async function shownBy({ discovery }: Replica): Promise<X509Certificate[]> {
    const { address: host, secureGrpc: port } = discovery.addresses;
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, rejectUnauthorized: false, ALPNProtocols: ['h2'] }, () => {
        const chain: X509Certificate[] = [];
        for (let at = socket.getPeerX509Certificate(); at !== undefined && chain.length < 4; at = at.issuerCertificate) chain.push(at);
        socket.destroy();
        resolve(chain);
      });
      socket.on('error', reject);
    });
  }

  const secret = (name: string, { certificate, key, chain, roots }: CaMaterial): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: 'istio-system' },
    stringData: { 'ca-cert.pem': certificate, 'ca-key.pem': key, 'cert-chain.pem': chain, 'root-cert.pem': roots },
  });

  async function problemsOf({ discovery }: Replica): Promise<string[]> {
    const { adminAddress: address, monitoring: port } = discovery.addresses;
    const problems = JSON.parse((await http({ address, port, path: '/debug/problems' })).body) as { object: string; path: string }[];
    return problems.filter(({ object }) => object.startsWith('Secret/')).map(({ object, path }) => `${object} ${path}`);
  }

  async function metric({ discovery }: Replica, line: RegExp): Promise<string | undefined> {
    const { adminAddress: address, monitoring: port } = discovery.addresses;
    return line.exec((await http({ address, port, path: '/metrics' })).body)?.[0];
  }

  const startLoad = (): Promise<Load> =>
    Load.start({ address: vip, port: 80, host: 'reviews.shop', limitMs: 450_000 }, mesh.workload('client').pod);

  it('is one for all replicas, kept as istiod keeps it, and needs no state folder', async () => {
    const kept = await find('Secret', 'istio-system', 'istio-ca-secret');
    expect(kept?.type).toBe('istio.io/ca-root');
    const root = new X509Certificate(Buffer.from(kept?.data['ca-cert.pem'] ?? '', 'base64'));
    expect(kept?.data['ca-key.pem']).toBeDefined();
    for (const replica of mesh.replicas) {
      const [leaf] = await shownBy(replica);
      expect(leaf?.verify(root.publicKey)).toBe(true);
      expect(leaf?.subjectAltName).toContain('DNS:istiod.istio-system.svc.cluster.local');
      expect(leaf?.subjectAltName).toContain('DNS:istiod-remote.istio-system.svc,');
    }
    expect(existsSync(mesh.state)).toBe(false);
    expect((await mesh.workload('client').client.http(vip, 80, { host: 'reviews.shop' })).status).toBe(200);
  });

  it('publishes its roots in every namespace within a second, and keeps them right', async () => {
    const roots = await rootsIn('shop');
    expect(roots).toContain('BEGIN CERTIFICATE');
    const { api } = mesh.cluster;
    const began = performance.now();
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'fresh' } });
    await eventually('the new namespace has the roots', async () => (await rootsIn('fresh')) === roots);
    const took = performance.now() - began;
    expect(took).toBeLessThan(1_000);
    const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'istio-ca-root-cert', namespace: 'fresh' } };
    expect((await api.get(map)).metadata.labels).toEqual({ 'istio.io/config': 'true' });
    await api.patch(map, { data: { 'root-cert.pem': 'wrong' } });
    await eventually('an edit is undone', async () => (await rootsIn('fresh')) === roots);
    await api.patch(map, { metadata: { labels: { 'istio.io/config': null } } });
    await eventually('the label is back', async () => (await api.get(map)).metadata.labels?.['istio.io/config'] === 'true');
    await mesh.cluster.kubectl(['delete', 'configmap', '-n', 'fresh', 'istio-ca-root-cert']);
    await eventually('a deletion is undone', async () => (await rootsIn('fresh')) === roots);
    await removeNamespace(api, 'fresh');
    expect(await rootsIn('kube-system')).toBe('');
    console.log(`a new namespace had the roots ${Math.round(took)} ms after its creation`);
  });

  it('publishes them in 200 namespaces that come at once', async () => {
    const { api } = mesh.cluster;
    const names = Array.from({ length: 200 }, (_, i) => `many-${i}`);
    const began = performance.now();
    await Promise.all(names.map((name) => api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })));
    const roots = await rootsIn('shop');
    const list = async (): Promise<readonly WithData[]> =>
      (await api.request<{ items: WithData[] }>({ path: '/api/v1/configmaps?fieldSelector=metadata.name%3Distio-ca-root-cert' })).items;
    await eventually(
      'all have them',
      async () =>
        (await list()).filter((map) => map.metadata.namespace?.startsWith('many-') === true && map.data['root-cert.pem'] === roots)
          .length === 200,
      30_000,
    );
    console.log(`200 namespaces had the roots ${Math.round(performance.now() - began)} ms after the first was asked for`);
    await Promise.all(names.map((name) => api.delete({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })));
  });

  it('rotates its root under load without a failed request, and waits for a proxy that lags', { timeout: 480_000 }, async () => {
    const before = await rootsIn('shop');
    const bystander = mesh.workload('bystander').envoy;
    await using load = await startLoad();
    bystander.freeze();
    expect(await cli('rotate')).toBe('staged\n');
    const staged = await inPhase(
      'staged',
      90_000,
      (seen) => seen.lagging.join() === 'bystander.shop' && seen.waits.some((wait) => wait.includes('bystander.shop')),
    );
    expect(staged.replicas.reduce((sum, replica) => sum + replica.withoutRoots, 0)).toBeLessThanOrEqual(1);
    expect((await rootsIn('shop')).match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    expect(await cli('status')).toMatch(/\[staged\] -> distributed[\s\S]*lagging proxies:\n {2}bystander\.shop\n/);
    bystander.thaw();
    const distributed = await inPhase('distributed');
    // It has the new root, and is to miss its new certificate.
    bystander.freeze();
    const signing = await inPhase('signing', 150_000, (seen) => seen.lagging.join() === 'bystander.shop');
    expect(signing.signer.root).toBe(distributed.rotation?.to);
    expect((await rootsIn('shop')).match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    bystander.thaw();
    const retired = await inPhase('retired', 150_000);
    const { failed, onNewConnections } = await load.stop();
    expect(failed).toEqual({});
    expect(onNewConnections).toBeGreaterThan(1_000);
    await eventually('only the new root is published', async () => {
      const now = await rootsIn('shop');
      return now !== before && now.match(/BEGIN CERTIFICATE/g)?.length === 1;
    });
    const [root] = [new X509Certificate(await rootsIn('shop'))];
    for (const replica of mesh.replicas) {
      await eventually('each replica shows a certificate of the new root', async () => (await shownBy(replica))[0]?.verify(root.publicKey));
      expect(await metric(replica, /^mizzen_ca_rotation_state\{state="retired"\} 1$/m)).toBeDefined();
    }
    const kept = await find('Secret', 'istio-system', 'istio-ca-secret');
    expect(new X509Certificate(Buffer.from(kept?.data['ca-cert.pem'] ?? '', 'base64')).fingerprint256).toBe(root.fingerprint256);
    expect(await cli('status', '-o', 'json')).toContain(retired.signer.generation);
  });

  it('rotates to a plugged-in authority, and takes another intermediate of its root at once', { timeout: 480_000 }, async () => {
    const { api } = mesh.cluster;
    const hierarchy = new TestHierarchy('plugged');
    const first = hierarchy.intermediate('first');
    await using load = await startLoad();
    await api.apply(secret('cacerts', first));
    await inPhase('staged', 30_000);
    const retired = await inPhase('retired', 150_000, (seen) => seen.signer.origin === 'plugged-in');
    expect(retired.rotation?.reason).toBe('cacerts');
    const second = hierarchy.intermediate('second');
    await api.apply(secret('cacerts', second));
    for (const replica of mesh.replicas) {
      await eventually(
        'the second intermediate signs',
        async () => (await shownBy(replica))[0]?.verify(new X509Certificate(second.certificate).publicKey),
        5_000,
      );
    }
    expect((await caStatus(mesh.cluster)).phase).toBe('retired');
    expect((await load.stop()).failed).toEqual({});

    const broken = { ...second, key: first.key };
    await api.apply(secret('cacerts', broken));
    for (const replica of mesh.replicas) {
      await eventually('the broken one is a problem', async () =>
        (await problemsOf(replica)).includes('Secret/istio-system/cacerts data[ca-cert.pem]'),
      );
      expect(await metric(replica, /^mizzen_ca_unusable_secrets 1$/m)).toBeDefined();
      expect((await shownBy(replica))[0]?.verify(new X509Certificate(second.certificate).publicKey)).toBe(true);
    }
    await api.delete({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'cacerts', namespace: 'istio-system' } });
    for (const replica of mesh.replicas) {
      await eventually('its absence is a problem', async () => (await problemsOf(replica)).join() === 'Secret/istio-system/cacerts ');
    }
    const [one] = mesh.replicas;
    await one?.discovery.restart();
    expect((await shownBy(one as Replica))[0]?.verify(new X509Certificate(second.certificate).publicKey)).toBe(true);
    await addNamespace(api, 'after');
    await eventually('its root is published', async () => (await rootsIn('after')) === hierarchy.root.certificate);
  });

  it(
    'goes on with a rotation when its leader is killed, here from a plugged-in authority that was deleted to a generated root',
    { timeout: 480_000 },
    async () => {
      const bystander = mesh.workload('bystander').envoy;
      await using load = await startLoad();
      bystander.freeze();
      expect(await cli('rotate')).toBe('staged\n');
      await inPhase('staged', 90_000, (seen) => seen.lagging.includes('bystander.shop'));
      const { adminAddress: address, monitoring: port } = mesh.discovery.addresses;
      const { leader } = JSON.parse((await http({ address, port, path: '/debug/replicas' })).body) as { leader: string };
      const killed = mesh.replica(leader);
      await killed.discovery.kill();
      bystander.thaw();
      const [other] = mesh.replicas.filter((replica) => replica !== killed);
      await eventually('another one leads', async () => metric(other as Replica, /^mizzen_leader 1$/m), 60_000);
      const waiting = await inPhase('staged', 30_000, (seen) =>
        seen.waits.some((wait) => wait.startsWith(`replica ${killed.name} is gone`)),
      );
      expect(waiting.rotation?.reason).toBe('requested');
      await killed.discovery.restart();
      const retired = await inPhase('retired', 200_000, (seen) => seen.signer.origin === 'self-signed');
      expect(retired.signer.root).toBe(waiting.rotation?.to);
      expect((await load.stop()).failed).toEqual({});
      const kept = await find('Secret', 'istio-system', 'istio-ca-secret');
      const root = new X509Certificate(Buffer.from(kept?.data['ca-cert.pem'] ?? '', 'base64'));
      for (const replica of mesh.replicas) {
        await eventually('each replica signs with it', async () => (await shownBy(replica))[0]?.verify(root.publicKey));
        expect(await problemsOf(replica)).toEqual([]);
      }
    },
  );
});
