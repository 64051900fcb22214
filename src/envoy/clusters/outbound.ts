import { create, type JsonObject, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type Cluster,
  Cluster_DiscoveryType,
  Cluster_DnsLookupFamily,
  Cluster_LbPolicy,
  ClusterSchema,
} from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import type { MeshConfig } from '../../apis/mesh-config.ts';
import type { Problem } from '../../apis/problem.ts';
import type { Capabilities, Endpoint, MeshDestinationRule, Resolution, Service, ServicePort } from '../../mesh/model.ts';
import { clusterName, sniName } from '../../mesh/names.ts';
import { configPath, istioMetadata } from '../config-metadata.ts';
import { adsSource } from '../config-source.ts';
import { durationOf } from '../duration.ts';
import { buildLoadAssignment } from '../endpoints/load-assignment.ts';
import { localityBalancing, type ProxyLocation, weighsLocalities } from '../endpoints/locality-balancing.ts';
import type { Translated } from '../problems.ts';
import { buildCircuitBreakers, buildKeepalive } from './connection-pool.ts';
import { effectivePolicy, type EffectivePolicy } from './effective-policy.ts';
import { buildHttpOptions, upstreamProtocol } from './http-options.ts';
import { buildLoadBalancer } from './load-balancer.ts';
import { buildOutlierDetection } from './outlier-detection.ts';
import { upstreamSecurity } from './upstream-security.ts';

export interface OutboundClusterInput {
  readonly mesh: MeshConfig;
  readonly capabilities: Capabilities;
  readonly service: Service;
  readonly port: ServicePort;
  readonly rule?: MeshDestinationRule;
  /** SPIFFE ids of the workloads behind the service: whom mutual TLS accepts. */
  readonly identities: readonly string[];
  /** Gateways find endpoints by EDS where sidecars pass connections through, and never take the HTTP version of the client. Default `sidecar`. */
  readonly proxyType?: 'sidecar' | 'router';
  /** Addresses that the proxy can reach; decides what DNS is asked for. Default IPv4. */
  readonly ipFamily?: 'ipv4' | 'ipv6' | 'both';
  /** Of services that are found by DNS: their names and static addresses. Read for no others. */
  readonly endpoints?: () => readonly Endpoint[];
  /** Of services that are found by DNS: where it is, for locality load balancing. */
  readonly proxy?: ProxyLocation;
  /** For connections that are passed through: whether everything behind the service has a sidecar. Read for no others. */
  readonly allMeshTls?: () => boolean;
}

/**
 * The clusters of one service port: the default one, then one for each subset of the DestinationRule. A cluster whose TLS cannot be built is left
 * out with a problem: its requests fail instead of leaving unprotected.
 */
export function buildOutboundClusters(input: OutboundClusterInput): Translated<Cluster> {
  const resources: Cluster[] = [];
  const problems: Problem[] = [];
  for (const subset of [undefined, ...(input.rule?.spec.subsets ?? []).map(({ name }) => name)]) {
    const { cluster, problem } = buildCluster(input, subset);
    if (cluster !== undefined) resources.push(cluster);
    if (problem !== undefined) problems.push(problem);
  }
  return { resources, problems };
}

function buildCluster(input: OutboundClusterInput, subset: string | undefined): { cluster?: Cluster; problem?: Problem } {
  const { mesh, service, port, rule } = input;
  const atGateway = input.proxyType === 'router';
  const policy = effectivePolicy(rule, port.number, subset);
  const name = clusterName('outbound', port.number, subset ?? '', service.host);
  const discovery = discoveryOf(service.resolution, policy, atGateway);
  const protocol = upstreamProtocol(port, policy, mesh, atGateway);
  const security = upstreamSecurity({
    mesh,
    service,
    policy,
    identities: input.identities,
    sni: sniName(port.number, subset ?? '', service.host),
    http2: protocol === 'http2',
    passthrough: discovery === 'passthrough',
    secrets: input.capabilities.secrets,
    ...(input.allMeshTls && { allMeshTls: input.allMeshTls }),
  });
  if ('problem' in security) {
    const object = rule?.objects[0];
    // Only a rule asks for TLS that could not be built.
    if (rule === undefined || object === undefined) return {};
    const path = `${policyPath(rule, subset)}.${security.problem.path}`;
    return { problem: { ...security.problem, object, severity: 'error', path } };
  }
  const keepalive = buildKeepalive(mesh, policy.connectionPool);
  const httpOptions = buildHttpOptions({ protocol, policy, ...security.http });
  const cluster = create(ClusterSchema, {
    name,
    // Istio's regular expression for the tag `cluster_name` ends at the semicolon.
    altStatName: `${name};`,
    connectTimeout: durationOf(policy.connectionPool?.tcp?.connectTimeout) ?? durationOf(mesh.connectTimeout),
    circuitBreakers: buildCircuitBreakers(policy),
    commonLbConfig: {
      // Istio sends unhealthy endpoints too: without this Envoy would, in panic, send requests to them.
      healthyPanicThreshold: { value: policy.outlierDetection?.minHealthPercent ?? 0 },
      ...(weighsLocalities(policy, mesh, service) && { localityConfigSpecifier: { case: 'localityWeightedLbConfig', value: {} } }),
    },
    metadata: { filterMetadata: { [istioMetadata]: clusterMetadata(input, policy, subset) } },
    ...security.transport,
    ...(keepalive && { upstreamConnectionOptions: keepalive }),
    ...(httpOptions && { typedExtensionProtocolOptions: httpOptions }),
    ...(policy.outlierDetection && { outlierDetection: buildOutlierDetection(policy.outlierDetection) }),
    ...buildDiscovery(input, discovery, name, policy, subset),
  });
  return isEmptyDns(cluster) ? {} : { cluster };
}

