import type { ConfigObject } from './object.ts';
import { securityKind } from './kind.ts';
import { accountsAlone, selectorOrTargets } from './rules.ts';
import { atMostOneOf, list, message, oneOfWords, rules, type Spec, string } from './schema.ts';
import { policyTargetReference, policyWorkloadSelector } from './common.ts';

export const source = message(
  {
    ipBlocks: list(string()),
    namespaces: list(string()),
    notIpBlocks: list(string()),
    notNamespaces: list(string()),
    notPrincipals: list(string()),
    notRemoteIpBlocks: list(string()),
    notRequestPrincipals: list(string()),
    notServiceAccounts: list(string({ maxLength: 320 }), { maxItems: 16 }),
    notTrustDomains: list(string()),
    principals: list(string()),
    remoteIpBlocks: list(string()),
    requestPrincipals: list(string()),
    serviceAccounts: list(string({ maxLength: 320 }), { maxItems: 16 }),
    trustDomains: list(string()),
  },
  [],
  rules(accountsAlone),
);
export type Source = Spec<typeof source>;

export const operation = message({
  hosts: list(string()),
  methods: list(string()),
  notHosts: list(string()),
  notMethods: list(string()),
  notPaths: list(string()),
  notPorts: list(string()),
  paths: list(string()),
  ports: list(string()),
});
export type Operation = Spec<typeof operation>;

export const condition = message({ key: string(), notValues: list(string()), values: list(string()) }, ['key']);
export type Condition = Spec<typeof condition>;

export const rule = message({
  from: list(message({ source }), { maxItems: 512 }),
  to: list(message({ operation })),
  when: list(condition),
});
export type Rule = Spec<typeof rule>;

export const authorizationPolicySpec = message(
  {
    action: oneOfWords(['ALLOW', 'DENY', 'AUDIT', 'CUSTOM']),
    provider: message({ name: string() }),
    rules: list(rule, { maxItems: 512 }),
    selector: policyWorkloadSelector,
    targetRef: policyTargetReference,
    targetRefs: list(policyTargetReference, { maxItems: 16 }),
  },
  [],
  { ...atMostOneOf('provider'), ...rules(selectorOrTargets) },
);
export type AuthorizationPolicySpec = Spec<typeof authorizationPolicySpec>;
export type AuthorizationPolicy = ConfigObject<'AuthorizationPolicy', AuthorizationPolicySpec>;

export const authorizationPolicy = securityKind({
  kind: 'AuthorizationPolicy',
  plural: 'authorizationpolicies',
  shortNames: ['ap'],
  schema: authorizationPolicySpec,
  columns: [{ name: 'Action', type: 'string', jsonPath: '.spec.action', description: 'The operation to take.' }],
});
