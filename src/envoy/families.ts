/** What a proxy with IPv6 addresses has otherwise than one without: where it listens, and what it asks DNS for. */
import { create } from '@bufbuild/protobuf';
import { type Cluster, Cluster_DiscoveryType, Cluster_DnsLookupFamily } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { AdditionalAddressSchema, type Listener } from '#gen/envoy/config/listener/v3/listener_pb.js';
import { inboundPassthroughCluster } from '../mesh/names.ts';
import { buildAddress } from './address.ts';
import { inboundBind } from './clusters/special.ts';

/** Families of the proxy's own addresses, where IPv6 is among them. */
export type Families = 'ipv6' | 'both';

/**
 * A listener of the wildcard address listens on that of IPv6, in its place or besides it: Envoy looks for the listener of a connection by the wildcard
 * of its own family. Undefined for one that stays as it is.
 */
export function listenerFor(families: Families, listener: Listener): Listener | undefined {
  const address = listener.address?.address;
  if (address?.case !== 'socketAddress' || address.value.address !== '0.0.0.0' || address.value.portSpecifier.case !== 'portValue')
    return undefined;
  const everywhere = buildAddress('::', address.value.portSpecifier.value);
  if (families === 'ipv6') return { ...listener, address: everywhere };
  return { ...listener, additionalAddresses: [...listener.additionalAddresses, create(AdditionalAddressSchema, { address: everywhere })] };
}

const lookups = { ipv6: Cluster_DnsLookupFamily.V6_ONLY, both: Cluster_DnsLookupFamily.ALL } as const;

/** Undefined for a cluster that stays as it is. */
export function clusterFor(families: Families, cluster: Cluster): Cluster | undefined {
  if (cluster.name === inboundPassthroughCluster) return { ...cluster, upstreamBindConfig: inboundBind(families) };
  const { clusterDiscoveryType: type } = cluster;
  const byDns =
    type.case === 'type' && (type.value === Cluster_DiscoveryType.STRICT_DNS || type.value === Cluster_DiscoveryType.LOGICAL_DNS);
  return byDns ? { ...cluster, dnsLookupFamily: lookups[families] } : undefined;
}
