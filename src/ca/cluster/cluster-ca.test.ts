import { X509Certificate } from 'node:crypto';
import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../kubernetes/clock.ts';
import { selfSignedRoot } from '../authority.ts';
import { RotationDriver } from '../driver.ts';
import { newSelfSignedMaterial } from '../authority.ts';
import { toPem } from '../pem.ts';
import { FakeCluster, namespace } from '../testing/cluster.ts';
import { TestHierarchy } from '../testing/hierarchy.ts';
import type { CaMaterial } from '../material.ts';
import { ClusterCa } from './cluster-ca.ts';

const cacerts = ({ certificate, key, chain, roots }: CaMaterial): Record<string, string> => ({
  'ca-cert.pem': certificate,
  'ca-key.pem': key,
  'cert-chain.pem': chain,
  'root-cert.pem': roots,
});

function open(cluster: FakeCluster, faults: unknown[] = []): Promise<ClusterCa> {
  const { api, transport } = cluster;
  const options = { api, transport, clock: systemClock, now: Date.now, namespace, trustDomain: 'cluster.local' };
  return ClusterCa.open({ ...options, onFault: (error) => faults.push(error) }, AbortSignal.timeout(10_000));
}

/** Follows the Secrets until the test is over. */
async function following(cluster: FakeCluster, faults: unknown[] = []): Promise<{ ca: ClusterCa; stop: AsyncDisposable }> {
  const ca = await open(cluster, faults);
  const stop = new AbortController();
  const running = ca.run(stop.signal);
  const end = async (): Promise<void> => {
    stop.abort();
    await running;
  };
  await vi.waitFor(() => expect(ca.plugged).toBeDefined());
  return { ca, stop: { [Symbol.asyncDispose]: end } };
}

describe('the authority of a cluster', () => {
  it('is made once: of replicas that start together the first decides', async () => {
    await using cluster = await FakeCluster.start();
    const [a, b] = await Promise.all([open(cluster), open(cluster)]);
    expect(a.view.authority.generation).toBe(b.view.authority.generation);
    expect(cluster.typeOf('istio-ca-secret')).toBe('istio.io/ca-root');
    const kept = cluster.secret('istio-ca-secret');
    expect(Object.keys(kept)).toEqual(['ca-cert.pem', 'ca-key.pem', 'root-cert.pem']);
    expect(new X509Certificate(kept['ca-cert.pem'] ?? '').raw).toEqual(a.view.authority.certificate.raw);
    const later = await open(cluster);
    expect(later.view.authority.generation).toBe(a.view.authority.generation);
  });

  it("is istiod's where that has made one: RSA, without roots, with empty keys", async () => {
    await using cluster = await FakeCluster.start();
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const certificate = toPem('CERTIFICATE', selfSignedRoot(privateKey, 'cluster.local', Date.now()));
    const key = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
    const written = { 'ca-cert.pem': certificate, 'ca-key.pem': key, 'cert-chain.pem': '', 'key.pem': '', 'root-cert.pem': '' };
    cluster.put('istio-ca-secret', written);
    const ca = await open(cluster);
    expect(ca.view.authority.issuer.key.asymmetricKeyType).toBe('rsa');
    expect(ca.view.roots.map((root) => root.raw)).toEqual([new X509Certificate(certificate).raw]);
    expect(cluster.secret('istio-ca-secret')).toEqual(written);
  });

  it('is the one that is plugged in, in both forms, also after its Secret has gone and all replicas were started again', async () => {
    for (const form of ['istio', 'tls'] as const) {
      await using cluster = await FakeCluster.start();
      const { certificate, key, chain, roots } = new TestHierarchy('plugged').intermediate();
      cluster.put(
        'cacerts',
        form === 'istio' ? cacerts({ certificate, key, chain, roots }) : { 'tls.crt': chain, 'tls.key': key, 'ca.crt': roots },
      );
      const ca = await open(cluster);
      expect(ca.view.state).toMatchObject({ phase: 'stable', origin: 'plugged-in' });
      expect(ca.view.authority.intermediates).toHaveLength(1);
      cluster.delete('cacerts');
      expect((await open(cluster)).view.authority.generation).toBe(ca.view.authority.generation);
      expect(cluster.typeOf('istio-ca-secret')).toBeUndefined();
    }
  });

  it('is not made anew where the one that is there cannot be read', async () => {
    await using cluster = await FakeCluster.start();
    cluster.put('cacerts', { ...cacerts(new TestHierarchy('x').intermediate()), 'ca-key.pem': 'no key' });
    await expect(open(cluster)).rejects.toThrow('Secret istio-system/cacerts: data[ca-key.pem] holds no PEM private key');
    expect(cluster.typeOf('istio-ca-secret')).toBeUndefined();
  });

  it('says which permissions are missing', async () => {
    await using cluster = await FakeCluster.start();
    cluster.refuse = 403;
    await expect(open(cluster)).rejects.toThrow(
      'in namespace istio-system grant get, list, watch, create and update on the Secrets cacerts, istio-ca-secret, mizzen-ca-state',
    );
  });

  it('waits for an API server that fails', async () => {
    await using cluster = await FakeCluster.start();
    cluster.refuse = 500;
    const faults: unknown[] = [];
    const opening = open(cluster, faults);
    await vi.waitFor(() => expect(faults).toHaveLength(1));
    cluster.refuse = undefined;
    expect((await opening).view.state.phase).toBe('stable');
  });
});

