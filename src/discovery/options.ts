import type { LogLevels } from '../admin/log.ts';

/** An address to listen on. */
export interface ListenAddress {
  readonly address: string;
  /** 0: any free port. */
  readonly port: number;
}

/** What the daemon is told at start, resolved: nothing below reads flags or the environment. */
export interface DiscoveryOptions {
  /** Folder of manifests, watched. */
  readonly configDir: string;
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
  readonly logLevels: LogLevels;
  /** Life of workload certificates. */
  readonly certificateTtlMs: number;
  readonly version: string;
}
