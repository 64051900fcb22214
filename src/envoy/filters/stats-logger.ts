/**
 * Istio's standard metrics by Envoy's stats access logger, in place of Istio's own filter `istio.stats`, which stock Envoy lacks. What follows was
 * seen on Envoy 1.40:
 * - Tags become labels of their own, and any formatter of access logs can give their values. `%CEL(...)%` works without being named as a formatter,
 *   but not its functions on strings (split, replace) and no comprehension; an expression that fails gives the empty string.
 * - `/stats/prometheus` puts `envoy_` before names, except in a registered namespace, which it drops. `wasmcustom` is one as soon as the bootstrap
 *   has the Wasm extension, with whatever module: so `istio_requests_total` has exactly that name, given such a bootstrap.
 * - `stat_prefix` is called deprecated; its successor is not in the descriptors that we have.
 */
import { create } from '@bufbuild/protobuf';
import { type AccessLog, AccessLogSchema } from '#gen/envoy/config/accesslog/v3/accesslog_pb.js';
import {
  type Config_Counter,
  Config_CounterSchema,
  type Config_Histogram,
  Config_HistogramSchema,
  Config_Histogram_Unit as Unit,
  type Config_Tag,
  Config_TagSchema,
  ConfigSchema,
} from '#gen/envoy/extensions/access_loggers/stats/v3/stats_pb.js';
import { packAny } from '../../wire/encode.ts';
import { peerMetadata } from '../config-metadata.ts';

/** The stat namespace that Prometheus output drops. The bootstrap has to register it and to let its stats through. */
export const metricsNamespace = 'wasmcustom';
export interface StatsLoggerInput {
  /** `destination` at the workload that is called, `source` at sidecars and gateways that call. */
  readonly reporter: 'source' | 'destination';
  readonly protocol: 'http' | 'tcp';
}

/** One logger for a connection manager or tcp_proxy. Its configuration is the same for all workloads: facts come from the node when it logs. */
export function buildStatsLogger(input: StatsLoggerInput): AccessLog {
  const key = `${input.reporter} ${input.protocol}`;
  let logger = loggers.get(key);
  if (logger === undefined) loggers.set(key, (logger = newStatsLogger(input)));
  return logger;
}

/** The encoded configurations of those built so far. Copies of them are most of an inbound listener. */
export function statsLoggerConfigs(): readonly Uint8Array[] {
  return [...loggers.values()].flatMap(({ configType }) => (configType.case === undefined ? [] : [configType.value.value]));
}

/** The four that there are: building and checking one costs more than the rest of an inbound listener. */
const loggers = new Map<string, AccessLog>();

function newStatsLogger(input: StatsLoggerInput): AccessLog {
  const tags = labels(input);
  const config = create(ConfigSchema, {
    statPrefix: metricsNamespace,
    counters: input.protocol === 'http' ? [counter('istio_requests_total', tags)] : tcpCounters(tags),
    histograms: input.protocol === 'http' ? httpHistograms(input.reporter, tags) : [],
  });
  return create(AccessLogSchema, {
    name: 'envoy.access_loggers.stats',
    configType: { case: 'typedConfig', value: packAny(ConfigSchema, config) },
  });
}

/** Sizes are left to the callee, which sees the same: at the caller they would come with each of its many listeners. */
function httpHistograms(reporter: StatsLoggerInput['reporter'], tags: readonly Config_Tag[]): Config_Histogram[] {
  const duration = histogram('istio_request_duration_milliseconds', tags, Unit.Milliseconds, '%DURATION%');
  if (reporter === 'source') return [duration];
  return [
    duration,
    histogram('istio_request_bytes', tags, Unit.Bytes, '%BYTES_RECEIVED%'),
    histogram('istio_response_bytes', tags, Unit.Bytes, '%BYTES_SENT%'),
  ];
}

/** Counted when a connection ends, all of its bytes at once. */
function tcpCounters(tags: readonly Config_Tag[]): Config_Counter[] {
  return [
    counter('istio_tcp_connections_opened_total', tags),
    counter('istio_tcp_connections_closed_total', tags),
    counter('istio_tcp_received_bytes_total', tags, '%BYTES_RECEIVED%'),
    counter('istio_tcp_sent_bytes_total', tags, '%BYTES_SENT%'),
  ];
}

function counter(name: string, tags: readonly Config_Tag[], valueFormat?: string): Config_Counter {
  return create(Config_CounterSchema, {
    stat: { name, tags: [...tags] },
    ...(valueFormat === undefined ? { valueFixed: 1n } : { valueFormat }),
  });
}

