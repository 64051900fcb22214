import type { ConsistentHash } from '../../apis/traffic-policy.ts';
import type { Destination } from '../../apis/virtual-service.ts';
import type { ServicePort } from '../../mesh/model.ts';
import { clusterName } from '../../mesh/names.ts';
import { effectivePolicy } from '../clusters/effective-policy.ts';
import type { RouteContext } from './context.ts';

/** Where a route sends requests. */
export interface ResolvedDestination {
  readonly cluster: string;
  readonly host: string;
  readonly port: number;
  /** Absent where the mesh does not know the host or port. */
  readonly servicePort?: ServicePort;
  /** How endpoints are chosen by the request. */
  readonly consistentHash?: ConsistentHash;
  /** The DestinationRule has the proxy speak TLS of its own to it. */
  readonly originatesTls: boolean;
}

/** A missing port is that of the listener; for a service that lacks it, its only one. */
export function resolveDestination(context: RouteContext, destination: Destination): ResolvedDestination {
  const { host, subset } = destination;
  const service = context.service(host);
  const has = (number: number) => service?.ports.some((port) => port.number === number) === true;
  const only = service?.ports.length === 1 ? service.ports[0] : undefined;
  const fallback = has(context.listenerPort) || only === undefined ? context.listenerPort : only.number;
  const port = destination.port?.number ?? fallback;
  const servicePort = service?.ports.find((candidate) => candidate.number === port);
  const policy = effectivePolicy(context.rule(host), port, subset);
  const consistentHash = policy.loadBalancer?.consistentHash;
  return {
    cluster: clusterName('outbound', port, subset ?? '', host),
    host,
    port,
    ...(servicePort && { servicePort }),
    ...(consistentHash && { consistentHash }),
    originatesTls: policy.tls?.mode === 'SIMPLE' || policy.tls?.mode === 'MUTUAL',
  };
}
