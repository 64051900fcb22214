/** A server that is measured. */
export interface Target {
  readonly name: string;
  /** `host:port` of ADS. */
  readonly address: string;
  readonly pid: number;
  /** Roots of the server's certificate, PEM, where ADS is over TLS. */
  readonly ca?: string;
  /** A bearer token for a service account, where ADS asks for one. */
  readonly token?: (namespace: string, serviceAccount: string) => Promise<string>;
  /** From its start to its readiness; undefined for one that ran before. */
  readonly startMs?: number;
}

/** `NAME=HOST:PORT,PID`. Throws when it is not that. */
export function parseTarget(text: string): Target {
  const [, name, address, pid] = /^([^=]+)=(.+:\d+),(\d+)$/.exec(text) ?? [];
  if (name === undefined || address === undefined || pid === undefined) throw new Error(`"${text}" is not NAME=HOST:PORT,PID`);
  return { name, address, pid: Number(pid) };
}
