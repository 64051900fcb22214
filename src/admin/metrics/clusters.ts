/** Clusters whose endpoints are read, under istiod's names. */
import type { ObjectEvent } from './input.ts';
import type { Instruments } from './instruments.ts';

export interface ClusterFigures {
  /** Of the cluster whose configuration is read. */
  readonly local: string;
  readonly remote: readonly { readonly id: string; readonly syncStatus: SyncStatus }[];
}

export interface ClusterMetrics {
  /** A cluster was not read in time. */
  timedOut(cluster: string): void;
  /** A Secret of remote clusters was added, updated or deleted. */
  secret(event: ObjectEvent): void;
}

type SyncStatus = (typeof states)[number];
const states = ['synced', 'syncing', 'timeout'] as const;

/** `figures` are read when `/metrics` is asked for. */
export function clusterMetrics(make: Instruments, figures: () => ClusterFigures): ClusterMetrics {
  make.collect('istiod_managed_clusters', 'Clusters whose endpoints are read', ['cluster_type', 'cluster'], (gauge) => {
    gauge.reset();
    const { local, remote } = figures();
    gauge.set({ cluster_type: 'local', cluster: local }, 1);
    for (const { id } of remote) gauge.set({ cluster_type: 'remote', cluster: id }, 1);
  });
  make.collect(
    'istiod_remote_cluster_sync_status',
    'Whether a remote cluster was read; 1 for the state that it is in',
    ['cluster_type', 'cluster', 'status'],
    (gauge) => {
      gauge.reset();
      for (const { id, syncStatus } of figures().remote)
        for (const status of states) gauge.set({ cluster_type: 'remote', cluster: id, status }, status === syncStatus ? 1 : 0);
    },
  );
  const timeouts = make.counter('remote_cluster_sync_timeouts_total', 'Remote clusters that were not read in time', ['cluster']);
  const secrets = make.counter('remote_cluster_secret_events_total', 'Secrets of remote clusters, added, updated or deleted', ['event']);
  return { timedOut: (cluster) => timeouts.inc({ cluster }), secret: (event) => secrets.inc({ event }) };
}
