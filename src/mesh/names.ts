/** Istio's names of clusters and route tables, which users see in metrics and tools, and EnvoyFilters match on. */

/** `outbound|port|subset|host`, `inbound|port||`. */
export function clusterName(direction: 'outbound' | 'inbound', port: number, subset: string, host: string): string {
  return `${direction}|${port}|${subset}|${host}`;
}

/** The form for SNI of AUTO_PASSTHROUGH and of mutual TLS between sidecars: `outbound_.port_.subset_.host`. */
export function sniName(port: number, subset: string, host: string): string {
  return `outbound_.${port}_.${subset}_.${host}`;
}

export const passthroughCluster = 'PassthroughCluster';
export const blackHoleCluster = 'BlackHoleCluster';
export const inboundPassthroughCluster = 'InboundPassthroughCluster';
