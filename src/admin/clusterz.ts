/** `/debug/clusterz`: the clusters whose endpoints are read, in istiod's form and with what is wrong with each. */
export interface ClusterView {
  readonly id: string;
  /** `namespace/name` of the Secret with its kubeconfig; empty for the cluster whose configuration is read. */
  readonly secretName: string;
  /** `timeout`: it was not read in time, and nobody waits for it any more. */
  readonly syncStatus: 'synced' | 'syncing' | 'timeout';
  /** URL of its API server. */
  readonly server?: string;
  /** What is wrong now; what was last read stays in force. */
  readonly fault?: string;
  /** Since when status and fault are as they are. */
  readonly since?: string;
  /** Endpoints of services of the mesh that are in it. */
  readonly endpoints: number;
}
