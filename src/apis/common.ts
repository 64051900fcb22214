import { intOrString, list, map, message, oneOfWords, rules, type Spec, string } from './schema.ts';
import { labelKeysNotEmpty, labelKeysWithoutWildcard, labelValueWithoutWildcard, ownNamespaceOnly } from './rules.ts';

export const policyWorkloadSelector = message({
  matchLabels: map(string({ ...rules(labelValueWithoutWildcard), maxLength: 63 }), {
    ...rules(labelKeysWithoutWildcard, labelKeysNotEmpty),
    maxProperties: 4096,
  }),
});
export type PolicyWorkloadSelector = Spec<typeof policyWorkloadSelector>;

export const policyTargetReference = message(
  {
    group: string({ maxLength: 253, pattern: '^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$' }),
    kind: string({ maxLength: 63, minLength: 1, pattern: '^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$' }),
    name: string({ maxLength: 253, minLength: 1 }),
    namespace: string(rules(ownNamespaceOnly)),
  },
  ['kind', 'name'],
);
export type PolicyTargetReference = Spec<typeof policyTargetReference>;

export const istioStatus = message(
  {
    conditions: list(
      message({
        lastProbeTime: string({ format: 'date-time' }),
        lastTransitionTime: string({ format: 'date-time' }),
        message: string(),
        observedGeneration: intOrString(),
        reason: string(),
        status: string(),
        type: string(),
      }),
    ),
    observedGeneration: intOrString(),
    validationMessages: list(
      message({
        documentationUrl: string(),
        level: oneOfWords(['UNKNOWN', 'ERROR', 'WARNING', 'INFO']),
        type: message({ code: string(), name: string() }),
      }),
    ),
  },
  [],
  { 'x-kubernetes-preserve-unknown-fields': true },
);
export type IstioStatus = Spec<typeof istioStatus>;
