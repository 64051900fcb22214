import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Whether the address of a peer is this machine: 127.0.0.0/8, ::1, or the former mapped into IPv6. */
export function isLoopback(address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.process(address).range() === 'loopback';
}

/**
 * Whether a Host header can only have been meant for this machine. A page in a browser can point a name of its own at 127.0.0.1 and then read what
 * loopback callers may read; an IP address or `localhost` cannot be such a name.
 */
export function isLocalHostHeader(host: string | undefined): boolean {
  if (host === undefined) return true;
  const name = /^\[(?<v6>[^\]]+)\](?::\d+)?$/.exec(host)?.groups?.['v6'] ?? host.replace(/:\d+$/, '');
  return name === 'localhost' || isIP(name) !== 0;
}
