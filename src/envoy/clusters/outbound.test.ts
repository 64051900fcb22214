import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { type Cluster, Cluster_DiscoveryType, Cluster_LbPolicy } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import type { TransportSocket } from '#gen/envoy/config/core/v3/base_pb.js';
import { UpstreamTlsContextSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { HttpProtocolOptionsSchema } from '#gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import type { DestinationRuleSpec } from '../../apis/destination-rule.ts';
import { defaultMeshConfig } from '../../apis/mesh-config.ts';
import type { ClientTLSSettings } from '../../apis/traffic-policy.ts';
import type { Protocol } from '../../mesh/model.ts';
import { endpoint, http, rule, service } from '../testing/model.ts';
import { buildOutboundClusters, type OutboundClusterInput } from './outbound.ts';
import { buildBlackHoleCluster, buildInboundPassthroughCluster, buildPassthroughCluster } from './special.ts';

const identity = 'spiffe://cluster.local/ns/default/sa/reviews';
const name = 'outbound|9080||reviews.default.svc.cluster.local';

function translated(over: Partial<OutboundClusterInput> = {}) {
  return buildOutboundClusters({
    mesh: defaultMeshConfig,
    capabilities: { kind: 'stock' },
    service: service('reviews'),
    port: http,
    identities: [identity],
    ...over,
  });
}

function clusters(spec: Omit<DestinationRuleSpec, 'host'>, over: Partial<OutboundClusterInput> = {}): readonly Cluster[] {
  return translated({ rule: rule('reviews', spec), ...over }).resources;
}

function only(over: Partial<OutboundClusterInput> = {}): Cluster {
  const [cluster] = translated(over).resources;
  if (cluster === undefined) throw new Error('no cluster');
  return cluster;
}

/** SNI, ALPN and whom it accepts. */
function tls(socket: TransportSocket | undefined) {
  if (socket?.configType.case !== 'typedConfig' || !socket.name.endsWith('.tls')) return undefined;
  const { sni, commonTlsContext: common } = fromBinary(UpstreamTlsContextSchema, socket.configType.value.value);
  const validation = common?.validationContextType;
  const context =
    validation?.case === 'combinedValidationContext'
      ? validation.value.defaultValidationContext
      : validation?.case === 'validationContext'
        ? validation.value
        : undefined;
  return {
    sni,
    alpn: common?.alpnProtocols.join(','),
    sans: context?.matchTypedSubjectAltNames.map(({ matcher }) => matcher?.matchPattern.value),
    ca: context?.trustedCa?.specifier.value,
  };
}

function httpOptions(cluster: Cluster | undefined) {
  const [packed] = Object.values(cluster?.typedExtensionProtocolOptions ?? {});
  return packed && fromBinary(HttpProtocolOptionsSchema, packed.value);
}

describe('a service without a rule', () => {
  it("has one EDS cluster over ADS that waits for its endpoints, with Istio's defaults", () => {
    expect(only()).toMatchObject({
      name,
      altStatName: `${name};`,
      clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.EDS },
      edsClusterConfig: {
        serviceName: name,
        edsConfig: { configSourceSpecifier: { case: 'ads' }, initialFetchTimeout: { seconds: 0n } },
      },
      connectTimeout: { seconds: 10n },
      lbPolicy: Cluster_LbPolicy.LEAST_REQUEST,
      commonLbConfig: { healthyPanicThreshold: { value: 0 } },
      circuitBreakers: { thresholds: [{ maxConnections: 4294967295, maxRetries: 4294967295, trackRemaining: true }] },
      metadata: {
        filterMetadata: {
          istio: { services: [{ host: 'reviews.default.svc.cluster.local', name: 'reviews', namespace: 'default' }] },
        },
      },
    });
    expect(httpOptions(only())).toBeUndefined();
  });

  it('speaks mutual TLS to endpoints that have a sidecar', () => {
    const [mutual, plain] = only().transportSocketMatches;
    expect([mutual?.name, mutual?.match, plain?.name, plain?.match]).toEqual([
      'tlsMode-istio',
      { tlsMode: 'istio' },
      'tlsMode-disabled',
      {},
    ]);
    expect(tls(mutual?.transportSocket)).toEqual({
      sni: 'outbound_.9080_._.reviews.default.svc.cluster.local',
      alpn: 'istio',
      sans: [identity],
      ca: undefined,
    });
  });

  it('speaks plaintext outside of the mesh, and where the mesh has it off', () => {
    const off = only({ mesh: { ...defaultMeshConfig, enableAutoMtls: false } });
    const outside = only({ service: service('reviews', { meshExternal: true }) });
    expect([off, outside].map(({ transportSocket, transportSocketMatches }) => [transportSocket, transportSocketMatches])).toEqual([
      [undefined, []],
      [undefined, []],
    ]);
    expect(outside.metadata?.filterMetadata['istio']).toMatchObject({ external: true });
  });

  it.each<[Protocol, string | undefined]>([
    ['http', undefined],
    ['tcp', undefined],
    ['http2', 'explicitHttpConfig'],
    ['grpc', 'explicitHttpConfig'],
    ['auto', 'useDownstreamProtocolConfig'],
  ])('speaks the HTTP of protocol %s: %s', (protocol, expected) => {
    expect(httpOptions(only({ port: { ...http, protocol } }))?.upstreamProtocolOptions.case).toBe(expected);
  });

  it('does not take the version of the client at a gateway', () => {
    expect(httpOptions(only({ port: { ...http, protocol: 'auto' }, proxyType: 'router' }))).toBeUndefined();
  });

  it('offers h2 where it speaks it', () => {
    expect(tls(only({ port: { ...http, protocol: 'grpc' } }).transportSocketMatches[0]?.transportSocket)?.alpn).toBe('istio,h2');
  });
});

