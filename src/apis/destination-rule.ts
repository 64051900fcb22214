import type { ConfigObject } from './object.ts';
import { networkingKind } from './kind.ts';
import { list, map, message, type Spec, string } from './schema.ts';
import { policyWorkloadSelector } from './common.ts';
import { trafficPolicy } from './traffic-policy.ts';

export const subset = message({ labels: map(string()), name: string(), trafficPolicy }, ['name']);
export type Subset = Spec<typeof subset>;

export const destinationRuleSpec = message(
  { exportTo: list(string()), host: string(), subsets: list(subset), trafficPolicy, workloadSelector: policyWorkloadSelector },
  ['host'],
);
export type DestinationRuleSpec = Spec<typeof destinationRuleSpec>;
export type DestinationRule = ConfigObject<'DestinationRule', DestinationRuleSpec>;

export const destinationRule = networkingKind({
  kind: 'DestinationRule',
  plural: 'destinationrules',
  shortNames: ['dr'],
  schema: destinationRuleSpec,
  columns: [{ name: 'Host', type: 'string', jsonPath: '.spec.host', description: 'The name of a service from the service registry' }],
});
