import type { ConfigObject } from './object.ts';
import { networkingKind } from './kind.ts';
import {
  cidrNeedsResolution,
  hostNotWildcard,
  noneWithoutEndpoints,
  portNumber,
  portNumbersDiffer,
  roundRobinSingleEndpoint,
  selectorOrEndpoints,
  selectorWithoutWildcard,
} from './rules.ts';
import { list, map, message, oneOfWords, rules, type Spec, string, uint32 } from './schema.ts';
import { workloadEntrySpec } from './workload-entry.ts';

export const servicePort = message(
  {
    name: string({ maxLength: 256 }),
    number: uint32(rules(portNumber)),
    protocol: string({ maxLength: 256 }),
    targetPort: uint32(rules(portNumber)),
  },
  ['number', 'name'],
);
export type ServiceEntryPort = Spec<typeof servicePort>;

export const serviceEntrySpec = message(
  {
    addresses: list(string({ maxLength: 64 }), { maxItems: 256 }),
    endpoints: list(workloadEntrySpec, { maxItems: 4096 }),
    exportTo: list(string()),
    hosts: list(string(rules(hostNotWildcard)), { maxItems: 256, minItems: 1 }),
    location: oneOfWords(['MESH_EXTERNAL', 'MESH_INTERNAL']),
    ports: list(servicePort, {
      ...rules(portNumbersDiffer),
      maxItems: 256,
      'x-kubernetes-list-map-keys': ['name'],
      'x-kubernetes-list-type': 'map',
    }),
    resolution: oneOfWords(['NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS']),
    subjectAltNames: list(string()),
    workloadSelector: message({ labels: map(string({ ...rules(selectorWithoutWildcard), maxLength: 63 }), { maxProperties: 256 }) }),
  },
  ['hosts'],
  rules(selectorOrEndpoints, cidrNeedsResolution, noneWithoutEndpoints, roundRobinSingleEndpoint),
);
export type ServiceEntrySpec = Spec<typeof serviceEntrySpec>;
export type ServiceEntry = ConfigObject<'ServiceEntry', ServiceEntrySpec>;

export const serviceEntry = networkingKind({
  kind: 'ServiceEntry',
  plural: 'serviceentries',
  shortNames: ['se'],
  schema: serviceEntrySpec,
  specRequired: true,
  columns: [
    { name: 'Hosts', type: 'string', jsonPath: '.spec.hosts', description: 'The hosts associated with the ServiceEntry' },
    {
      name: 'Location',
      type: 'string',
      jsonPath: '.spec.location',
      description: 'Whether the service is external to the mesh or part of the mesh (MESH_EXTERNAL or MESH_INTERNAL)',
    },
    {
      name: 'Resolution',
      type: 'string',
      jsonPath: '.spec.resolution',
      description: 'Service resolution mode for the hosts (NONE, STATIC, or DNS)',
    },
  ],
});
