/** Host names: how short ones are resolved and which patterns match. */

/** A host as written in an object of `namespace`: a name without a dot is a Kubernetes Service of that namespace. Lower case. */
export function resolveHost(host: string, namespace: string, domain: string): string {
  const lower = host.toLowerCase();
  if (lower.includes('.') || lower === '*' || lower === '') return lower;
  return `${lower}.${namespace}.svc.${domain}`;
}

/** The host itself and every wildcard that matches it, the most specific first: `a.b.c`, `*.b.c`, `*.c`, `*`. */
export function hostPatterns(host: string): string[] {
  const patterns = [host];
  let rest = host.startsWith('*.') ? host.slice(2) : host;
  for (let dot = rest.indexOf('.'); dot >= 0; dot = rest.indexOf('.')) {
    rest = rest.slice(dot + 1);
    patterns.push(`*.${rest}`);
  }
  if (host !== '*') patterns.push('*');
  return patterns;
}

/** Whether an exact host or a wildcard (`*`, `*.b.c`) covers a host, which may itself be a wildcard. */
export function hostMatches(pattern: string, host: string): boolean {
  if (pattern === '*' || pattern === host) return true;
  return pattern.startsWith('*.') && host.length > pattern.length - 1 && host.endsWith(pattern.slice(1));
}

/** The namespace in `name.namespace.svc.domain`, for resolving what a Service's host means. */
export function serviceNamespace(host: string, domain: string): string | undefined {
  const suffix = `.svc.${domain}`;
  if (!host.endsWith(suffix)) return undefined;
  const labels = host.slice(0, -suffix.length).split('.');
  return labels.length === 2 ? labels[1] : undefined;
}
