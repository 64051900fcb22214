import type { ConfigObject } from './object.ts';
import { networkingKind } from './kind.ts';
import { addressRequired, portNameKeys, portNumber, socketIsNoFolder, socketPathAbsolute, socketWithoutPorts } from './rules.ts';
import { map, message, rules, type Spec, string, uint32 } from './schema.ts';

export const workloadEntrySpec = message(
  {
    address: string({ ...rules(socketPathAbsolute, socketIsNoFolder), maxLength: 256 }),
    labels: map(string(), { maxProperties: 256 }),
    locality: string({ maxLength: 2048 }),
    network: string({ maxLength: 2048 }),
    ports: map(uint32(rules(portNumber)), { ...rules(portNameKeys), maxProperties: 128 }),
    serviceAccount: string({ maxLength: 253 }),
    weight: uint32(),
  },
  [],
  rules(addressRequired, socketWithoutPorts),
);
export type WorkloadEntrySpec = Spec<typeof workloadEntrySpec>;
export type WorkloadEntry = ConfigObject<'WorkloadEntry', WorkloadEntrySpec>;

export const workloadEntry = networkingKind({
  kind: 'WorkloadEntry',
  plural: 'workloadentries',
  shortNames: ['we'],
  schema: workloadEntrySpec,
  specRequired: true,
  columns: [{ name: 'Address', type: 'string', jsonPath: '.spec.address', description: 'Address associated with the network endpoint.' }],
});
