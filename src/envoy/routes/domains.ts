import type { Service } from '../../mesh/model.ts';
import { inAuthority } from '../address.ts';

export interface DomainsInput {
  readonly service: Pick<Service, 'host' | 'addresses' | 'resolution' | 'registry'>;
  readonly port: number;
  /** DNS domain of the proxy, `ns.svc.cluster.local`: which short names it may use. */
  readonly dnsDomain: string;
  /** For `http_proxy`, which serves all ports: names come with the port, and those of port 80 without it too. Elsewhere they come without. */
  readonly withPort: boolean;
}

/**
 * Host headers that mean a service: its FQDN, with and without the dot at the end, the short names of a Kubernetes Service as seen from the proxy,
 * names of single pods of a headless Service, and its addresses.
 */
export function virtualHostDomains({ service, port, dnsDomain, withPort }: DomainsInput): string[] {
  const names = [service.host, ...alternativeNames(service.host, dnsDomain)];
  const spell = (name: string) => [
    ...(withPort && port !== 80 ? [] : [inAuthority(name)]),
    ...(withPort ? [`${inAuthority(name)}:${port}`] : []),
  ];
  const domains = names.flatMap(spell);
  const headless = service.resolution === 'passthrough' && service.registry === 'Kubernetes';
  const pods = headless ? domains.map((domain) => `*.${domain}`) : [];
  const addresses = service.addresses.filter((address) => address !== unspecified && !address.includes('/'));
  return [...domains, ...pods, ...addresses.flatMap(spell)];
}

const unspecified = '0.0.0.0';

/** Other names of a host, as in Istio; a name that another service really has is to be left to that one. */
export function alternativeNames(host: string, dnsDomain: string): string[] {
  const isAddress = host.includes(':') || /^[\d.]+$/.test(host);
  const absolute = isAddress ? [] : [`${host}.`];
  return [...absolute, ...(dnsDomain.includes('.svc.') ? kubernetesNames(host, dnsDomain) : sharedDomainNames(host, dnsDomain))];
}

/** `name`, `name.ns.svc` and `name.ns` in its own namespace; the last two, in the other order, elsewhere. */
function kubernetesNames(host: string, dnsDomain: string): string[] {
  const suffix = dnsDomain.slice(dnsDomain.indexOf('.svc.'));
  const service = host.indexOf('.svc.');
  if (!host.endsWith(suffix) || service <= 0) return [];
  const base = host.slice(0, service);
  const dot = base.indexOf('.');
  if (dot < 0) return [];
  const sameNamespace = base.slice(dot + 1) === dnsDomain.slice(0, dnsDomain.indexOf('.svc.'));
  return sameNamespace ? [base.slice(0, dot), `${base}.svc`, base] : [base, `${base}.svc`];
}

/** Outside of Kubernetes: the name without the domain that it shares with the proxy. */
function sharedDomainNames(host: string, dnsDomain: string): string[] {
  const own = host.split('.');
  const proxy = dnsDomain.split('.');
  let shared = 0;
  while (shared < Math.min(own.length, proxy.length) && own.at(-1 - shared) === proxy.at(-1 - shared)) shared++;
  if (shared === 0) return [];
  const unique = own.slice(0, own.length - shared);
  const name = unique.join('.');
  return unique.length === 2 ? [name, `${name}.${own[own.length - shared] ?? ''}`] : [name];
}
