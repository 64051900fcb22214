/** Endpoints as one proxy reaches them: by the gateways of other networks, and at addresses of its own families. */
import type { Endpoint } from '../../mesh/model.ts';
import { gatewaysFor, type NetworkGateway, type NetworkGateways } from '../../mesh/networks.ts';
import { isIpv6 } from '../address.ts';
import { localityText } from './group.ts';

export type IpFamily = 'ipv4' | 'ipv6';

/** From where a proxy reaches others. */
export interface Vantage {
  /** Empty: unknown. */
  readonly network: string;
  /** Only endpoints on these networks, and those on none; absent: all. */
  readonly view?: readonly string[];
  /** The one family that it has; absent: both, or everything in the mesh is of its family. */
  readonly family?: IpFamily;
}

export interface Reach extends Vantage {
  /** Absent: there are none, so that everything is reached directly. */
  readonly gateways?: NetworkGateways;
  /** False: the client speaks to the cluster by something else than mutual TLS of the mesh, which no gateway can pass on. */
  readonly mutualTls: boolean;
}

const maximumWeight = 4_294_967_295;

/**
 * Endpoints on other networks become the gateways of these, one in each locality, with the weights of those behind it; without a gateway they are reached
 * directly. A gateway finds the way by the server name of mutual TLS: what does not speak it is left out. Source: Istio, pilot/pkg/xds/endpoints/ep_filters.go.
 */
export function reachableEndpoints(endpoints: readonly Endpoint[], reach: Reach): readonly Endpoint[] {
  const { network, view, family, gateways } = reach;
  const visible = endpoints.filter((e) => view === undefined || e.network === '' || view.includes(e.network));
  if (gateways === undefined) return ofBothFamilies(visible.filter((e) => e.address !== '' && hasFamily(e.address, family)));
  const { scale } = gateways;
  const direct: Endpoint[] = [];
  const behind = new Map<string, { readonly gateway: NetworkGateway; readonly like: Endpoint; weight: number }>();
  for (const endpoint of visible) {
    const weight = Math.min(endpoint.weight * scale, maximumWeight);
    const all = gatewaysFor(gateways, endpoint.network, endpoint.cluster);
    const near = endpoint.network === '' || endpoint.network === network || (network === '' && all.length === 0);
    if (near || all.length === 0) {
      if (endpoint.address !== '' && hasFamily(endpoint.address, family)) direct.push(scale === 1 ? endpoint : { ...endpoint, weight });
      continue;
    }
    const usable = all.filter(({ address }) => hasFamily(address, family));
    if (usable.length === 0 || !reach.mutualTls || endpoint.tlsMode !== 'istio' || endpoint.health !== 'healthy') continue;
    for (const gateway of usable) {
      const key = `${localityText(endpoint.locality)}|${gateway.network}|${gateway.cluster}|${gateway.address}|${gateway.port}`;
      const known = behind.get(key);
      const share = Math.floor(weight / usable.length);
      if (known === undefined) behind.set(key, { gateway, like: endpoint, weight: share });
      else known.weight = Math.min(known.weight + share, maximumWeight);
    }
  }
  return [...ofBothFamilies(direct), ...[...behind.values()].map(({ gateway, like, weight }) => gatewayEndpoint(gateway, like, weight))];
}

/** Nothing is known of it but where it is: who answers is one of those behind it. */
function gatewayEndpoint(
  { address, port, network, cluster }: NetworkGateway,
  { servicePort, locality, object }: Endpoint,
  weight: number,
): Endpoint {
  return {
    address,
    port,
    servicePort,
    labels: {},
    locality,
    network,
    weight: Math.max(weight, 1),
    identity: '',
    tlsMode: 'istio',
    health: 'healthy',
    namespace: '',
    workloadName: '',
    cluster,
    object,
  };
}

/** The two addresses of a pod as one endpoint, or it would get twice its share: that of IPv4 first. Source: Istio with ISTIO_DUAL_STACK. */
export function ofBothFamilies(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const ipv6 = new Map<string, Endpoint>();
  for (const endpoint of endpoints) if (isIpv6(endpoint.address) && isPod(endpoint)) ipv6.set(instance(endpoint), endpoint);
  if (ipv6.size === 0) return endpoints;
  const taken = new Set<Endpoint>();
  const joined = endpoints.map((endpoint) => {
    const other = isPod(endpoint) && !isIpv6(endpoint.address) ? ipv6.get(instance(endpoint)) : undefined;
    if (other === undefined || taken.has(other)) return endpoint;
    taken.add(other);
    return { ...endpoint, otherAddress: other.address };
  });
  return joined.filter((endpoint) => !taken.has(endpoint));
}

/** Other objects may have several endpoints that have nothing to do with each other. */
function isPod({ object, namespace }: Endpoint): boolean {
  return namespace !== '' && object.startsWith('Pod/');
}

function instance({ object, port, servicePort }: Endpoint): string {
  return `${object}|${servicePort}|${port}`;
}

/** A name or a socket is of no family. */
function hasFamily(address: string, family: IpFamily | undefined): boolean {
  if (family === undefined || !/^[0-9a-fA-F.:]+$/.test(address)) return true;
  return (family === 'ipv6') === isIpv6(address);
}