/** Envoy 1.40 crashes on a STRICT_DNS cluster without endpoints, and refuses a LOGICAL_DNS one. Requests get 503 either way. */
function isEmptyDns({ loadAssignment }: Cluster): boolean {
  return loadAssignment?.endpoints.every(({ lbEndpoints }) => lbEndpoints.length === 0) === true;
}

function policyPath(rule: MeshDestinationRule, subset: string | undefined): string {
  const index = (rule.spec.subsets ?? []).findIndex(({ name }) => name === subset);
  return index < 0 ? 'spec.trafficPolicy' : `spec.subsets[${index}].trafficPolicy`;
}

/** A rule can make connections of any service pass through. */
function discoveryOf(resolution: Resolution, policy: EffectivePolicy, atGateway: boolean): Resolution {
  if (policy.loadBalancer?.simple === 'PASSTHROUGH') return 'passthrough';
  return resolution === 'passthrough' && atGateway ? 'eds' : resolution;
}

type Discovery = Extract<MessageInitShape<typeof ClusterSchema>, { $typeName?: never }>;

function buildDiscovery(
  input: OutboundClusterInput,
  discovery: Resolution,
  name: string,
  policy: EffectivePolicy,
  subset: string | undefined,
): Discovery {
  switch (discovery) {
    case 'passthrough':
      return {
        clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST },
        lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
      };
    case 'eds':
      return {
        clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.EDS },
        edsClusterConfig: { serviceName: name, edsConfig: adsSource() },
        ...buildLoadBalancer(policy.loadBalancer),
      };
    case 'dns-strict':
    case 'dns-logical':
      return { ...buildDns(input, discovery, name, policy, subset), ...buildLoadBalancer(policy.loadBalancer) };
  }
}

const lookupFamilies = {
  ipv4: Cluster_DnsLookupFamily.V4_ONLY,
  ipv6: Cluster_DnsLookupFamily.V6_ONLY,
  both: Cluster_DnsLookupFamily.ALL,
} as const;

function buildDns(
  { mesh, service, endpoints, proxy, rule, ipFamily = 'ipv4' }: OutboundClusterInput,
  discovery: 'dns-strict' | 'dns-logical',
  name: string,
  policy: EffectivePolicy,
  subset: string | undefined,
): Discovery {
  const type = discovery === 'dns-strict' ? Cluster_DiscoveryType.STRICT_DNS : Cluster_DiscoveryType.LOGICAL_DNS;
  const balancing = localityBalancing(policy, mesh, service);
  const labels = subset === undefined ? undefined : (rule?.spec.subsets?.find((candidate) => candidate.name === subset)?.labels ?? {});
  const loadAssignment = buildLoadAssignment({
    cluster: name,
    endpoints: endpoints?.() ?? [],
    names: true,
    ...(labels && { subset: labels }),
    ...(balancing && { balancing }),
    ...(proxy && { proxy }),
  });
  return {
    clusterDiscoveryType: { case: 'type', value: type },
    // Envoy refuses a LOGICAL_DNS cluster that has not exactly one endpoint.
    loadAssignment: discovery === 'dns-logical' ? firstEndpoint(loadAssignment) : loadAssignment,
    dnsLookupFamily: lookupFamilies[ipFamily],
    dnsRefreshRate: durationOf(mesh.dnsRefreshRate),
    respectDnsTtl: true,
  };
}

function firstEndpoint(assignment: ReturnType<typeof buildLoadAssignment>): typeof assignment {
  const [locality] = assignment.endpoints;
  if (locality === undefined) return assignment;
  return { ...assignment, endpoints: [{ ...locality, lbEndpoints: locality.lbEndpoints.slice(0, 1) }] };
}

function clusterMetadata({ service, rule }: OutboundClusterInput, policy: EffectivePolicy, subset: string | undefined): JsonObject {
  const object = rule?.objects[0];
  const originates = policy.tls?.mode === 'SIMPLE' || policy.tls?.mode === 'MUTUAL';
  return {
    services: [{ host: service.host, name: service.name, namespace: service.namespace }],
    ...(service.meshExternal && subset === undefined && { external: true }),
    ...(object !== undefined && { config: configPath(object) }),
    ...(subset !== undefined && { subset }),
    ...(object !== undefined && originates && { alpn_override: 'false' }),
  };
}
