import { create } from '@bufbuild/protobuf';
import { HealthStatus } from '#gen/envoy/config/core/v3/health_check_pb.js';
import { LbEndpointSchema, type LbEndpoint } from '#gen/envoy/config/endpoint/v3/endpoint_components_pb.js';
import { type ClusterLoadAssignment, ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.js';
import type { Labels } from '../../lib/labels.ts';
import type { Endpoint } from '../../mesh/model.ts';
import { buildAddress, isReachable } from '../address.ts';
import { istioMetadata, peerMetadata } from '../config-metadata.ts';
import { distributeWeights } from './distribute.ts';
import { failoverPriorities } from './failover.ts';
import { bySlot, groupByLocality, type LocalityGroup } from './group.ts';
import { isInSubset } from './labels.ts';
import type { LocalityBalancing, ProxyLocation } from './locality-balancing.ts';
import { ofBothFamilies, reachableEndpoints, type Reach } from './reach.ts';

export interface LoadAssignmentInput {
  readonly cluster: string;
  readonly endpoints: readonly Endpoint[];
  /** Labels of the subset; absent: all endpoints. */
  readonly subset?: Labels;
  /** From `localityBalancing`; absent: every locality by its weight, whoever asks. */
  readonly balancing?: LocalityBalancing;
  /** Who asks; needed where `balancing` is there. */
  readonly proxy?: ProxyLocation;
  /** From where they are reached; absent: directly. */
  readonly reach?: Reach;
  /** DNS names are allowed. Default: left out, because over EDS Envoy refuses the whole message for one of them. */
  readonly names?: boolean;
}

/**
 * The endpoints of a cluster by locality, in an order that depends on nothing but the endpoints themselves. Unhealthy ones are sent with their
 * health, so that Envoy knows them and does not panic; draining ones are left out, as in Istio.
 */
export function buildLoadAssignment(input: LoadAssignmentInput): ClusterLoadAssignment {
  const { subset, balancing, proxy } = input;
  const chosen = input.endpoints.filter(
    (endpoint) => endpoint.health !== 'draining' && (subset === undefined || isInSubset(endpoint, subset)),
  );
  const reached = input.reach === undefined ? ofBothFamilies(chosen) : reachableEndpoints(chosen, input.reach);
  let groups = groupByLocality(reached.filter(({ address }) => (input.names === true ? address !== '' : isReachable(address))));
  if (balancing !== undefined && proxy !== undefined) {
    groups =
      balancing.kind === 'distribute'
        ? distributeWeights(groups, proxy.locality, balancing.distribute)
        : failoverPriorities(groups, proxy, balancing);
  }
  return create(ClusterLoadAssignmentSchema, {
    clusterName: input.cluster,
    endpoints: groups.map((group) => ({
      locality: { region: group.locality.region, zone: group.locality.zone, subZone: group.locality.subZone },
      loadBalancingWeight: group.weight,
      priority: group.priority,
      lbEndpoints: [...group.endpoints].sort(bySlot).map(buildEndpoint),
    })),
  });
}

export type { LocalityGroup };

const healthStatus = { healthy: HealthStatus.HEALTHY, unhealthy: HealthStatus.UNHEALTHY, draining: HealthStatus.DRAINING } as const;

/**
 * Metadata `envoy.transport_socket_match` picks the TLS of the cluster; `istio.workload` is what Istio's proxies read of who answered, and the metrics
 * of stock Envoy, which cannot take that text apart, read `mizzen`.
 */
function buildEndpoint(endpoint: Endpoint): LbEndpoint {
  return create(LbEndpointSchema, {
    hostIdentifier: {
      case: 'endpoint',
      value: {
        address: buildAddress(endpoint.address, endpoint.port),
        ...(endpoint.otherAddress !== undefined && {
          additionalAddresses: [{ address: buildAddress(endpoint.otherAddress, endpoint.port) }],
        }),
      },
    },
    healthStatus: healthStatus[endpoint.health],
    loadBalancingWeight: endpoint.weight,
    metadata: {
      filterMetadata: {
        ...(endpoint.tlsMode === 'istio' && { 'envoy.transport_socket_match': { tlsMode: 'istio' } }),
        // Behind the gateway of a network it may be any.
        ...(endpoint.namespace !== '' && {
          [istioMetadata]: { workload: workloadText(endpoint) },
          [peerMetadata]: peerFacts(endpoint),
        }),
      },
    },
  });
}

/** `name;namespace;canonical name;canonical revision;cluster`; the revision `latest` is left out, as in Istio. */
function workloadText(endpoint: Endpoint): string {
  const { name, namespace, service, revision } = peerFacts(endpoint);
  return [name, namespace, service, revision === 'latest' ? '' : revision, endpoint.cluster].join(';');
}

function peerFacts({ workloadName: name, namespace, labels }: Endpoint) {
  const service = labels['service.istio.io/canonical-name'] ?? labels['app.kubernetes.io/name'] ?? labels['app'] ?? name;
  const revision = labels['service.istio.io/canonical-revision'] ?? labels['app.kubernetes.io/version'] ?? labels['version'] ?? 'latest';
  return { name, namespace, service, revision };
}
