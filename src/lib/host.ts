/** Host names and wildcards as Istio compares them: `*` for all, `*.example.com` for every name below, and Istio's lax `*-suffix.com`. */

const isWildcard = (host: string) => host.startsWith('*');

/** Whether the two can name a common host; either may be a wildcard. */
export function hostsOverlap(a: string, b: string): boolean {
  if (isWildcard(a) && isWildcard(b)) {
    const [longer, shorter] = a.length >= b.length ? [a, b] : [b, a];
    return longer.slice(1).endsWith(shorter.slice(1));
  }
  if (isWildcard(a)) return b.length >= a.length && b.endsWith(a.slice(1));
  if (isWildcard(b)) return a.length >= b.length && a.endsWith(b.slice(1));
  return a === b;
}

/** Whether everything that `inner` names is named by `outer` too. */
export function hostCovers(outer: string, inner: string): boolean {
  if (!isWildcard(outer)) return outer === inner;
  if (isWildcard(inner)) return inner.length >= outer.length && inner.slice(1).endsWith(outer.slice(1));
  return inner.length >= outer.length && inner.endsWith(outer.slice(1));
}

/**
 * The names under which something about `host` may be declared, the most specific first: `a.b.c`, `*.b.c`, `*.c`, `*`; for a wildcard `*.b.c` it
 * begins with itself. Finds wildcard declarations by look-up, without a walk over all of them.
 */
export function hostCandidates(host: string): string[] {
  const candidates = [host];
  let rest = isWildcard(host) ? host.replace(/^\*\.?/, '') : host;
  for (let dot = rest.indexOf('.'); dot >= 0; dot = rest.indexOf('.')) {
    rest = rest.slice(dot + 1);
    candidates.push(`*.${rest}`);
  }
  if (host !== '*') candidates.push('*');
  return candidates;
}

/** Order of specificity: exact names first, then longer wildcards, `*` last; equal ones by name. For Array.sort. */
export function bySpecificity(a: string, b: string): number {
  if (isWildcard(a) !== isWildcard(b)) return isWildcard(a) ? 1 : -1;
  if (a.length !== b.length) return b.length - a.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The most specific of `hosts` that covers `host`, or undefined. */
export function mostSpecificHost(host: string, hosts: Iterable<string>): string | undefined {
  let best: string | undefined;
  for (const candidate of hosts) {
    if (hostCovers(candidate, host) && (best === undefined || bySpecificity(candidate, best) < 0)) best = candidate;
  }
  return best;
}
