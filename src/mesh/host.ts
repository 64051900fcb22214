/** A host as written in an object of `namespace`: a name without a dot is a Kubernetes Service of that namespace. Lower case. */
export function resolveHost(host: string, namespace: string, domain: string): string {
  const lower = host.toLowerCase();
  if (lower.includes('.') || lower === '*' || lower === '') return lower;
  return `${lower}.${namespace}.svc.${domain}`;
}
