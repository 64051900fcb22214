/** The mesh as Istio sees it: plain data without a word of Envoy. Everything is immutable; hosts are fully qualified and lower case. */
import type { ObjectKey } from '../apis/object.ts';
import type { AuthorizationPolicySpec } from '../apis/authorization-policy.ts';
import type { DestinationRuleSpec } from '../apis/destination-rule.ts';
import type { GatewaySpec } from '../apis/gateway.ts';
import type { VirtualServiceSpec } from '../apis/virtual-service.ts';
import type { TrafficDistribution } from './traffic-distribution.ts';

/** Application protocol of a port; `auto` when nothing declares it and it is sniffed. */
export type Protocol = 'http' | 'http2' | 'grpc' | 'grpc-web' | 'https' | 'tls' | 'tcp' | 'mongo' | 'mysql' | 'redis' | 'udp' | 'auto';

export interface ServicePort {
  /** Empty for an unnamed port. */
  readonly name: string;
  readonly number: number;
  readonly protocol: Protocol;
  /** Number, or name of a workload's port; absent: `number`. */
  readonly targetPort?: number | string;
}

/**
 * How a client finds endpoints: `eds` from the control plane; `dns` from DNS with all addresses (`strict`) or one at a time (`logical`);
 * `passthrough` to the original destination.
 */
export type Resolution = 'eds' | 'dns-strict' | 'dns-logical' | 'passthrough';

export interface Service {
  /** `namespace/host`: two namespaces may declare one host. */
  readonly key: string;
  /** FQDN; may begin with `*.`. */
  readonly host: string;
  readonly namespace: string;
  /** Name of the object that declares it; for a Kubernetes Service also the first label of `host`. */
  readonly name: string;
  readonly registry: 'Kubernetes' | 'ServiceEntry';
  readonly ports: readonly ServicePort[];
  /** Virtual addresses (or CIDRs of ServiceEntry); empty: listeners bind to the wildcard address. */
  readonly addresses: readonly string[];
  readonly resolution: Resolution;
  /** MESH_EXTERNAL: no mutual TLS is assumed. */
  readonly meshExternal: boolean;
  readonly headless: boolean;
  /** Endpoints count before they are ready: the Service's `publishNotReadyAddresses`. */
  readonly publishNotReady?: true;
  /** Endpoints near the client come first; absent: all are equal. */
  readonly trafficDistribution?: TrafficDistribution;
  /** Only endpoints of the client's node: `internalTrafficPolicy: Local`. */
  readonly nodeLocal?: true;
  /** `*` or namespaces; defaults and `.` are resolved. */
  readonly exportTo: readonly string[];
  /** Subject alternative names that a ServiceEntry declares. */
  readonly subjectAltNames: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** Endpoints are the workloads that match, in its namespace. */
  readonly selector?: Readonly<Record<string, string>>;
  readonly creationTimestamp?: string;
  /** Id of the remote cluster that declares it; absent: the cluster whose configuration is read. */
  readonly cluster?: string;
  readonly object: ObjectKey;
}

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
}

/** A running thing: a WorkloadEntry or a pod. Replicas share everything but address and name. */
export interface Workload {
  /** Key of its object. */
  readonly object: ObjectKey;
  readonly name: string;
  readonly namespace: string;
  /** IP addresses, or one DNS name. */
  readonly addresses: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** Numbers by the name of a service port, as a WorkloadEntry says them. */
  readonly ports: Readonly<Record<string, number>>;
  /** Numbers by the name of a pod's container port: only a target port that is a name asks for them. */
  readonly containerPorts?: Readonly<Record<string, number>>;
  readonly serviceAccount: string;
  readonly network: string;
  readonly locality: Locality;
  readonly weight: number;
  /** Has a sidecar that accepts mutual TLS (label security.istio.io/tlsMode=istio). */
  readonly meshTls: boolean;
  readonly healthy: boolean;
  /** Name of the node that a pod runs on. */
  readonly node?: string;
  /** Id of the remote cluster that it runs in; absent: the cluster whose configuration is read. */
  readonly cluster?: string;
}