describe('discovery', () => {
  it('by DNS has its endpoints inside; LOGICAL_DNS has one', () => {
    const endpoints = () => [endpoint('b.example'), endpoint('a.example')];
    const found = (resolution: 'dns-strict' | 'dns-logical') => {
      const cluster = only({ service: service('reviews', { resolution }), endpoints });
      return [cluster.clusterDiscoveryType.value, cluster.loadAssignment?.endpoints.flatMap(({ lbEndpoints }) => lbEndpoints).length];
    };
    expect(found('dns-strict')).toEqual([Cluster_DiscoveryType.STRICT_DNS, 2]);
    expect(found('dns-logical')).toEqual([Cluster_DiscoveryType.LOGICAL_DNS, 1]);
  });

  it.each(['dns-strict', 'dns-logical'] as const)(
    'by %s without endpoints, as of a subset that matches none, has no cluster',
    (resolution) => {
      const { resources } = translated({
        service: service('reviews', { resolution }),
        rule: rule('reviews', { subsets: [{ name: 'v2', labels: { version: 'v2' } }] }),
        endpoints: () => [endpoint('a.example', { labels: { version: 'v1' } })],
      });
      expect(resources.map((cluster) => cluster.name)).toEqual([name]);
      expect(translated({ service: service('reviews', { resolution }), endpoints: () => [] }).resources).toEqual([]);
    },
  );

  it('passes connections through, but by EDS at a gateway; with mutual TLS if all endpoints have sidecars', () => {
    const headless = service('reviews', { resolution: 'passthrough' });
    const passed = only({ service: headless });
    expect([passed.clusterDiscoveryType.value, passed.lbPolicy]).toEqual([
      Cluster_DiscoveryType.ORIGINAL_DST,
      Cluster_LbPolicy.CLUSTER_PROVIDED,
    ]);
    expect([passed.transportSocket, passed.transportSocketMatches]).toEqual([undefined, []]);
    expect(tls(only({ service: headless, allMeshTls: () => true }).transportSocket)?.sans).toEqual([identity]);
    expect(only({ service: headless, proxyType: 'router' }).clusterDiscoveryType.value).toBe(Cluster_DiscoveryType.EDS);
  });
});

