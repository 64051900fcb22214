/**
 * Everything that happens to a control plane on Kubernetes, one after the other, under one load that never stops: no request fails, no endpoint is lost or
 * stale, and no memory stays behind. `SOAK_OUTAGE_SECONDS` and `SOAK_FLIPS` make it longer.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { HttpEcho } from '../envoy/harness/apps.ts';
import { needsEnvoy } from '../envoy/harness/envoy.ts';
import { Load } from '../envoy/harness/load.ts';
import { describeWithPods } from '../envoy/harness/suites.ts';
import { eventually } from '../envoy/harness/wait.ts';
import { clusterBinaries } from './harness/binaries.ts';
import type { LiveMemory } from './harness/heap.ts';
import { addNamespace, removeNamespace, setReady } from './harness/objects.ts';
import { agreement, debugPage, type Known, knownTo, usedBy } from './known-endpoints.ts';
import { KubernetesMesh, type Replica, reviewsPod, strictReviews } from './mesh.ts';
import { mizzenCa, rotationIn } from './rotation.ts';

needsEnvoy();

const outageMs = Number(process.env['SOAK_OUTAGE_SECONDS'] ?? 20) * 1000;
const flips = Number(process.env['SOAK_FLIPS'] ?? 100);

const vip = '10.96.103.10';
const ledgerVip = '10.96.103.20';
const proxies = ['client', 'reviews-1', 'reviews-2'] as const;
/** Of a request. What is lost does not come later; on a machine that is busy with other things an answer can. */
const timeoutMs = 30_000;
/** After an outage the controller manager itself waits up to half a minute before it asks again. */
const outagePatienceMs = 120_000;

const ledger = `
apiVersion: v1
kind: Service
metadata: { name: ledger, namespace: bank }
spec: { clusterIP: ${ledgerVip}, selector: { app: ledger }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
`;