/** One address and port behind a service port. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
  readonly servicePort: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly locality: Locality;
  readonly network: string;
  readonly weight: number;
  /** SPIFFE id of the workload; empty when unknown. */
  readonly identity: string;
  /** `istio`: speak mutual TLS to it. Already false where a PeerAuthentication disables it. */
  readonly tlsMode: 'istio' | 'disabled';
  readonly health: 'healthy' | 'unhealthy' | 'draining';
  readonly namespace: string;
  readonly workloadName: string;
  /** Of the same pod, of the other family: a client of both tries them in turn. */
  readonly otherAddress?: string;
  /** Of a pod that has a name of its own under its headless Service. */
  readonly hostname?: string;
  /** Name of the node that it runs on. */
  readonly node?: string;
  /** Id of the cluster that it is in. */
  readonly cluster: string;
  readonly object: ObjectKey;
}

export type MtlsMode = 'STRICT' | 'PERMISSIVE' | 'DISABLE';

/** A DestinationRule with its host resolved; several for one host in one namespace are merged, the oldest first. */
export interface MeshDestinationRule {
  readonly host: string;
  readonly namespace: string;
  readonly exportTo: readonly string[];
  readonly spec: DestinationRuleSpec;
  /** The objects that it was merged from; the first names the policy. */
  readonly objects: readonly ObjectKey[];
}

export type HttpRouteSpec = NonNullable<VirtualServiceSpec['http']>[number];

/** A VirtualService whose host, destination and gateway names are resolved: FQDNs; gateways `mesh` or `namespace/name`. */
export interface MeshVirtualService {
  readonly object: ObjectKey;
  readonly name: string;
  readonly namespace: string;
  readonly hosts: readonly string[];
  readonly gateways: readonly string[];
  readonly exportTo: readonly string[];
  readonly http: readonly HttpRouteSpec[];
  readonly creationTimestamp?: string;
}

export interface MeshGateway {
  readonly object: ObjectKey;
  /** `namespace/name`. */
  readonly key: string;
  readonly name: string;
  readonly namespace: string;
  readonly spec: GatewaySpec;
}

export interface MeshAuthorizationPolicy {
  readonly object: ObjectKey;
  readonly name: string;
  readonly namespace: string;
  readonly spec: AuthorizationPolicySpec;
  /** Annotation `istio.io/dry-run: "true"`: evaluated and counted, not enforced. */
  readonly dryRun?: boolean;
  /** Paths of fields that are not translated yet; not empty: the listener is held back. */
  readonly untranslated: readonly string[];
  /** See ConfigObject. */
  readonly undecidedTag?: string;
}

/** What the proxy can do, read from its node. A filter that it lacks is never sent. */
export interface Capabilities {
  /** `stock`: Envoy without Istio's filters. `istio`: Istio's proxy. */
  readonly kind: 'stock' | 'istio';
  /** Its own certificate and the roots come from the agent beside it, which keeps the key to itself. Absent: over ADS. */
  readonly secrets?: 'agent';
}

export type InterceptionMode = 'REDIRECT' | 'TPROXY' | 'NONE';

/** A connected proxy as the mesh knows it, after its claim was checked. */
export interface Proxy {
  readonly type: 'sidecar' | 'router';
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  readonly serviceAccount: string;
  readonly addresses: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly locality: Locality;
  readonly network: string;
  /** Networks whose endpoints it asks for, beside those of none; absent: all. */
  readonly networkView?: readonly string[];
  /** Name of the node that it runs on. */
  readonly node?: string;
  /** Id of the remote cluster that it runs in; absent: the cluster whose configuration is read. */
  readonly cluster?: string;
  readonly interceptionMode: InterceptionMode;
  readonly capabilities: Capabilities;
  /** It can ask for virtual hosts and clusters on demand: it has the filter, and the stream is a delta one. */
  readonly onDemand: boolean;
  /** Its agent answers DNS by the name table: metadata DNS_CAPTURE, or ENABLE_DNS_SERVER of a gateway. */
  readonly nameTable: boolean;
  /** Port of the HTTP proxy listener, from metadata HTTP_PROXY_PORT or the mesh. */
  readonly httpProxyPort?: number;
}

export const noLocality: Locality = { region: '', zone: '', subZone: '' };

/** Protocols whose requests Envoy can route. */
export function isHttp(protocol: Protocol): boolean {
  return protocol === 'http' || protocol === 'http2' || protocol === 'grpc' || protocol === 'grpc-web';
}

/** Protocols that are TLS of the application itself, routed by SNI. */
export function isTls(protocol: Protocol): boolean {
  return protocol === 'https' || protocol === 'tls';
}
