import type { OutboundTcpChain } from './outbound-chain.ts';

/**
 * The chains without what an earlier one takes already: Envoy refuses a listener in which two chains match the same. A chain of which nothing is
 * left is gone.
 */
export function distinctMatches(chains: readonly OutboundTcpChain[]): OutboundTcpChain[] {
  const taken = new Set<string>();
  const take = (key: string): boolean => {
    const isNew = !taken.has(key);
    taken.add(key);
    return isNew;
  };
  return chains.flatMap((chain) => {
    const cidrs = chain.cidrs === undefined || chain.cidrs.length === 0 ? [''] : [...chain.cidrs].sort();
    const destinations = cidrs.join(',');
    const hosts = chain.sniHosts?.includes('*') === true ? [] : (chain.sniHosts ?? []).filter(isServerName);
    if (hosts.length === 0) {
      // Server names that Envoy cannot match must not become "any server name".
      if ((chain.sniHosts ?? []).length > 0 && chain.sniHosts?.includes('*') !== true) return [];
      return take(`${destinations}|`) ? [chain] : [];
    }
    const sniHosts = hosts.map((host) => host.toLowerCase()).filter((host) => take(`${destinations}|${host}`));
    return sniHosts.length === 0 ? [] : [{ ...chain, sniHosts }];
  });
}

/** Envoy knows whole names and `*.` in front of one. */
function isServerName(host: string): boolean {
  return !host.includes('*') || /^\*\.[^*]+$/.test(host);
}
