/** The bench on objects of a real API server, with a real Envoy where there may be network namespaces. */
import { describe, expect, test } from 'vitest';
import { runBench } from '../../bench/testing/bench.ts';
import { KubernetesFeed, readKubeconfig } from '../../bench/workload/kubernetes.ts';
import { meshItems } from '../../bench/workload/mesh.ts';
import { whyNoPods } from '../envoy/harness/pods.ts';
import { clusterBinaries } from './harness/binaries.ts';
import { TestCluster } from './harness/cluster.ts';

// Built once; not in the time of the test.
await clusterBinaries();

const small = ['--services', '10', '--virtual-services', '3', '--proxies', '3', '--changes', '2', '--objects', '20', '--seconds', '2'];

describe('the bench', { timeout: 240_000 }, () => {
  test('feeds a control plane through the API, with tokens, and all changes reach all proxies and a real Envoy', async () => {
    const envoy = whyNoPods() === undefined ? ['--envoy'] : [];
    const scenarios = [
      'endpoint',
      'service-added',
      'service-removed',
      'namespace-label',
      'mesh-config',
      'bulk',
      'endpoint-churn',
      'certificates',
    ];
    const options = ['--feed', 'kubernetes', '--tls', '--quiet-ms', '100', '--no-calibration', '--scenario', scenarios.join(',')];
    const { report, status, errors } = await runBench(...small, ...options, ...envoy);
    expect(errors).not.toContain('bench:');
    expect(status).toBe(0);
    const [target] = report.sizes[0]?.targets ?? [];
    expect(target?.skipped).toEqual([]);
    expect(target?.scenarios.map(({ scenario }) => scenario)).toEqual(['connect', ...scenarios]);
    for (const { scenario, receipts, pushes } of target?.scenarios ?? [])
      expect.soft([scenario, receipts.failures, pushes?.failures ?? 0]).toEqual([scenario, 0, 0]);
    const ofEnvoy = target?.scenarios.map((result) => result.envoy?.hasChange).filter((has) => has !== undefined);
    expect(ofEnvoy).toEqual(envoy.length === 0 ? [] : Array.from({ length: 6 }, () => true));
  });

  test('a second run on a cluster waits until what the first one has deleted is gone', async () => {
    await using cluster = await TestCluster.start();
    const items = meshItems({ services: 30, virtualServices: 0, proxies: 10, layout: 'default' });
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'ns-0' } };
    const load = async (): Promise<string | undefined> => {
      await using feed = new KubernetesFeed(readKubeconfig(cluster.kubeconfig), { keep: false });
      await feed.load(items);
      return (await cluster.api.get(namespace)).metadata.uid;
    };
    const first = await load();
    expect((await cluster.api.get(namespace)).metadata.deletionTimestamp).toBeDefined();
    const second = await load();
    expect(second).not.toBe(first);
  });
});
