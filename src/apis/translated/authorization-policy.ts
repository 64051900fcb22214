/** What the translators read of an AuthorizationPolicy. The rest fails closed: the listeners of its workloads are held back. */
export const translatedAuthorizationPolicy: readonly string[] = [
  'spec.selector',
  'spec.action=ALLOW|DENY',
  'spec.rules[].from[].source.principals',
  'spec.rules[].from[].source.notPrincipals',
  'spec.rules[].from[].source.namespaces',
  'spec.rules[].from[].source.notNamespaces',
  'spec.rules[].from[].source.ipBlocks',
  'spec.rules[].from[].source.notIpBlocks',
  'spec.rules[].to[].operation.paths',
  'spec.rules[].to[].operation.notPaths',
  'spec.rules[].to[].operation.methods',
  'spec.rules[].to[].operation.notMethods',
  'spec.rules[].to[].operation.hosts',
  'spec.rules[].to[].operation.notHosts',
  'spec.rules[].to[].operation.ports',
  'spec.rules[].to[].operation.notPorts',
];
