/** Lazy mode: a sidecar gets virtual hosts and clusters with the first request for them. Off unless the mesh, a namespace or a workload asks for it. */

/** Label of a Namespace, pod or WorkloadEntry. */
export const lazyLabel = 'mizzen.io/lazy';

/** In `defaultConfig.proxyMetadata` of the mesh configuration. */
export const lazyMetadata = 'MIZZEN_LAZY';

/** The most specific word counts; one that is neither `true` nor `false` is no word. */
export function isLazy(workload: string | undefined, namespace: string | undefined, mesh: string | undefined): boolean {
  return [workload, namespace, mesh].find((word) => word === 'true' || word === 'false') === 'true';
}
