import { create } from '@bufbuild/protobuf';
import ipaddr from 'ipaddr.js';
import { type Address, AddressSchema } from '#gen/envoy/config/core/v3/address_pb.js';

/** An IP address (or, in DNS clusters, a name) and port; `unix:///path` gives a pipe. */
export function buildAddress(address: string, port: number): Address {
  if (address.startsWith(unixPrefix)) {
    return create(AddressSchema, { address: { case: 'pipe', value: { path: address.slice(unixPrefix.length) } } });
  }
  return create(AddressSchema, {
    address: { case: 'socketAddress', value: { address, portSpecifier: { case: 'portValue', value: port } } },
  });
}

const unixPrefix = 'unix://';

/** An address that needs no resolving: IPv4, IPv6 or a Unix socket. */
export function isReachable(address: string): boolean {
  return address.startsWith(unixPrefix) || ipaddr.IPv4.isValidFourPartDecimal(address) || ipaddr.IPv6.isValid(address);
}

export function isIpv6(address: string): boolean {
  return address.includes(':') && !address.startsWith(unixPrefix);
}

/** An IPv6 address in brackets, anything else as it is: the form of an HTTP authority. */
export function inAuthority(host: string): string {
  return isIpv6(host) ? `[${host}]` : host;
}
