/** Istio's own unit tables for clusters, endpoints and routes of what a workload sends. */
import { create, fromBinary, fromJson, type JsonValue } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { CircuitBreakersSchema } from '#gen/envoy/config/cluster/v3/circuit_breaker_pb.js';
import { OutlierDetectionSchema } from '#gen/envoy/config/cluster/v3/outlier_detection_pb.js';
import type { Cluster } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { RuntimeFractionalPercentSchema } from '#gen/envoy/config/core/v3/base_pb.js';
import { RouteActionSchema, RouteMatchSchema } from '#gen/envoy/config/route/v3/route_components_pb.js';
import { HTTPFaultSchema } from '#gen/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import { HttpProtocolOptionsSchema } from '#gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import type { DestinationRuleSpec } from '../../src/apis/destination-rule.ts';
import { defaultMeshConfig } from '../../src/apis/mesh-config.ts';
import { objectKey } from '../../src/apis/object.ts';
import type { ConnectionPoolSettings, OutlierDetection, TrafficPolicy } from '../../src/apis/traffic-policy.ts';
import type { HTTPFaultInjection, HTTPMatchRequest } from '../../src/apis/virtual-service.ts';
import { configPath } from '../../src/envoy/config-metadata.ts';
import { buildCircuitBreakers } from '../../src/envoy/clusters/connection-pool.ts';
import { effectivePolicy } from '../../src/envoy/clusters/effective-policy.ts';
import { buildHttpOptions, upstreamProtocol } from '../../src/envoy/clusters/http-options.ts';
import { buildOutboundClusters } from '../../src/envoy/clusters/outbound.ts';
import { buildOutlierDetection } from '../../src/envoy/clusters/outlier-detection.ts';
import { matchesLocality } from '../../src/envoy/endpoints/distribute.ts';
import { buildAction } from '../../src/envoy/routes/action.ts';
import { virtualHostDomains } from '../../src/envoy/routes/domains.ts';
import { buildFault } from '../../src/envoy/routes/fault.ts';
import { isCatchAll } from '../../src/envoy/routes/match.ts';
import { concerns } from '../../src/envoy/routes/source.ts';
import { http, routeContext, rule, service } from '../../src/envoy/testing/model.ts';
import type { HttpRouteSpec, Protocol, ServicePort } from '../../src/mesh/model.ts';
import { asJson, normalized, registry, table } from './data.ts';

interface Typed<T> {
  readonly value: T;
}
interface GoPort {
  readonly Port: number;
  readonly Protocol: string;
}
interface GoService {
  readonly Hostname?: string;
  readonly DefaultAddress?: string;
  readonly Resolution?: string;
  readonly Attributes?: {
    readonly ServiceRegistry?: string;
    readonly Name?: string;
    readonly Namespace?: string;
    readonly Aliases?: unknown;
  };
  readonly ClusterVIPs?: { readonly Addresses: Readonly<Record<string, readonly string[]>> };
}

const port = ({ Port, Protocol }: GoPort): ServicePort => ({ name: '', number: Port, protocol: Protocol.toLowerCase() as Protocol });