describe('what is plugged in later', () => {
  it('is a problem by its path where it is broken, and when it is deleted; what was in force stays', async () => {
    await using cluster = await FakeCluster.start();
    const hierarchy = new TestHierarchy('x');
    const good = hierarchy.intermediate();
    cluster.put('cacerts', cacerts(good));
    const { ca, stop } = await following(cluster);
    await using _ = stop;
    const { generation } = ca.view.authority;
    const broken: readonly (readonly [string, string, string])[] = [
      ['ca-cert.pem', 'none', 'data[ca-cert.pem]'],
      ['ca-key.pem', hierarchy.intermediate().key, 'data[ca-cert.pem]'],
      ['ca-key.pem', '-----BEGIN ENCRYPTED PRIVATE KEY-----', 'data[ca-key.pem]'],
      ['root-cert.pem', new TestHierarchy('y').root.roots, 'data[ca-cert.pem]'],
    ];
    for (const [key, value, at] of broken) {
      cluster.put('cacerts', { ...cacerts(good), [key]: value });
      await vi.waitFor(() => expect(ca.problems()).toMatchObject([{ name: 'cacerts', path: at, reason: 'Invalid', severity: 'error' }]));
      expect(ca.problems()[0]?.message).toMatch(/; what was in force stays in force$/);
      expect(ca.given).toBeUndefined();
      cluster.put('cacerts', cacerts(good));
      await vi.waitFor(() => expect(ca.problems()).toEqual([]));
    }
    cluster.delete('cacerts');
    await vi.waitFor(() => expect(ca.problems()).toMatchObject([{ name: 'cacerts', path: '', reason: 'RefNotFound' }]));
    expect(ca.view.authority.generation).toBe(generation);
  });

  it('is told to every replica when one of them has written the state, of which only one can be first', async () => {
    await using cluster = await FakeCluster.start();
    const a = await following(cluster);
    await using _a = a.stop;
    const b = await following(cluster);
    await using _b = b.stop;
    const changed = { ...a.ca.view.state, missing: ['p.shop'] };
    const never = AbortSignal.timeout(10_000);
    expect(await a.ca.save(changed, never)).toBe(true);
    await vi.waitFor(() => expect(b.ca.view.state.missing).toEqual(['p.shop']));
    cluster.beforeWrite = () => {
      cluster.beforeWrite = undefined;
      cluster.put('mizzen-ca-state', cluster.secret('mizzen-ca-state'));
    };
    expect(await a.ca.save({ ...changed, missing: [] }, never)).toBe(false);
    expect(a.ca.view.state.missing).toEqual(['p.shop']);
  });

  it('is put right by the leader: a state or a root that somebody has deleted or edited', async () => {
    await using cluster = await FakeCluster.start();
    const faults: unknown[] = [];
    const { ca, stop } = await following(cluster, faults);
    await using _ = stop;
    const before = { state: cluster.secret('mizzen-ca-state'), own: cluster.secret('istio-ca-secret') };
    const driver = new RotationDriver({
      store: ca,
      clock: systemClock,
      now: Date.now,
      request: () => undefined,
      replicas: () => [],
      exists: () => true,
      replicaExists: () => false,
      newRoot: () => newSelfSignedMaterial('cluster.local', Date.now()),
      ...{ patienceMs: 0, missingMs: 3600_000, leafMs: 1_000, renewalFraction: 0 },
      onStep: () => {},
      onStatus: async () => {},
      onFault: (error) => faults.push(error),
    });
    const end = new AbortController();
    const running = driver.run(end.signal);
    for (const damage of [() => cluster.delete('mizzen-ca-state'), () => cluster.put('mizzen-ca-state', { 'state.json': '{}' })]) {
      damage();
      await vi.waitFor(() => expect(cluster.secret('mizzen-ca-state')).toEqual(before.state));
    }
    cluster.delete('istio-ca-secret');
    await vi.waitFor(() => expect(cluster.secret('istio-ca-secret')).toEqual(before.own));
    end.abort();
    await running;
    expect(faults).toHaveLength(1); // The state that could not be read.
  });
});
