import type { ConfigObject } from './object.ts';
import { networkingKind } from './kind.ts';
import { list, map, message, oneOfWords, rules, type Spec, string, uint32 } from './schema.ts';
import { workloadEntrySpec } from './workload-entry.ts';

export const servicePort = message(
  {
    name: string({ maxLength: 256 }),
    number: uint32(rules(['port must be between 1-65535', '0 < self && self <= 65535'])),
    protocol: string({ maxLength: 256 }),
    targetPort: uint32(rules(['port must be between 1-65535', '0 < self && self <= 65535'])),
  },
  ['number', 'name'],
);
export type ServiceEntryPort = Spec<typeof servicePort>;

export const serviceEntrySpec = message(
  {
    addresses: list(string({ maxLength: 64 }), { maxItems: 256 }),
    endpoints: list(workloadEntrySpec, { maxItems: 4096 }),
    exportTo: list(string()),
    hosts: list(string(rules(['hostname cannot be wildcard', 'self != "*"'])), { maxItems: 256, minItems: 1 }),
    location: oneOfWords(['MESH_EXTERNAL', 'MESH_INTERNAL']),
    ports: list(servicePort, {
      ...rules(['port number cannot be duplicated', 'self.all(l1, self.exists_one(l2, l1.number == l2.number))']),
      maxItems: 256,
      'x-kubernetes-list-map-keys': ['name'],
      'x-kubernetes-list-type': 'map',
    }),
    resolution: oneOfWords(['NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS']),
    subjectAltNames: list(string()),
    workloadSelector: message({
      labels: map(string({ ...rules(['wildcard is not supported in selector', '!self.contains("*")']), maxLength: 63 }), {
        maxProperties: 256,
      }),
    }),
  },
  ['hosts'],
  rules(
    ['only one of WorkloadSelector or Endpoints can be set', '(has(self.workloadSelector) ? 1 : 0) + (has(self.endpoints) ? 1 : 0) <= 1'],
    [
      'CIDR addresses are allowed only for NONE/STATIC resolution types',
      '!((has(self.addresses) ? self.addresses : []).exists(k, k.contains("/")) && !((has(self.resolution) ? self.resolution : "NONE") in ["STATIC", "NONE"]))',
    ],
    ['NONE mode cannot set endpoints', '((has(self.resolution) ? self.resolution : "NONE") == "NONE") ? !has(self.endpoints) : true'],
    [
      'DNS_ROUND_ROBIN mode cannot have multiple endpoints',
      '((has(self.resolution) ? self.resolution : "") == "DNS_ROUND_ROBIN") ? ((has(self.endpoints) ? self.endpoints : []).size() <= 1) : true',
    ],
  ),
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