describe('a rule', () => {
  it('gives a cluster for each subset, whose policy replaces its own section by section', () => {
    const [all, v1] = clusters({
      trafficPolicy: { loadBalancer: { simple: 'RANDOM' }, connectionPool: { tcp: { maxConnections: 5 } } },
      subsets: [{ name: 'v1', trafficPolicy: { loadBalancer: { simple: 'ROUND_ROBIN' } } }],
    });
    expect([all?.name, v1?.name]).toEqual([name, 'outbound|9080|v1|reviews.default.svc.cluster.local']);
    expect([all?.lbPolicy, v1?.lbPolicy]).toEqual([Cluster_LbPolicy.RANDOM, Cluster_LbPolicy.ROUND_ROBIN]);
    expect(v1?.circuitBreakers?.thresholds[0]?.maxConnections).toBe(5);
    expect(v1?.metadata?.filterMetadata['istio']).toMatchObject({
      config: '/apis/networking.istio.io/v1/namespaces/default/destination-rule/reviews',
      subset: 'v1',
    });
    expect(tls(v1?.transportSocketMatches[0]?.transportSocket)?.sni).toBe('outbound_.9080_.v1_.reviews.default.svc.cluster.local');
  });

  it('is replaced as a whole by the settings of a port', () => {
    const portLevelSettings = [{ port: { number: 9080 }, connectionPool: { tcp: { connectTimeout: '1s' } } }];
    const [cluster] = clusters({ trafficPolicy: { loadBalancer: { simple: 'RANDOM' }, portLevelSettings } });
    expect([cluster?.lbPolicy, cluster?.connectTimeout?.seconds]).toEqual([Cluster_LbPolicy.LEAST_REQUEST, 1n]);
  });

  it('hashes with a ring of 1024, of the given size, or by Maglev', () => {
    const lb = (consistentHash: object) => {
      const [cluster] = clusters({ trafficPolicy: { loadBalancer: { consistentHash } } });
      return [cluster?.lbPolicy, cluster?.lbConfig.value];
    };
    expect(lb({ useSourceIp: true })).toMatchObject([Cluster_LbPolicy.RING_HASH, { minimumRingSize: 1024n }]);
    expect(lb({ useSourceIp: true, ringHash: { minimumRingSize: 7 } })).toMatchObject([
      Cluster_LbPolicy.RING_HASH,
      { minimumRingSize: 7n },
    ]);
    expect(lb({ useSourceIp: true, maglev: {} })).toEqual([Cluster_LbPolicy.MAGLEV, undefined]);
  });

  it('weighs localities only where it splits them, or fails over to one of its own choice', () => {
    const weighs = (spec: NonNullable<DestinationRuleSpec['trafficPolicy']>) =>
      clusters({ trafficPolicy: spec })[0]?.commonLbConfig?.localityConfigSpecifier.case;
    const failover = { loadBalancer: { localityLbSetting: { failover: [{ from: 'a', to: 'b' }] } } };
    expect(weighs({ outlierDetection: {} })).toBeUndefined();
    expect(weighs(failover)).toBeUndefined();
    expect(weighs({ ...failover, outlierDetection: {} })).toBe('localityWeightedLbConfig');
    expect(weighs({ loadBalancer: { localityLbSetting: { distribute: [{ from: '*', to: { '*': 100 } }] } } })).toBe(
      'localityWeightedLbConfig',
    );
  });
});

