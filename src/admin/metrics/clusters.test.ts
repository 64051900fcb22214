import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { clusterMetrics, type ClusterFigures } from './clusters.ts';
import { Instruments } from './instruments.ts';

test('clusters are shown as they are at each scrape, and go with their Secret', async () => {
  const registry = new Registry();
  const remote: { id: string; syncStatus: 'synced' | 'timeout' }[] = [{ id: 'east', syncStatus: 'timeout' }];
  const figures: ClusterFigures = { local: 'home', remote };
  const metrics = clusterMetrics(new Instruments(registry), () => figures);
  metrics.timedOut('east');
  metrics.secret('add');
  const series = async (): Promise<string[]> =>
    (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  expect(await series()).toEqual([
    'istiod_managed_clusters{cluster_type="local",cluster="home"} 1',
    'istiod_managed_clusters{cluster_type="remote",cluster="east"} 1',
    'istiod_remote_cluster_sync_status{cluster_type="remote",cluster="east",status="synced"} 0',
    'istiod_remote_cluster_sync_status{cluster_type="remote",cluster="east",status="syncing"} 0',
    'istiod_remote_cluster_sync_status{cluster_type="remote",cluster="east",status="timeout"} 1',
    'remote_cluster_sync_timeouts_total{cluster="east"} 1',
    'remote_cluster_secret_events_total{event="add"} 1',
  ]);
  remote.pop();
  expect((await series()).filter((line) => line.startsWith('istiod_'))).toEqual([
    'istiod_managed_clusters{cluster_type="local",cluster="home"} 1',
  ]);
});
