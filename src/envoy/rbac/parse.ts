/** Texts inside of policy fields. Each function returns undefined for what has not the form. */
import ipaddr from 'ipaddr.js';
import { create } from '@bufbuild/protobuf';
import { type CidrRange, CidrRangeSchema } from '#gen/envoy/config/core/v3/address_pb.js';

/** An address, or a CIDR. The address part stays as it was written, host bits included: Envoy masks it. */
export function parseCidr(text: string): CidrRange | undefined {
  const [address = '', bits, ...rest] = text.split('/');
  const family = ipaddr.IPv4.isValidFourPartDecimal(address) ? 4 : ipaddr.IPv6.isValid(address) ? 6 : undefined;
  if (family === undefined || rest.length > 0 || address.includes('%')) return undefined;
  const max = family === 4 ? 32 : 128;
  const prefixLen = bits === undefined ? max : /^(0|[1-9][0-9]{0,2})$/.test(bits) ? Number(bits) : -1;
  if (prefixLen < 0 || prefixLen > max) return undefined;
  return create(CidrRangeSchema, { addressPrefix: family === 4 ? address : ipaddr.IPv6.parse(address).toRFC5952String(), prefixLen });
}

export function parsePort(text: string): number | undefined {
  if (!/^[0-9]+$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65535 ? port : undefined;
}

/** `[name]` to `name`. */
export function nameInBrackets(text: string): string | undefined {
  return text.startsWith('[') && text.endsWith(']') && text.length >= 2 ? text.slice(1, -1) : undefined;
}

/** `[a][b]` to `a`, `b`; what is not a sequence of brackets without brackets in them is one name. */
export function namesInBrackets(text: string): string[] | undefined {
  if (/^(\[[^[\]]*\])+$/.test(text)) return text.slice(1, -1).split('][');
  const name = nameInBrackets(text);
  return name === undefined ? undefined : [name];
}