function histogram(name: string, tags: readonly Config_Tag[], unit: Unit, valueFormat: string): Config_Histogram {
  return create(Config_HistogramSchema, { stat: { name, tags: [...tags] }, unit, valueFormat });
}

type Labels = readonly (readonly [name: string, format: string])[];

/**
 * Istio's labels. Each comes with every metric of every connection manager, so formats are short, at the price that what is not known is empty
 * and not `unknown`; formatters are preferred to expressions, which cost time on each request.
 */
function labels({ reporter, protocol }: StatsLoggerInput): Config_Tag[] {
  const sides = reporter === 'source' ? [...ownFacts('source'), ...calledWorkload] : [...callingWorkload, ...ownFacts('destination')];
  const request: Labels =
    protocol === 'http'
      ? [
          ['request_protocol', `%CEL(${grpcRequest} ? 'grpc' : 'http')%`],
          ['response_code', '%RESPONSE_CODE%'],
          ['grpc_response_status', '%GRPC_STATUS_NUMBER%'],
        ]
      : [['request_protocol', 'tcp']];
  // What the server makes of a certificate is for the server to say, so Istio leaves this to it.
  const security = reporter === 'source' ? 'unknown' : `%CEL(connection.mtls ? 'mutual_tls' : 'none')%`;
  const all: Labels = [
    ['reporter', reporter],
    ...sides,
    ...service,
    ...request,
    ['response_flags', '%RESPONSE_FLAGS%'],
    ['connection_security_policy', security],
  ];
  return all.map(([name, valueFormat]) => create(Config_TagSchema, { name, valueFormat }));
}

const grpcRequest = `'content-type' in request.headers && request.headers['content-type'].startsWith('application/grpc')`;

const node = 'xds.node.metadata';

/** The label if the workload has it, which injection sees to, else a plainer one. */
const labelOr = (label: string, plain: string): string =>
  `%CEL('${label}' in ${node}.LABELS ? ${node}.LABELS['${label}'] : ${node}.LABELS.${plain})%`;

/** This proxy's workload, by what its node says of it. */
function ownFacts(side: 'source' | 'destination'): Labels {
  return [
    [`${side}_workload`, `%CEL(${node}.WORKLOAD_NAME)%`],
    [`${side}_workload_namespace`, `%CEL(${node}.NAMESPACE)%`],
    [`${side}_canonical_service`, labelOr('service.istio.io/canonical-name', 'app')],
    [`${side}_canonical_revision`, labelOr('service.istio.io/canonical-revision', 'version')],
    [`${side}_principal`, side === 'source' ? '%UPSTREAM_LOCAL_URI_SAN%' : '%DOWNSTREAM_LOCAL_URI_SAN%'],
    [`${side}_app`, `%CEL(${node}.LABELS.app)%`],
    [`${side}_version`, `%CEL(${node}.LABELS.version)%`],
    [`${side}_cluster`, `%CEL(${node}.CLUSTER_ID)%`],
  ];
}

/** A caller is known by its certificate alone: stock Envoy exchanges nothing else. Its own report, as `source`, has the rest. */
const callingWorkload: Labels = [
  ['source_workload', 'unknown'],
  ['source_workload_namespace', 'unknown'],
  ['source_canonical_service', 'unknown'],
  ['source_canonical_revision', 'unknown'],
  ['source_principal', '%DOWNSTREAM_PEER_URI_SAN%'],
  ['source_app', 'unknown'],
  ['source_version', 'unknown'],
  ['source_cluster', 'unknown'],
];

const peer = (key: string): string => `%UPSTREAM_METADATA(${peerMetadata}:${key})%`;

/** Who is called, by the metadata of the endpoint that took the request. */
const calledWorkload: Labels = [
  ['destination_workload', peer('name')],
  ['destination_workload_namespace', peer('namespace')],
  ['destination_canonical_service', peer('service')],
  ['destination_canonical_revision', peer('revision')],
  ['destination_principal', '%UPSTREAM_PEER_URI_SAN%'],
  ['destination_app', peer('service')],
  ['destination_version', peer('revision')],
  ['destination_cluster', 'unknown'],
];

const cluster = 'xds.cluster_metadata.filter_metadata.istio';

/** The Service of the cluster, on the inbound side the first of its port. Without one the name is the cluster's: `PassthroughCluster`. */
const service: Labels = [
  ['destination_service', `%CEL(${cluster}.services[0].host)%`],
  ['destination_service_name', `%CEL(has(${cluster}.services) ? ${cluster}.services[0].name : xds.cluster_name)%`],
  ['destination_service_namespace', `%CEL(${cluster}.services[0].namespace)%`],
];
