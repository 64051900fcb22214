import type { SimulatedProxy } from '../workload/mesh.ts';

/** A process of a control plane. */
export interface Replica {
  /** `host:port` of ADS. */
  readonly address: string;
  readonly pid: number;
  /** URL of its Prometheus metrics, for the delay of its event loop. */
  readonly metrics?: string;
}

/** A control plane that is measured. */
export interface Target {
  readonly name: string;
  /** One or more; the proxies are divided among them in turn. */
  readonly replicas: readonly Replica[];
  /** Its addresses are those of TLS, where proxies show tokens. */
  readonly tls?: boolean;
  /** Roots of the server's certificate, PEM; and their file. */
  readonly ca?: string;
  readonly caFile?: string;
  /** A bearer token for a workload's service account, if the server makes them and not the API server. */
  readonly token?: (proxy: SimulatedProxy) => Promise<string>;
  /** From the start of its last replica to that one's readiness; undefined for one that ran before. */
  readonly startMs?: number;
}

/** `NAME=HOST:PORT,PID[,metrics=URL]`, with `+HOST:PORT,PID[,metrics=URL]` for each further replica. Throws when it is not that. */
export function parseTarget(text: string): Target {
  const [, name, list] = /^([^=,]+)=(.+)$/.exec(text) ?? [];
  const replicas = list?.split('+').map(parseReplica) ?? [];
  if (name === undefined || !isComplete(replicas))
    throw new Error(`"${text}" is not NAME=HOST:PORT,PID or NAME=HOST:PORT,PID,metrics=URL, with +HOST:PORT,PID for each further replica`);
  return { name, replicas };
}

function parseReplica(text: string): Replica | undefined {
  const [, address, pid, metrics] = /^([^,]+:\d+),(\d+)(?:,metrics=(https?:\/\/.+))?$/.exec(text) ?? [];
  if (address === undefined || pid === undefined) return undefined;
  return { address, pid: Number(pid), ...(metrics === undefined ? {} : { metrics }) };
}

function isComplete(replicas: readonly (Replica | undefined)[]): replicas is readonly Replica[] {
  return replicas.length > 0 && !replicas.includes(undefined);
}
