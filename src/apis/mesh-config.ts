/** MeshConfig and ProxyConfig: the settings of the whole mesh, from ConfigMap `istio` (key `mesh`) or a file. */
import { bool, int32, list, map, message, oneOfWords, type Spec, string, uint32 } from './schema.ts';
import { localityLoadBalancerSetting } from './traffic-policy.ts';

export const proxyConfig = message({
  /** `host:port` at which proxies find the control plane. */
  discoveryAddress: string(),
  serviceCluster: string(),
  drainDuration: string(),
  terminationDrainDuration: string(),
  proxyAdminPort: int32({ minimum: 1, maximum: 65535 }),
  statusPort: int32({ minimum: 1, maximum: 65535 }),
  statNameLength: int32({ minimum: 0 }),
  concurrency: int32({ minimum: 0 }),
  interceptionMode: oneOfWords(['REDIRECT', 'TPROXY', 'NONE']),
  proxyMetadata: map(string()),
  meshId: string(),
  holdApplicationUntilProxyStarts: bool(),
  gatewayTopology: message({ numTrustedProxies: uint32() }),
});
export type ProxyConfigSpec = Spec<typeof proxyConfig>;

export const meshConfig = message({
  proxyListenPort: int32({ minimum: 1, maximum: 65535 }),
  proxyInboundListenPort: int32({ minimum: 1, maximum: 65535 }),
  /** Port of an explicit HTTP proxy in every sidecar; 0 for none. */
  proxyHttpPort: int32({ minimum: 0, maximum: 65535 }),
  connectTimeout: string(),
  protocolDetectionTimeout: string(),
  dnsRefreshRate: string(),
  ingressClass: string(),
  ingressService: string(),
  ingressSelector: string(),
  ingressControllerMode: oneOfWords(['UNSPECIFIED', 'OFF', 'DEFAULT', 'STRICT']),
  enableTracing: bool(),
  accessLogFile: string(),
  accessLogFormat: string(),
  accessLogEncoding: oneOfWords(['TEXT', 'JSON']),
  disableEnvoyListenerLog: bool(),
  defaultConfig: proxyConfig,
  outboundTrafficPolicy: message({ mode: oneOfWords(['REGISTRY_ONLY', 'ALLOW_ANY']) }),
  inboundTrafficPolicy: message({ mode: oneOfWords(['PASSTHROUGH', 'LOCALHOST']) }),
  enableAutoMtls: bool(),
  trustDomain: string(),
  trustDomainAliases: list(string()),
  defaultServiceExportTo: list(string()),
  defaultVirtualServiceExportTo: list(string()),
  defaultDestinationRuleExportTo: list(string()),
  rootNamespace: string(),
  /** Namespaces that are read at all; any of them may select. Without one: all. */
  discoverySelectors: list(
    message({
      matchLabels: map(string()),
      matchExpressions: list(message({ key: string(), operator: string(), values: list(string()) }, ['key', 'operator'])),
    }),
  ),
  localityLbSetting: localityLoadBalancerSetting,
  /** The last one that names a host counts. */
  serviceSettings: list(message({ settings: message({ clusterLocal: bool() }), hosts: list(string()) })),
  h2UpgradePolicy: oneOfWords(['DO_NOT_UPGRADE', 'UPGRADE']),
  enablePrometheusMerge: bool(),
  defaultHttpRetryPolicy: message({
    attempts: int32({ minimum: 0 }),
    perTryTimeout: string(),
    retryOn: string(),
    retryRemoteLocalities: bool(),
    retryIgnorePreviousHosts: bool(),
    backoff: string(),
  }),
  tcpKeepalive: message({ probes: uint32(), time: string(), interval: string() }),
  meshMTLS: message({ minProtocolVersion: oneOfWords(['TLS_AUTO', 'TLSV1_2', 'TLSV1_3']) }),
  defaultProviders: message({ metrics: list(string()), tracing: list(string()), accessLogging: list(string()) }),
});
export type MeshConfigSpec = Spec<typeof meshConfig>;

type Resolved<T, K extends keyof T> = Omit<T, K> & { readonly [P in K]-?: Exclude<T[P], undefined> };

/** ProxyConfig with every default filled in. */
export type ProxyConfig = Resolved<
  ProxyConfigSpec,
  | 'discoveryAddress'
  | 'serviceCluster'
  | 'drainDuration'
  | 'terminationDrainDuration'
  | 'proxyAdminPort'
  | 'statusPort'
  | 'statNameLength'
  | 'interceptionMode'
  | 'proxyMetadata'
>;

/** MeshConfig with every default filled in. */
export type MeshConfig = Resolved<
  Omit<MeshConfigSpec, 'defaultConfig' | 'outboundTrafficPolicy' | 'inboundTrafficPolicy' | 'localityLbSetting'>,
  | 'proxyListenPort'
  | 'proxyInboundListenPort'
  | 'proxyHttpPort'
  | 'connectTimeout'
  | 'protocolDetectionTimeout'
  | 'dnsRefreshRate'
  | 'ingressClass'
  | 'ingressService'
  | 'ingressControllerMode'
  | 'enableTracing'
  | 'accessLogFile'
  | 'accessLogFormat'
  | 'accessLogEncoding'
  | 'enableAutoMtls'
  | 'trustDomain'
  | 'trustDomainAliases'
  | 'defaultServiceExportTo'
  | 'defaultVirtualServiceExportTo'
  | 'defaultDestinationRuleExportTo'
  | 'rootNamespace'
  | 'h2UpgradePolicy'
  | 'enablePrometheusMerge'
> & {
  readonly defaultConfig: ProxyConfig;
  readonly outboundTrafficPolicy: { readonly mode: 'REGISTRY_ONLY' | 'ALLOW_ANY' };
  readonly inboundTrafficPolicy: { readonly mode: 'PASSTHROUGH' | 'LOCALHOST' };
  readonly localityLbSetting: Resolved<Spec<typeof localityLoadBalancerSetting>, 'enabled'>;
};

/** Istio's defaults (pkg/config/mesh/mesh.go). An empty access log file means no access log. */
export const defaultMeshConfig: MeshConfig = {
  proxyListenPort: 15001,
  proxyInboundListenPort: 15006,
  proxyHttpPort: 0,
  connectTimeout: '10s',
  protocolDetectionTimeout: '0s',
  dnsRefreshRate: '60s',
  ingressClass: 'istio',
  ingressService: 'istio-ingressgateway',
  ingressControllerMode: 'STRICT',
  enableTracing: true,
  accessLogFile: '',
  accessLogFormat: '',
  accessLogEncoding: 'TEXT',
  enableAutoMtls: true,
  trustDomain: 'cluster.local',
  trustDomainAliases: [],
  defaultServiceExportTo: ['*'],
  defaultVirtualServiceExportTo: ['*'],
  defaultDestinationRuleExportTo: ['*'],
  rootNamespace: 'istio-system',
  h2UpgradePolicy: 'DO_NOT_UPGRADE',
  enablePrometheusMerge: true,
  outboundTrafficPolicy: { mode: 'ALLOW_ANY' },
  inboundTrafficPolicy: { mode: 'PASSTHROUGH' },
  localityLbSetting: { enabled: true },
  defaultConfig: {
    discoveryAddress: 'istiod.istio-system.svc:15012',
    serviceCluster: 'istio-proxy',
    drainDuration: '45s',
    terminationDrainDuration: '5s',
    proxyAdminPort: 15000,
    statusPort: 15020,
    statNameLength: 189,
    interceptionMode: 'REDIRECT',
    proxyMetadata: {},
  },
};
