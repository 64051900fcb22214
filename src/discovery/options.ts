import type { LogLevels } from '../admin/log.ts';

/** An address to listen on. */
export interface ListenAddress {
  readonly address: string;
  /** 0: any free port. */
  readonly port: number;
}

/** A folder of manifests, watched; or an API server, by a kubeconfig, or that of the cluster in whose pod this runs. */
export type ConfigPlace =
  | { readonly type: 'folder'; readonly dir: string }
  | { readonly type: 'kubernetes'; readonly kubeconfig: string }
  | { readonly type: 'in-cluster'; readonly host: string; readonly port: string };

/** Which replica of which control plane this is. */
export interface Instance {
  /** Where the control plane lives: ConfigMap `istio`, the CA's Secrets, its Leases. */
  readonly namespace: string;
  /** `default`, or that of one of several control planes side by side. */
  readonly revision: string;
  /** Ours alone among the replicas: the pod's name. */
  readonly replica: string;
  /** The pod that this runs in, where it is known. */
  readonly pod?: { readonly name: string; readonly uid: string };
  /** Where the other replicas reach this one, where it is known: the pod's address. */
  readonly address?: string;
  /** Of the cluster whose API server is read. */
  readonly clusterId: string;
}

/** Which streams a replica takes and how long it keeps them. */
export interface StreamPolicy {
  /** At once. */
  readonly maxStreams: number;
  readonly maxNewPerSecond: number;
  /** A stream that is this old is ended, so that proxies spread anew. Infinity: none is. */
  readonly maxAgeMs: number;
  /** A replica that is stopped ends its streams over so long. */
  readonly drainMs: number;
  /** Of the process, against which new streams are refused before it is reached; absent: only the heap has a limit. */
  readonly memoryLimitBytes?: number;
}

/** A serving certificate in files that others renew. */
export interface ServingFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** When the root of the mesh is replaced, and how slowly. */
export interface RotationPolicy {
  /** How long is waited for what cannot be seen; absent: 2 minutes in a cluster, 1 on a folder. */
  readonly patienceMs?: number;
  /** A self-signed root is replaced when this part of its life is left. */
  readonly renewalFraction: number;
}

/** What the daemon is told at start, resolved: nothing below reads flags or the environment. */
export interface DiscoveryOptions {
  /** Where objects come from. */
  readonly config: ConfigPlace;
  readonly instance: Instance;
  /** Folder of the root certificate and the token key, made on first use. */
  readonly stateDir: string;
  /** A MeshConfig file instead of ConfigMap `istio` in namespace `istio-system`. */
  readonly meshConfigFile?: string;
  /** Plaintext xDS: proves no identity and carries no private key. */
  readonly grpc: ListenAddress;
  /** xDS, secrets and certificates over TLS. */
  readonly secureGrpc: ListenAddress;
  /** Metrics, version and the debug API. */
  readonly monitoring: ListenAddress;
  /** Readiness. */
  readonly http: ListenAddress;
  readonly streams: StreamPolicy;
  /** Conditions and Events are written to the cluster. */
  readonly writeStatus: boolean;
  /** How long a start waits for remote clusters. */
  readonly remoteClusterTimeoutMs: number;
  readonly logLevels: LogLevels;
  /** Life of workload certificates. */
  readonly certificateTtlMs: number;
  readonly rotation: RotationPolicy;
  /** Shown on the TLS port in place of a certificate of our own. */
  readonly servingFiles?: ServingFiles;
  readonly version: string;
}
