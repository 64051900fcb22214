import type { SimulatedProxy } from '../workload/mesh.ts';

/** A server that is measured. */
export interface Target {
  readonly name: string;
  /** `host:port` of ADS. */
  readonly address: string;
  readonly pid: number;
  /** URL of its Prometheus metrics, for the delay of its event loop. */
  readonly metrics?: string;
  /** Its address is that of TLS, where proxies show tokens. */
  readonly tls?: boolean;
  /** Roots of the server's certificate, PEM; and their file. */
  readonly ca?: string;
  readonly caFile?: string;
  /** A bearer token for a workload's service account, if the server makes them and not the API server. */
  readonly token?: (proxy: SimulatedProxy) => Promise<string>;
  /** From its start to its readiness; undefined for one that ran before. */
  readonly startMs?: number;
}

/** `NAME=HOST:PORT,PID[,metrics=URL]`. Throws when it is not that. */
export function parseTarget(text: string): Target {
  const [, name, address, pid, metrics] = /^([^=]+)=(.+:\d+),(\d+)(?:,metrics=(https?:\/\/.+))?$/.exec(text) ?? [];
  if (name === undefined || address === undefined || pid === undefined)
    throw new Error(`"${text}" is not NAME=HOST:PORT,PID or NAME=HOST:PORT,PID,metrics=URL`);
  return { name, address, pid: Number(pid), ...(metrics === undefined ? {} : { metrics }) };
}
