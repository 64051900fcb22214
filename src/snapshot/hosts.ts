/** Clusters and endpoints of one host as one scope sees it. */
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.js';
import type { ObjectKey } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import { effectivePolicy, type EffectivePolicy } from '../envoy/clusters/effective-policy.ts';
import { buildOutboundClusters } from '../envoy/clusters/outbound.ts';
import { buildLoadAssignment } from '../envoy/endpoints/load-assignment.ts';
import { localityBalancing, type ProxyLocation } from '../envoy/endpoints/locality-balancing.ts';
import type { Vantage } from '../envoy/endpoints/reach.ts';
import type { Endpoint, MeshDestinationRule, Service, ServicePort } from '../mesh/model.ts';
import { clusterName } from '../mesh/names.ts';
import type { EncodedResource } from '../wire/resource.ts';
import type { Translation } from './translation.ts';

export type Encoded = EncodedResource | undefined;

export interface HostOptions {
  readonly proxyType?: 'sidecar' | 'router';
  /** Only this port. */
  readonly port?: number;
}

export function hostClusters(
  t: Translation,
  namespace: string | undefined,
  host: string,
  problems: Problem[],
  options: HostOptions = {},
): Encoded[] {
  const service = t.mesh.serviceAt(host, namespace);
  if (service === undefined) return [];
  const rule = t.mesh.ruleAt(service, namespace);
  const identities = t.identities.get(service.key);
  return portsOf(service, options).flatMap((port) => {
    const built = buildOutboundClusters({
      mesh: t.mesh.objects.meshConfig(),
      capabilities: t.capabilities,
      service,
      port,
      ...(rule === undefined ? {} : { rule }),
      identities,
      ...(options.proxyType === undefined ? {} : { proxyType: options.proxyType }),
      endpoints: () => endpointsOf(t, service, port),
      allMeshTls: () => {
        const endpoints = endpointsOf(t, service, port);
        return endpoints.length > 0 && endpoints.every((e) => e.tlsMode === 'istio');
      },
    });
    problems.push(...built.problems);
    return built.resources.map((cluster) => t.encoder.encode(ClusterSchema, cluster.name, cluster, objectsOf(service, rule), problems));
  });
}

/** `proxy` is given where the host's endpoints depend on it. */
export function hostEndpoints(
  t: Translation,
  namespace: string | undefined,
  host: string,
  problems: Problem[],
  options: HostOptions & { readonly proxy?: ProxyLocation; readonly vantage?: Vantage } = {},
): Encoded[] {
  const service = t.mesh.serviceAt(host, namespace);
  if (service === undefined) return [];
  const passthroughAtGateway = service.resolution === 'passthrough' && options.proxyType === 'router';
  if (service.resolution !== 'eds' && !passthroughAtGateway) return [];
  const rule = t.mesh.ruleAt(service, namespace);
  const mesh = t.mesh.objects.meshConfig();
  const gateways = t.mesh.networks.gateways();
  const plain = gateways === undefined && options.vantage === undefined;
  // Asked only where it matters: it is one question more for each host.
  const vantage = (): Vantage => options.vantage ?? { network: t.mesh.homeNetwork() };
  return portsOf(service, options).flatMap((port) => {
    const endpoints = onNode(service, endpointsOf(t, service, port), options.proxy);
    const subsets = [undefined, ...(rule?.spec.subsets ?? [])];
    return subsets.map((subset) => {
      const policy = effectivePolicy(rule, port.number, subset?.name);
      if (policy.loadBalancer?.simple === 'PASSTHROUGH') return undefined;
      const balancing = options.proxy === undefined ? undefined : localityBalancing(policy, mesh, service);
      // Where some are preferred Envoy goes on to others by how many of the first are missing.
      const missing = balancing?.kind === 'failover' ? onNode(service, endpointsOf(t, service, port, 'notReady'), options.proxy) : [];
      const name = clusterName('outbound', port.number, subset?.name ?? '', service.host);
      const assignment = buildLoadAssignment({
        cluster: name,
        endpoints: missing.length === 0 ? endpoints : [...endpoints, ...missing],
        ...(subset === undefined ? {} : { subset: subset.labels ?? {} }),
        ...(plain ? {} : { reach: { ...vantage(), ...(gateways !== undefined && { gateways }), mutualTls: isMutualTls(policy) } }),
        ...(balancing === undefined || options.proxy === undefined
          ? {}
          : { balancing, proxy: { network: vantage().network, ...options.proxy } }),
      });
      return t.encoder.encode(ClusterLoadAssignmentSchema, name, assignment, objectsOf(service, rule), problems);
    });
  });
}

function portsOf(service: Service, options: HostOptions): ServicePort[] {
  return service.ports.filter((port) => port.protocol !== 'udp' && (options.port === undefined || options.port === port.number));
}

function isMutualTls({ tls }: EffectivePolicy): boolean {
  return tls?.mode === undefined || tls.mode === 'ISTIO_MUTUAL';
}

/** Of a service that is local to each node those of the proxy's node; where that is unknown, those of which it is too. */
function onNode(service: Service, endpoints: readonly Endpoint[], proxy: ProxyLocation | undefined): readonly Endpoint[] {
  return service.nodeLocal === true ? endpoints.filter((endpoint) => endpoint.node === proxy?.node) : endpoints;
}

function endpointsOf(
  t: Translation,
  service: Service,
  port: ServicePort,
  which: 'endpoints' | 'notReady' = 'endpoints',
): readonly Endpoint[] {
  const name = port.name === '' ? String(port.number) : port.name;
  return (t.mesh.endpoints.get(service.key)?.[which] ?? []).filter((endpoint) => endpoint.servicePort === name);
}

export function objectsOf(service: Service, rule: MeshDestinationRule | undefined): ObjectKey[] {
  return [service.object, ...(rule?.objects ?? [])];
}