describe('clusters', () => {
  interface Pool {
    readonly connectionPool: Typed<ConnectionPoolSettings>;
    readonly retryBudget: Typed<NonNullable<TrafficPolicy['retryBudget']>> | null;
    readonly expectedCircuitBreakers: Typed<JsonValue>;
    readonly httpProtocolOptions: Typed<{ commonHttpProtocolOptions?: object }>;
    readonly expectedHTTPPOpt: Typed<{ commonHttpProtocolOptions: object }>;
  }
  it.each(table<Pool>('cluster-tables', 'ApplyConnectionPool').rows)('connection pool: $case', (row) => {
    const policy = { connectionPool: row.connectionPool.value, ...(row.retryBudget && { retryBudget: row.retryBudget.value }) };
    const expected = row.expectedCircuitBreakers.value as { thresholds: object[] };
    // The table's row for the budget leaves trackRemaining out, which Istio sets as in the others.
    const thresholds = expected.thresholds.map((threshold) => ({ ...threshold, trackRemaining: true }));
    expect(asJson(CircuitBreakersSchema, buildCircuitBreakers(policy))).toEqual(normalized(CircuitBreakersSchema, { thresholds }));
    const [packed] = Object.values(buildHttpOptions({ protocol: 'http1', policy, autoSni: false, autoSanValidation: false }) ?? {});
    const built = packed && fromBinary(HttpProtocolOptionsSchema, packed.value);
    // The upstream test starts with options of its own, which ours lie over.
    const start = fromJson(HttpProtocolOptionsSchema, row.httpProtocolOptions.value as JsonValue, { registry: registry() });
    const common = { ...start.commonHttpProtocolOptions, ...definedFields(built?.commonHttpProtocolOptions) };
    expect(asJson(HttpProtocolOptionsSchema, create(HttpProtocolOptionsSchema, { commonHttpProtocolOptions: common }))).toEqual(
      normalized(HttpProtocolOptionsSchema, {
        commonHttpProtocolOptions: row.expectedHTTPPOpt.value.commonHttpProtocolOptions,
      } as JsonValue),
    );
  });

  interface Outlier {
    readonly cfg: Typed<OutlierDetection>;
    readonly o: Typed<JsonValue>;
  }
  it.each(table<Outlier>('cluster-tables', 'ApplyOutlierDetection').rows)('outlier detection: $case', ({ cfg, o }) => {
    expect(asJson(OutlierDetectionSchema, buildOutlierDetection(cfg.value))).toEqual(normalized(OutlierDetectionSchema, o.value));
  });

  interface Upgrade {
    readonly mesh: Typed<{ readonly h2UpgradePolicy?: 'UPGRADE' }>;
    readonly connectionPool: Typed<ConnectionPoolSettings>;
    readonly port: GoPort;
    readonly upgrade: boolean;
  }
  it.each(table<Upgrade>('cluster-tables', 'ShouldH2Upgrade').rows)('upgrade to HTTP/2: $case', (row) => {
    const mesh = { ...defaultMeshConfig, ...row.mesh.value };
    const protocol = upstreamProtocol(port(row.port), { connectionPool: row.connectionPool.value }, mesh, false);
    expect(protocol === 'http2').toBe(row.upgrade);
  });

  interface Merge {
    readonly original: Typed<TrafficPolicy> | null;
    readonly subset: Typed<TrafficPolicy> | null;
    readonly port: GoPort | null;
    readonly expected: Typed<TrafficPolicy> | null;
  }
  it.each(table<Merge>('networking-tables', 'MergeSubsetTrafficPolicy').rows)('policy of a subset: $case', (row) => {
    const spec: Omit<DestinationRuleSpec, 'host'> = {
      ...(row.original && { trafficPolicy: row.original.value }),
      subsets: [{ name: 's', ...(row.subset && { trafficPolicy: row.subset.value }) }],
    };
    expect(effectivePolicy(rule('a', spec), row.port?.Port ?? 0, 's')).toEqual(row.expected?.value ?? {});
  });

  interface Alpn {
    readonly tlsMode: 'ISTIO_MUTUAL' | 'SIMPLE' | 'MUTUAL';
    readonly want: Typed<{ readonly filterMetadata: Readonly<Record<string, object>> }> | null;
  }
  it.each(table<Alpn>('networking-tables', 'AddALPNOverrideToMetadata').rows)('alpn_override: $case', ({ tlsMode, want }) => {
    const { resources } = buildOutboundClusters({
      mesh: defaultMeshConfig,
      capabilities: { kind: 'stock' },
      service: service('a'),
      port: http,
      rule: rule('a', { trafficPolicy: { tls: { mode: tlsMode } } }),
      identities: [],
    });
    const istio = resources.map((cluster: Cluster) => cluster.metadata?.filterMetadata['istio']?.['alpn_override']);
    expect(istio).toEqual([(want?.value.filterMetadata['istio'] as { alpn_override?: string } | undefined)?.alpn_override]);
  });

  interface ConfigInfo {
    readonly in: { readonly GroupVersionKind: { readonly Kind: string }; readonly Name: string; readonly Namespace: string };
    readonly want: Typed<{ readonly filterMetadata: { readonly istio: { readonly config: string } } }>;
  }
  it.each(table<ConfigInfo>('networking-tables', 'BuildConfigInfoMetadata').rows)('path of the object: $case', (row) => {
    const { GroupVersionKind, Name, Namespace } = row.in;
    expect(configPath(objectKey(GroupVersionKind.Kind, Namespace, Name))).toBe(row.want.value.filterMetadata.istio.config);
  });
});

