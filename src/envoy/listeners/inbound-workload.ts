import type { MeshConfig } from '../../apis/mesh-config.ts';
import type { ObjectKey } from '../../apis/object.ts';
import type { MeshSecrets } from '../config-source.ts';
import type { InterceptionMode, MeshAuthorizationPolicy, MtlsMode, Protocol } from '../../mesh/model.ts';

/** Where requests to a port end. */
export type InboundEndpoint =
  /** Where the connection was headed: the workload's own address, which is different for each replica and so is nowhere in here. */
  | { readonly kind: 'original-destination' }
  /** `127.0.0.1`, or the workload's address where `defaultEndpoint` is `0.0.0.0:<port>`. */
  | { readonly kind: 'address'; readonly address: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** A port that a Service or a Sidecar's ingress listener names, by the number at which the workload is reached. */
export interface InboundPort {
  /** Target port of the Service with named ports resolved, or port of the ingress listener. */
  readonly number: number;
  readonly protocol: Protocol;
  readonly mtls: MtlsMode;
  /** Hosts of the Services that have this port, the oldest first: its protocol counted. For a Sidecar's port `<sidecar>.<namespace>`. */
  readonly hosts: readonly string[];
  /** Name and port of the first Service, for telemetry. */
  readonly service?: { readonly name: string; readonly namespace: string; readonly port: number };
  readonly endpoint: InboundEndpoint;
  /** A listener of its own at this address, for want of interception. Absent: a filter chain of `virtualInbound`. */
  readonly bind?: string;
  /** The Sidecar that names it. */
  readonly object?: ObjectKey;
}

/** All that the inbound side of a workload depends on, shared by its replicas. */
export interface InboundWorkload {
  readonly interceptionMode: InterceptionMode;
  readonly family: 'ipv4' | 'ipv6' | 'both';
  /** At most one of each number. */
  readonly ports: readonly InboundPort[];
  /** Mutual TLS at ports that nothing names: in general, and where a PeerAuthentication names the port. */
  readonly otherPorts: { readonly mtls: MtlsMode; readonly byNumber: Readonly<Record<number, MtlsMode>> };
  /** Those that apply to the workload. */
  readonly policies: readonly MeshAuthorizationPolicy[];
  readonly mesh: MeshConfig;
  readonly secrets?: MeshSecrets;
}

/** Own trust domain first. */
export function trustDomains(mesh: Pick<MeshConfig, 'trustDomain' | 'trustDomainAliases'>): string[] {
  return [...new Set([mesh.trustDomain, ...mesh.trustDomainAliases])];
}
