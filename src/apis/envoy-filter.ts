import { policyTargetReference } from './common.ts';
import type { KindSchema } from './kind.ts';
import type { ConfigObject } from './object.ts';
import { portNumber, selectorWithoutWildcard, waypointMatchInContext, workloadSelectorOrTargets } from './rules.ts';
import { anyMap, atMostOneOf, int32, list, map, message, oneOfWords, rules, type Spec, string, uint32 } from './schema.ts';

const filterMatch = message({ name: string(), subFilter: message({ name: string() }) });

const listenerMatch = message({
  filterChain: message({
    applicationProtocols: string(),
    destinationPort: uint32(),
    filter: filterMatch,
    name: string(),
    sni: string(),
    transportProtocol: string(),
    transportSocket: string(),
  }),
  listenerFilter: string(),
  name: string(),
  portName: string(),
  portNumber: uint32(),
});

const routeConfigurationMatch = message({
  gateway: string(),
  name: string(),
  portName: string(),
  portNumber: uint32(),
  vhost: message({
    domainName: string(),
    name: string(),
    route: message({ action: oneOfWords(['ANY', 'ROUTE', 'REDIRECT', 'DIRECT_RESPONSE']), name: string() }),
  }),
});

const objectMatch = message(
  {
    cluster: message({ name: string(), portNumber: uint32(), service: string(), subset: string() }),
    context: oneOfWords(['ANY', 'SIDECAR_INBOUND', 'SIDECAR_OUTBOUND', 'GATEWAY', 'WAYPOINT']),
    listener: listenerMatch,
    proxy: message({ metadata: map(string()), proxyVersion: string() }),
    routeConfiguration: routeConfigurationMatch,
    waypoint: message({ filter: filterMatch, portNumber: uint32(rules(portNumber)), route: message({ name: string() }) }),
  },
  [],
  { ...rules(waypointMatchInContext), ...atMostOneOf('listener', 'routeConfiguration', 'cluster', 'waypoint') },
);

export const configPatch = message({
  applyTo: oneOfWords([
    'INVALID',
    'LISTENER',
    'FILTER_CHAIN',
    'NETWORK_FILTER',
    'HTTP_FILTER',
    'ROUTE_CONFIGURATION',
    'VIRTUAL_HOST',
    'HTTP_ROUTE',
    'CLUSTER',
    'EXTENSION_CONFIG',
    'BOOTSTRAP',
    'LISTENER_FILTER',
  ]),
  match: objectMatch,
  patch: message({
    filterClass: oneOfWords(['UNSPECIFIED', 'AUTHN', 'AUTHZ', 'STATS']),
    operation: oneOfWords([
      'INVALID',
      'MERGE',
      'ADD',
      'REMOVE',
      'INSERT_BEFORE',
      'INSERT_AFTER',
      'INSERT_FIRST',
      'REPLACE',
      'MERGE_AND_REPLACE_LIST',
    ]),
    value: anyMap(),
  }),
});

export const envoyFilterSpec = message(
  {
    configPatches: list(configPatch),
    priority: int32(),
    targetRefs: list(policyTargetReference, { maxItems: 16 }),
    workloadSelector: message({ labels: map(string({ ...rules(selectorWithoutWildcard), maxLength: 63 }), { maxProperties: 256 }) }),
  },
  [],
  rules(workloadSelectorOrTargets),
);
export type EnvoyFilterSpec = Spec<typeof envoyFilterSpec>;
export type EnvoyFilter = ConfigObject<'EnvoyFilter', EnvoyFilterSpec>;

/** Alone in its group it has never left its first version. */
export const envoyFilter: KindSchema<'EnvoyFilter', typeof envoyFilterSpec> = {
  kind: 'EnvoyFilter',
  plural: 'envoyfilters',
  group: 'networking.istio.io',
  versions: ['v1alpha3'],
  scope: 'Namespaced',
  body: 'spec',
  unknownFields: 'report',
  schema: envoyFilterSpec,
  crd: { categories: ['istio-io', 'networking-istio-io'], columns: [] },
};
