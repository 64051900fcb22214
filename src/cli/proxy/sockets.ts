import { isIP, isIPv6 } from 'node:net';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, with IPv6 in brackets. */
export function parseHostPort(text: string): HostPort {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port >= 1 && port <= 65535) || (match?.[1] !== undefined && !isIPv6(host))) {
    throw new Error(`"${text}" is not of the form host:port (port 1 to 65535, an IPv6 address in brackets)`);
  }
  return { host, port };
}

/** An address to listen on: an IP address and a port. */
export function parseSocket(text: string): { address: string; port: number } {
  const { host, port } = parseHostPort(text);
  if (isIP(host) === 0) throw new Error(`"${text}": an IP address is needed to listen on, such as 127.0.0.1:15000`);
  return { address: host, port };
}

/** As parseSocket; without a host all of this machine's addresses, and port 0 is any free one. */
export function parseListenAddress(text: string): { address: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const address = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (address === undefined || !(port <= 65535) || (address !== '' && isIP(address) === 0)) {
    throw new Error(`"${text}" is not of the form address:port or :port (an IP address, port 0 to 65535, an IPv6 address in brackets)`);
  }
  return { address: address === '' ? '0.0.0.0' : address, port };
}
