import {
  atMostOneOf,
  bool,
  double,
  duration,
  int32,
  integer,
  list,
  map,
  message,
  nullable,
  oneOfWords,
  type Spec,
  string,
  uint32,
} from './schema.ts';

export const connectionPoolHttp = message({
  h2UpgradePolicy: oneOfWords(['DEFAULT', 'DO_NOT_UPGRADE', 'UPGRADE']),
  http1MaxPendingRequests: int32(),
  http2KeepAlive: message({ interval: duration(), timeout: duration() }),
  http2MaxRequests: int32(),
  idleTimeout: duration(),
  maxConcurrentStreams: int32(),
  maxRequestsPerConnection: int32(),
  maxRetries: int32(),
  useClientProtocol: bool(),
});

export const connectionPoolTcp = message({
  connectTimeout: duration(),
  idleTimeout: string(),
  maxConnectionDuration: duration(),
  maxConnections: int32(),
  tcpKeepalive: message({ interval: duration(), probes: uint32(), time: duration() }),
});

export const connectionPoolSettings = message({ http: connectionPoolHttp, tcp: connectionPoolTcp });
export type ConnectionPoolSettings = Spec<typeof connectionPoolSettings>;

export const consistentHash = message(
  {
    httpCookie: message(
      { attributes: list(message({ name: string(), value: string() }, ['name'])), name: string(), path: string(), ttl: string() },
      ['name'],
    ),
    httpHeaderName: string(),
    httpQueryParameterName: string(),
    maglev: message({ tableSize: integer({ minimum: 0 }) }),
    minimumRingSize: integer({ minimum: 0 }),
    ringHash: message({ minimumRingSize: integer({ minimum: 0 }) }),
    useSourceIp: bool(),
  },
  [],
  { allOf: [atMostOneOf('httpHeaderName', 'httpCookie', 'useSourceIp', 'httpQueryParameterName'), atMostOneOf('ringHash', 'maglev')] },
);
export type ConsistentHash = Spec<typeof consistentHash>;

export const localityLoadBalancerSetting = message({
  distribute: list(message({ from: string(), to: map(uint32()) })),
  enabled: nullable(bool()),
  failover: list(message({ from: string(), to: string() })),
  failoverPriority: list(string()),
});
export type LocalityLoadBalancerSetting = Spec<typeof localityLoadBalancerSetting>;

export const zoneAwareLoadBalancerSetting = message({
  enabled: nullable(bool()),
  failover: list(message({ from: string(), to: string() })),
  failoverPriority: list(string()),
  minClusterSize: nullable(integer({ maximum: 4294967295, minimum: 1 })),
});
export type ZoneAwareLoadBalancerSetting = Spec<typeof zoneAwareLoadBalancerSetting>;

export const loadBalancerSettings = message(
  {
    backendUtilization: message({
      errorUtilizationPenaltyPercent: uint32(),
      metricNamesForComputingUtilization: list(string()),
      weightExpirationPeriod: string(),
      weightStabilizationPeriod: string(),
      weightUpdatePeriod: string(),
    }),
    consistentHash,
    localityLbSetting: localityLoadBalancerSetting,
    simple: oneOfWords(['UNSPECIFIED', 'LEAST_CONN', 'RANDOM', 'PASSTHROUGH', 'ROUND_ROBIN', 'LEAST_REQUEST']),
    warmup: message(
      {
        aggression: nullable(double({ minimum: 0 })),
        duration: duration(),
        minimumPercent: nullable(double({ maximum: 100, minimum: 0 })),
      },
      ['duration'],
    ),
    warmupDurationSecs: duration(),
    zoneAwareLbSetting: zoneAwareLoadBalancerSetting,
  },
  [],
  atMostOneOf('simple', 'consistentHash', 'backendUtilization'),
);
export type LoadBalancerSettings = Spec<typeof loadBalancerSettings>;

export const outlierDetection = message({
  baseEjectionTime: duration(),
  consecutive5xxErrors: nullable(uint32()),
  consecutiveErrors: int32(),
  consecutiveGatewayErrors: nullable(uint32()),
  consecutiveLocalOriginFailures: nullable(uint32()),
  interval: duration(),
  maxEjectionPercent: int32(),
  minHealthPercent: int32(),
  outlierDetectionHttpErrorCodes: list(integer({ maximum: 599, minimum: 100 })),
  splitExternalLocalOriginErrors: bool(),
});
export type OutlierDetection = Spec<typeof outlierDetection>;

export const clientTlsSettings = message({
  caCertificates: string(),
  caCrl: string(),
  clientCertificate: string(),
  credentialName: string(),
  insecureSkipVerify: nullable(bool()),
  mode: oneOfWords(['DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL']),
  privateKey: string(),
  sni: string(),
  subjectAltNames: list(string()),
});
export type ClientTLSSettings = Spec<typeof clientTlsSettings>;

export const portTrafficPolicy = message({
  connectionPool: connectionPoolSettings,
  loadBalancer: loadBalancerSettings,
  outlierDetection,
  port: message({ number: uint32() }),
  tls: clientTlsSettings,
});
export type PortTrafficPolicy = Spec<typeof portTrafficPolicy>;

export const trafficPolicy = message({
  connectionPool: connectionPoolSettings,
  loadBalancer: loadBalancerSettings,
  outlierDetection,
  portLevelSettings: list(portTrafficPolicy, { maxItems: 4096 }),
  proxyProtocol: message({ version: oneOfWords(['V1', 'V2']) }),
  retryBudget: message({
    budgetInterval: string(),
    minRetryConcurrency: uint32(),
    percent: nullable(double({ maximum: 100, minimum: 0 })),
  }),
  tls: clientTlsSettings,
  tunnel: message({ protocol: string(), targetHost: string(), targetPort: uint32() }, ['targetHost', 'targetPort']),
});
export type TrafficPolicy = Spec<typeof trafficPolicy>;
