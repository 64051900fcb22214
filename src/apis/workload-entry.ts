import type { ConfigObject } from './object.ts';
import { networkingKind } from './kind.ts';
import { map, message, rules, type Spec, string, uint32 } from './schema.ts';

export const workloadEntrySpec = message(
  {
    address: string({
      ...rules(
        [
          'UDS must be an absolute path or abstract socket',
          'self.startsWith("unix://") ? (self.substring(7, 8) == "/" || self.substring(7, 8) == "@") : true',
        ],
        ['UDS may not be a dir', 'self.startsWith("unix://") ? !self.endsWith("/") : true'],
      ),
      maxLength: 256,
    }),
    labels: map(string(), { maxProperties: 256 }),
    locality: string({ maxLength: 2048 }),
    network: string({ maxLength: 2048 }),
    ports: map(uint32(rules(['port must be between 1-65535', '0 < self && self <= 65535'])), {
      ...rules(['port name must be valid', 'self.all(key, size(key) < 63 && key.matches("^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$"))']),
      maxProperties: 128,
    }),
    serviceAccount: string({ maxLength: 253 }),
    weight: uint32(),
  },
  [],
  rules(
    ['Address is required', 'has(self.address) || has(self.network)'],
    ['UDS may not include ports', '(has(self.address) ? self.address : "").startsWith("unix://") ? !has(self.ports) : true'],
  ),
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