describe('TLS of a rule', () => {
  const withTls = (settings: ClientTLSSettings, over: Partial<OutboundClusterInput> = {}) => {
    const [cluster] = clusters({ trafficPolicy: { tls: settings } }, over);
    return { tls: tls(cluster?.transportSocket), matches: cluster?.transportSocketMatches.length, http: httpOptions(cluster) };
  };

  it('DISABLE and ISTIO_MUTUAL hold for all endpoints alike', () => {
    expect(withTls({ mode: 'DISABLE' })).toEqual({ tls: undefined, matches: 0, http: undefined });
    expect(withTls({ mode: 'ISTIO_MUTUAL', sni: 'x', subjectAltNames: ['spiffe://b', 'spiffe://a'] })).toMatchObject({
      tls: { sni: 'x', alpn: 'istio', sans: ['spiffe://a', 'spiffe://b'] },
      matches: 0,
    });
  });

  it('SIMPLE verifies by the roots of the system and the name of the request, unless told otherwise', () => {
    const simple = withTls({ mode: 'SIMPLE' });
    expect(simple.tls).toEqual({ sni: '', alpn: '', sans: [], ca: '/etc/ssl/certs/ca-certificates.crt' });
    expect(simple.http?.upstreamHttpProtocolOptions).toMatchObject({ autoSni: true, autoSanValidation: true });
    const named = withTls({ mode: 'SIMPLE', sni: 'a.example', subjectAltNames: ['a.example'], caCertificates: '/ca.pem' });
    expect(named).toMatchObject({ tls: { sni: 'a.example', sans: ['a.example'], ca: '/ca.pem' }, http: undefined });
    const careless = withTls({ mode: 'SIMPLE', insecureSkipVerify: true });
    expect([careless.tls?.ca, careless.http?.upstreamHttpProtocolOptions?.autoSanValidation]).toEqual([undefined, false]);
  });

  it('SIMPLE takes the names that a ServiceEntry declares', () => {
    const entry = service('reviews', { registry: 'ServiceEntry', subjectAltNames: ['svc.example'] });
    const built = withTls({ mode: 'SIMPLE' }, { service: entry });
    expect([built.tls?.sans, built.http?.upstreamHttpProtocolOptions?.autoSanValidation]).toEqual([['svc.example'], false]);
  });

  it('that cannot be built leaves the cluster out, with a problem', () => {
    const subsets = [{ name: 'v1', trafficPolicy: { tls: { mode: 'MUTUAL' as const } } }];
    const { resources, problems } = translated({
      rule: rule('reviews', { trafficPolicy: { tls: { mode: 'SIMPLE', credentialName: 'c' } }, subsets }),
    });
    expect(resources).toEqual([]);
    expect(problems.map(({ path, reason, object }) => [object, path, reason])).toEqual([
      ['DestinationRule/default/reviews', 'spec.trafficPolicy.tls.credentialName', 'NotTranslated'],
      ['DestinationRule/default/reviews', 'spec.subsets[0].trafficPolicy.tls', 'Invalid'],
    ]);
  });
});

describe('clusters that every proxy has', () => {
  it('pass through, refuse, or reach the workload from an address that is not redirected', () => {
    const [passthrough, blackHole, inbound] = [buildPassthroughCluster, buildBlackHoleCluster, buildInboundPassthroughCluster].map(
      (build) => build(defaultMeshConfig),
    );
    expect([passthrough?.name, passthrough?.clusterDiscoveryType.value]).toEqual([
      'PassthroughCluster',
      Cluster_DiscoveryType.ORIGINAL_DST,
    ]);
    expect([blackHole?.name, blackHole?.clusterDiscoveryType.value, blackHole?.loadAssignment]).toEqual([
      'BlackHoleCluster',
      Cluster_DiscoveryType.STATIC,
      undefined,
    ]);
    expect([inbound?.name, inbound?.upstreamBindConfig?.sourceAddress?.address]).toEqual(['InboundPassthroughCluster', '127.0.0.6']);
    expect(buildInboundPassthroughCluster(defaultMeshConfig, 'ipv6').upstreamBindConfig?.sourceAddress?.address).toBe('::6');
  });
});
