import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type Cluster, Cluster_DiscoveryType, Cluster_LbPolicy, ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { type BindConfig, BindConfigSchema } from '#gen/envoy/config/core/v3/address_pb.js';
import type { MeshConfig } from '../../apis/mesh-config.ts';
import { blackHoleCluster, inboundPassthroughCluster, passthroughCluster } from '../../mesh/names.ts';
import { durationOf } from '../duration.ts';
import { buildCircuitBreakers } from './connection-pool.ts';
import { passthroughHttpOptions } from './http-options.ts';

/** Sends to where the connection was headed: traffic to hosts that the mesh does not know, under ALLOW_ANY. */
export function buildPassthroughCluster(mesh: MeshConfig): Cluster {
  return create(ClusterSchema, originalDestination(mesh, passthroughCluster));
}

/** Has no endpoints: whatever is sent here is refused. */
export function buildBlackHoleCluster(mesh: MeshConfig): Cluster {
  return create(ClusterSchema, {
    name: blackHoleCluster,
    altStatName: `${blackHoleCluster};`,
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
    connectTimeout: durationOf(mesh.connectTimeout),
    lbPolicy: Cluster_LbPolicy.ROUND_ROBIN,
  });
}

/** Source addresses by which the interception rules tell connections of the proxy to its own workload, so that they do not loop. */
const inboundBindIpv4 = '127.0.0.6';
const inboundBindIpv6 = '::6';

/** To the workload's own ports that no Service names. */
export function buildInboundPassthroughCluster(mesh: MeshConfig, family: 'ipv4' | 'ipv6' | 'both' = 'ipv4'): Cluster {
  return create(ClusterSchema, { ...originalDestination(mesh, inboundPassthroughCluster), upstreamBindConfig: inboundBind(family) });
}

/** From this source address, by the families of the proxy's own, the interception rules let it reach its own workload. */
export function inboundBind(family: 'ipv4' | 'ipv6' | 'both'): BindConfig {
  const source = (address: string) => ({ address, portSpecifier: { case: 'portValue' as const, value: 0 } });
  return create(BindConfigSchema, {
    sourceAddress: source(family === 'ipv6' ? inboundBindIpv6 : inboundBindIpv4),
    extraSourceAddresses: family === 'both' ? [{ address: source(inboundBindIpv6) }] : [],
  });
}

function originalDestination(mesh: MeshConfig, name: string): Extract<MessageInitShape<typeof ClusterSchema>, { $typeName?: never }> {
  return {
    name,
    altStatName: `${name};`,
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST },
    connectTimeout: durationOf(mesh.connectTimeout),
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    circuitBreakers: buildCircuitBreakers({}),
    typedExtensionProtocolOptions: passthroughHttpOptions(),
  };
}
