/** Trust domains in principals (`td/ns/n/sa/a`): a mesh's own and its aliases mean the same workloads. */

const clusterLocal = 'cluster.local';

/** Is there a trust domain to compare, other than `*`? Only the full form of five parts has one. */
export function enforcesTrustDomain(principal: string): boolean {
  const parts = principal.split('/');
  return parts.length === 5 && parts[0] !== '*';
}

export function trustDomainOf(principal: string): string | undefined {
  const parts = principal.split('/');
  return parts.length === 5 ? parts[0] : undefined;
}

/** Undefined when the principal has not the full form. */
export function withTrustDomain(trustDomain: string, principal: string): string | undefined {
  const parts = principal.split('/');
  return parts.length === 5 ? [trustDomain, ...parts.slice(1)].join('/') : undefined;
}

const prefixMatch = (text: string, pattern: string): boolean => pattern.endsWith('*') && text.startsWith(pattern.slice(0, -1));
const suffixMatch = (text: string, pattern: string): boolean => pattern.startsWith('*') && text.endsWith(pattern.slice(1));

/** Whether `text` equals one of `list`; on both sides `*` at an end stands for anything. */
export function matchesAny(text: string, list: readonly string[]): boolean {
  return list.some(
    (s) => text === s || s === '*' || prefixMatch(text, s) || prefixMatch(s, text) || suffixMatch(text, s) || suffixMatch(s, text),
  );
}

/**
 * Principals of the mesh's own trust domains (the first of `trustDomains` is its present one; `cluster.local` always means it) once for each of
 * them; others as they are.
 */
export function expandPrincipals(principals: readonly string[], trustDomains: readonly string[]): string[] {
  return principals.flatMap((principal) => {
    const own = trustDomainOf(principal);
    if (own === undefined || !enforcesTrustDomain(principal)) return [principal];
    if (own !== clusterLocal && !matchesAny(own, trustDomains)) return [principal];
    // `*-td` stays as it is for each domain that it matches, and must not come twice.
    return [
      ...new Set(trustDomains.map((domain) => (suffixMatch(domain, own) ? principal : (withTrustDomain(domain, principal) ?? principal)))),
    ];
  });
}

/** Values of `trustDomains` and `source.trustDomain`: one of the mesh's stands for all of them. */
export function expandTrustDomains(values: readonly string[], trustDomains: readonly string[]): string[] {
  return [...new Set(values.flatMap((value) => (trustDomains.includes(value) ? trustDomains : [value])))];
}