describeWithPods('a mesh on Kubernetes to which everything happens under load', () => {
  let mesh: KubernetesMesh;
  let load: Load;
  let sentBefore = 0;
  let began = 0;
  /** The longest of a phase, in milliseconds, that the replicas or the proxies were behind the API server. */
  let behind = 0;
  let failedBefore: Readonly<Record<string, number>> = {};
  const memoryBefore = new Map<Replica, LiveMemory>();
  const phases: Record<string, object> = {};

  beforeAll(async () => {
    await clusterBinaries();
  }, 3_600_000);

  beforeAll(async () => {
    mesh = await KubernetesMesh.start({
      name: 'soa',
      replicas: 2,
      manifests: `${strictReviews(vip)}---\n${ledger}`,
      measureHeaps: true,
      flags: ['--root-rotation-patience', '5s'],
      workloads: {
        client: { client: true },
        'reviews-1': reviewsPod('1'),
        'reviews-2': reviewsPod('2'),
        ledger: { namespace: 'bank', proxy: 'none', apps: [{ kind: 'http', port: 8080, version: '1' }] },
      },
    });
    const target = { address: vip, port: 80, host: 'reviews.shop', rate: 200, timeoutMs, limitMs: 3_600_000 };
    load = await Load.start(target, mesh.workload('client').pod);
  }, 300_000);

  beforeEach(() => {
    began = performance.now();
    behind = 0;
    mesh?.explainFailure();
  });

  /** Of the phase that ends; what is under way counts for the next one. */
  afterEach(async ({ task }) => {
    const { sent, failed } = await load.progress();
    const failures = countOf(failed) - countOf(failedBefore);
    phases[task.name] = {
      requests: sent - sentBefore,
      failed: failures,
      ms: Math.round(performance.now() - began),
      behindMs: behind,
    };
    sentBefore = sent;
    failedBefore = failed;
    if (failures > 0) throw new Error(`${failures} requests failed; so far: ${JSON.stringify(failed)}`);
  });

  afterAll(async () => {
    console.table(phases);
    await load?.[Symbol.asyncDispose]();
    await mesh?.[Symbol.asyncDispose]();
  });

  const ipsOf = (...names: readonly string[]): string[] => names.map((name) => `${mesh.workload(name).pod.ip}:8080`).sort();
  const reviewsHost = 'reviews.shop.svc.cluster.local';
  const ledgerHost = 'ledger.bank.svc.cluster.local';

  /** kubectl, both replicas and all Envoys have the same endpoints for every Service of the cluster, and these are behind the reviews. */
  async function agreed(behindReviews: readonly string[], limitMs = 60_000, others: Known = {}): Promise<Known> {
    const expected = { ...others, [reviewsHost]: ipsOf(...behindReviews) };
    const { endpoints, behindMs } = await agreement(mesh, { proxies, expected, limitMs });
    behind = Math.max(behind, behindMs);
    return endpoints;
  }

  const setReviews2 = (ready: boolean): Promise<void> => setReady(mesh.cluster.api, mesh.pod('reviews-2'), ready);

  /** What is changed now arrives everywhere. */
  async function changesArrive(limitMs?: number): Promise<void> {
    await setReviews2(false);
    await agreed(['reviews-1'], limitMs);
    await setReviews2(true);
    await agreed(['reviews-1', 'reviews-2'], limitMs);
  }

  async function servedBy(proxy: string): Promise<Replica> {
    return eventually(
      `${proxy} has a replica`,
      async () => {
        for (const replica of mesh.replicas.filter(({ discovery }) => discovery.running)) {
          const streams = await debugPage<{ readonly proxy: string }[]>(replica, 'syncz');
          if (streams.some((stream) => stream.proxy === `${proxy}.shop`)) return replica;
        }
        return undefined;
      },
      60_000,
    );
  }

  const measure = ({ heap, discovery }: Replica): Promise<LiveMemory> => {
    if (heap === undefined) throw new Error('heaps are not measured');
    return heap.measure(discovery);
  };

  async function recreateBank(): Promise<void> {
    const { api } = mesh.cluster;
    await removeNamespace(api, 'bank');
    const without = await agreed(['reviews-1', 'reviews-2']);
    expect(Object.keys(without)).not.toContain(ledgerHost);
    await addNamespace(api, 'bank');
    await mesh.cluster.apply(ledger);
    await mesh.addObject('ledger');
    await agreed(['reviews-1', 'reviews-2'], 60_000, { [ledgerHost]: ipsOf('ledger') });
    expect((await mesh.workload('client').client.http(ledgerVip, 80, { host: 'ledger.bank' })).status).toBe(200);
  }

  it('warms up: requests go over mutual TLS, and changes arrive', { timeout: 180_000 }, async () => {
    const { body, status } = await mesh.workload('client').client.http(vip, 80, { host: 'reviews.shop' });
    expect(status).toBe(200);
    const { headers } = JSON.parse(body) as HttpEcho;
    expect(headers['x-forwarded-client-cert']).toContain('URI=spiffe://cluster.local/ns/shop/sa/client');
    for (let round = 0; round < 3; round++) await changesArrive();
    for (const { connection } of mesh.replicas) connection.cut();
    await recreateBank();
    for (const replica of mesh.replicas) memoryBefore.set(replica, await measure(replica));
  });

  it('the replica that serves the client is killed, and started again', { timeout: 240_000 }, async () => {
    const { discovery, name } = await servedBy('client');
    await discovery.kill();
    expect((await servedBy('client')).name).not.toBe(name);
    await discovery.restart();
    await changesArrive();
  });

  it('the API server is away', { timeout: outageMs + 2 * outagePatienceMs + 60_000 }, async () => {
    const before = await agreed(['reviews-1', 'reviews-2']);
    await mesh.cluster.apiServer.kill();
    await delay(outageMs);
    for (const replica of mesh.replicas) expect(await knownTo(replica)).toEqual(before);
    for (const proxy of proxies) expect(await usedBy(mesh.workload(proxy).envoy)).toEqual(before);
    await mesh.cluster.apiServer.start();
    await changesArrive(outagePatienceMs);
  });

  it('etcd is restarted', { timeout: 2 * outagePatienceMs + 60_000 }, async () => {
    await mesh.cluster.etcd.restart();
    await changesArrive(outagePatienceMs);
  });

  it('watches are cut in the middle of changes', { timeout: 180_000 }, async () => {
    const accepted = (): number => mesh.replicas.reduce((sum, { connection }) => sum + connection.accepted, 0);
    const before = accepted();
    for (let change = 1; change <= 10; change++) {
      const changed = setReviews2(change % 2 === 0);
      for (const { connection } of mesh.replicas) connection.cut();
      await changed;
    }
    await agreed(['reviews-1', 'reviews-2']);
    await changesArrive();
    expect(accepted()).toBeGreaterThan(before + mesh.replicas.length);
  });

  it(
    'the history that its watches go on from is gone, with a Service that was deleted in it',
    { timeout: 2 * outagePatienceMs + 60_000 },
    async () => {
      const { api } = mesh.cluster;
      const passing = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'passing', namespace: 'shop' } };
      const host = 'passing.shop.svc.cluster.local';
      await api.apply({ ...passing, spec: { selector: { app: 'reviews' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] } });
      await agreed(['reviews-1', 'reviews-2'], 60_000, { [host]: ipsOf('reviews-1', 'reviews-2') });
      for (const { connection } of mesh.replicas) connection.refuse();
      // Only a list tells of it.
      await api.delete(passing);
      await mesh.cluster.forgetHistory();
      for (const replica of mesh.replicas) expect(Object.keys(await knownTo(replica))).toContain(host);
      for (const { connection } of mesh.replicas) connection.heal();
      const now = await agreed(['reviews-1', 'reviews-2'], outagePatienceMs);
      expect(Object.keys(now)).not.toContain(host);
      await changesArrive(outagePatienceMs);
    },
  );

  it('a namespace is deleted and made anew', { timeout: 240_000 }, recreateBank);

  it(`an endpoint comes and goes ${flips} times`, { timeout: 60_000 + flips * 500 }, async () => {
    const slice = [
      'get',
      'endpointslices',
      '-n',
      'shop',
      '-l',
      'kubernetes.io/service-name=reviews',
      '-o',
      'jsonpath={.items[*].metadata.generation}',
    ];
    const generation = async (): Promise<number> => Number(await mesh.cluster.kubectl(slice));
    const before = await generation();
    for (let change = 1; change <= flips; change++) await setReviews2(change % 2 === 0);
    await setReviews2(true);
    await agreed(['reviews-1', 'reviews-2']);
    console.log(`${flips} flips were ${(await generation()) - before} changes of the EndpointSlice`);
  });

  it('the root is rotated', { timeout: 480_000 }, async () => {
    expect(await mizzenCa(mesh.cluster, 'rotate')).toBe('staged\n');
    for (const phase of ['distributed', 'signing', 'retired'] as const) await rotationIn(mesh, proxies, phase, 150_000);
    await changesArrive();
  });

  it('nothing has failed, nothing is lost or stale, and the memory is what it was', { timeout: 120_000 }, async () => {
    await agreed(['reviews-1', 'reviews-2'], 60_000, { [ledgerHost]: ipsOf('ledger') });
    const { sent, failed, versions, onNewConnections, durationMs } = await load.stop();
    expect(failed).toEqual({});
    expect(Object.keys(versions).sort()).toEqual(['1', '2']);
    expect(onNewConnections).toBe(Math.ceil(sent / 2));
    expect(sent).toBeGreaterThan((durationMs / 1000) * 195);
    const growth: Record<string, object> = {};
    for (const [replica, before] of memoryBefore) {
      const after = await measure(replica);
      const { heapUsed: from } = before;
      const { heapUsed: to } = after;
      growth[replica.name] = {
        heapBefore: from,
        heapAfter: to,
        change: `${Math.round((to / from - 1) * 1000) / 10} %`,
        externalBefore: before.external,
        externalAfter: after.external,
        proxies: (await debugPage<unknown[]>(replica, 'syncz')).length,
        restarted: before.pid !== after.pid,
      };
      expect.soft(after.external / before.external, `memory outside of the heap of ${replica.name}`).toBeLessThan(1.1);
      expect.soft(to / from, `heap of ${replica.name}`).toBeLessThan(1.1);
    }
    console.table(growth);
  });
});

function countOf(failed: Readonly<Record<string, number>>): number {
  return Object.values(failed).reduce((sum, count) => sum + count, 0);
}
