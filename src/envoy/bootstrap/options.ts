/** What a bootstrap is made from. Each default is decided by the caller (the `bootstrap` command, the demo, a test). */

export interface BootstrapOptions {
  readonly node: NodeOptions;
  readonly controlPlane: ControlPlaneOptions;
  /** Folder that will hold the files of `Bootstrapped.files`; Envoy reads them by this path. */
  readonly directory: string;
  readonly admin: SocketOptions;
  /** Serves `/stats/prometheus`. */
  readonly prometheus: SocketOptions;
  /** Serves `/healthz/ready`. */
  readonly readiness: SocketOptions;
  readonly stats: StatsOptions;
}

export interface SocketOptions {
  readonly address: string;
  readonly port: number;
}

export interface NodeOptions {
  readonly type: 'sidecar' | 'router';
  /** Pod or workload name. */
  readonly name: string;
  readonly namespace: string;
  /** All addresses of the workload, the main one first. */
  readonly ips: readonly [string, ...string[]];
  /** `cluster.local` unless the cluster has another DNS domain. */
  readonly domainSuffix: string;
  readonly serviceAccount: string;
  /** `Node.cluster`; Istio writes `<app or workload>.<namespace>`. */
  readonly serviceCluster: string;
  readonly locality: { readonly region: string; readonly zone: string; readonly subZone: string };
  /** All further keys of the node's metadata, by Istio's names (`LABELS`, `WORKLOAD_NAME`, `CLUSTER_ID`, ...). */
  readonly metadata: Readonly<Record<string, JsonValue>>;
}

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

export interface ControlPlaneOptions {
  /** A DNS name or an IP address. */
  readonly host: string;
  readonly port: number;
  /** How resources travel: `delta` (DELTA_GRPC) or `sotw` (GRPC, whole state). */
  readonly protocol: 'delta' | 'sotw';
  readonly security: { readonly kind: 'plaintext' } | TlsSecurity;
}

export interface TlsSecurity {
  readonly kind: 'tls';
  /** Sent as SNI and compared with the DNS names of the control plane's certificate. */
  readonly serverName: string;
  /** PEM file with the roots. */
  readonly rootFile: string;
  readonly credential: TokenCredential | CertificateCredential;
}

export interface TokenCredential {
  readonly kind: 'token';
  readonly file: string;
}

export interface CertificateCredential {
  readonly kind: 'certificate';
  readonly chainFile: string;
  readonly keyFile: string;
}

/** Names kept beside those that Istio always keeps (annotations `sidecar.istio.io/statsInclusion*`). */
export interface StatsOptions {
  readonly prefixes: readonly string[];
  readonly suffixes: readonly string[];
  readonly regexes: readonly string[];
}