function definedFields(message: object | undefined): object {
  return Object.fromEntries(Object.entries(message ?? {}).filter(([, value]) => value !== undefined));
}

describe('endpoints', () => {
  interface Locality {
    readonly locality: Typed<{ readonly region: string; readonly zone: string; readonly subZone?: string }>;
    readonly rule: string;
    readonly match: boolean;
  }
  it.each(table<Locality>('networking-tables', 'LocalityMatch').rows)('locality: $case', (row) => {
    expect(matchesLocality({ subZone: '', ...row.locality.value }, row.rule)).toBe(row.match);
  });
});

describe('routes', () => {
  interface Source {
    readonly args: { readonly match: Typed<HTTPMatchRequest>; readonly proxyNamespace: string };
    readonly want: boolean;
  }
  it.each(table<Source>('networking-tables', 'SourceMatchHTTP').rows)('source: $case', ({ args, want }) => {
    const context = routeContext([], [], { source: { labels: {}, namespace: args.proxyNamespace } });
    expect(concerns(context, args.match.value)).toBe(want);
  });

  interface CatchAll {
    readonly route: Typed<{ readonly match: JsonValue }>;
    readonly want: boolean;
  }
  it.each(table<CatchAll>('networking-tables', 'IsCatchAllRoute').rows)('catch-all: $case', ({ route, want }) => {
    expect(isCatchAll(fromJson(RouteMatchSchema, route.value.match, { registry: registry() }))).toBe(want);
  });

  interface Mirror {
    readonly route: Typed<HttpRouteSpec>;
    readonly want: Typed<JsonValue> | null;
  }
  it.each(table<Mirror>('networking-tables', 'MirrorPercent').rows)('mirror: $case', ({ route, want }) => {
    const mirror = { host: 'b.default.svc.cluster.local' };
    const built = buildAction(routeContext([]), { ...route.value, mirror, route: [{ destination: mirror }] });
    const action = built?.action.case === 'route' ? built.action.value : create(RouteActionSchema);
    expect(
      action.requestMirrorPolicies.map(
        (policy) => policy.runtimeFraction && asJson(RuntimeFractionalPercentSchema, policy.runtimeFraction),
      ),
    ).toEqual(want === null ? [] : [normalized(RuntimeFractionalPercentSchema, want.value)]);
  });

  interface Fault {
    readonly fault: Typed<HTTPFaultInjection>;
    readonly want: Typed<JsonValue>;
  }
  it.each(table<Fault>('networking-tables', 'TranslateFault').rows)('fault: $case', ({ fault, want }) => {
    const built = buildFault(fault.value);
    expect(built && asJson(HTTPFaultSchema, fromBinary(HTTPFaultSchema, built.value))).toEqual(normalized(HTTPFaultSchema, want.value));
  });

  interface Domains {
    readonly service: GoService;
    readonly node: { readonly DNSDomain: string; readonly IPAddresses?: readonly string[] };
    readonly port: number;
    readonly want: readonly string[];
  }
  // Aliases (ExternalName) and addresses by the proxy's cluster and family are decided before a Service gets here.
  const domains = table<Domains>('route-tables', 'GenerateVirtualHostDomains').rows.filter(
    ({ service: { Attributes, ClusterVIPs } }) => Attributes?.Aliases === undefined && ClusterVIPs === undefined,
  );
  it.each(domains)('domains: $case', ({ service: go, node, port: number, want }) => {
    const given = {
      host: go.Hostname ?? '',
      addresses: go.DefaultAddress === undefined ? [] : [go.DefaultAddress],
      resolution: go.Resolution === 'Passthrough' ? ('passthrough' as const) : ('eds' as const),
      registry: go.Attributes?.ServiceRegistry === 'Kubernetes' ? ('Kubernetes' as const) : ('ServiceEntry' as const),
    };
    expect(virtualHostDomains({ service: given, port: number, dnsDomain: node.DNSDomain, withPort: false })).toEqual(want);
  });
});
