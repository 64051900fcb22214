/**
 * Type URLs of everything that travels over a discovery stream, in one place. Envoy's own names carry the prefix of
 * google.protobuf.Any; istiod's debug types do not (istioctl asks for them so).
 */
const prefix = 'type.googleapis.com/';

export const clusterType = `${prefix}envoy.config.cluster.v3.Cluster`;
export const endpointType = `${prefix}envoy.config.endpoint.v3.ClusterLoadAssignment`;
export const listenerType = `${prefix}envoy.config.listener.v3.Listener`;
export const routeType = `${prefix}envoy.config.route.v3.RouteConfiguration`;
export const virtualHostType = `${prefix}envoy.config.route.v3.VirtualHost`;
export const secretType = `${prefix}envoy.extensions.transport_sockets.tls.v3.Secret`;
export const extensionConfigType = `${prefix}envoy.config.core.v3.TypedExtensionConfig`;
export const runtimeType = `${prefix}envoy.service.runtime.v3.Runtime`;
export const bootstrapType = `${prefix}envoy.config.bootstrap.v3.Bootstrap`;

export const nameTableType = `${prefix}istio.networking.nds.v1.NameTable`;
export const proxyConfigType = `${prefix}istio.mesh.v1alpha1.ProxyConfig`;
export const healthInformationType = `${prefix}istio.v1.HealthInformation`;
export const addressType = `${prefix}istio.workload.Address`;
export const workloadType = `${prefix}istio.workload.Workload`;
export const authorizationType = `${prefix}istio.security.Authorization`;

export const debugType = 'istio.io/debug';
export const debugSyncType = 'istio.io/debug/syncz';
export const debugConfigDumpType = 'istio.io/debug/config_dump';

/**
 * Short names for logs, metrics and tables, as istiod and `istioctl proxy-status` print them.
 * VHDS is the delta form of routes and has no counterpart in istiod.
 */
const shortNames = {
  [clusterType]: 'CDS',
  [endpointType]: 'EDS',
  [listenerType]: 'LDS',
  [routeType]: 'RDS',
  [virtualHostType]: 'VHDS',
  [secretType]: 'SDS',
  [extensionConfigType]: 'ECDS',
  [runtimeType]: 'RTDS',
  [bootstrapType]: 'BDS',
  [nameTableType]: 'NDS',
  [proxyConfigType]: 'PCDS',
  [healthInformationType]: 'HDS',
  [addressType]: 'WDS',
  [workloadType]: 'WTDS',
  [authorizationType]: 'WADS',
  [debugType]: 'DEBUG',
  [debugSyncType]: 'SYNCZ',
  [debugConfigDumpType]: 'CONFIG_DUMP',
} as const;

export type TypeUrl = keyof typeof shortNames;
export type ShortName = (typeof shortNames)[TypeUrl];

/** `CDS` for Cluster and so on; a type that is not ours is shown by its own name. */
export function shortName(typeUrl: string): string {
  return Object.hasOwn(shortNames, typeUrl) ? shortNames[typeUrl as TypeUrl] : messageName(typeUrl);
}

/** The type URL of a short name, whatever its case; undefined when there is none. */
export function typeOfShortName(name: string): TypeUrl | undefined {
  const upper = name.toUpperCase();
  return (Object.keys(shortNames) as TypeUrl[]).find((typeUrl) => shortNames[typeUrl] === upper);
}

/** The full name of the message that a type URL names: what follows its last slash. */
export function messageName(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf('/') + 1);
}

/** The type URL that Any carries for a message of this full name. */
export function typeUrlOf(name: string): string {
  return prefix + name;
}

/**
 * Order in which changed types leave, make before break: whatever a resource names goes before it. Secrets come after
 * listeners as in istiod: Envoy warms what waits for them. Types that are missing here have no order among themselves.
 */
export const pushOrder: readonly TypeUrl[] = [
  clusterType,
  endpointType,
  listenerType,
  extensionConfigType,
  routeType,
  virtualHostType,
  secretType,
  nameTableType,
  proxyConfigType,
  addressType,
  workloadType,
  authorizationType,
];

const pushRank = new Map<string, number>(pushOrder.map((typeUrl, rank) => [typeUrl, rank]));

/** Compares two type URLs by push order; types outside of it come last. */
export function byPushOrder(a: string, b: string): number {
  return (pushRank.get(a) ?? pushOrder.length) - (pushRank.get(b) ?? pushOrder.length);
}

/** Types of which a stream that names nothing gets everything, as in the legacy form of a wildcard subscription. */
export function isWildcardType(typeUrl: string): boolean {
  return typeUrl === clusterType || typeUrl === listenerType;
}
