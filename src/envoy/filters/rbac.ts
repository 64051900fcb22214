/** AuthorizationPolicies of one workload as Envoy's RBAC filters, HTTP and TCP. */
import { create } from '@bufbuild/protobuf';
import { type Filter, FilterSchema } from '#gen/envoy/config/listener/v3/listener_components_pb.js';
import { type Policy, PolicySchema, type RBAC, RBACSchema, RBAC_Action } from '#gen/envoy/config/rbac/v3/rbac_pb.js';
import { RBACSchema as HttpRbacSchema } from '#gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import {
  type HttpFilter,
  HttpFilterSchema,
} from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { RBACSchema as TcpRbacSchema } from '#gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js';
import type { Problem } from '../../apis/problem.ts';
import type { MeshAuthorizationPolicy } from '../../mesh/model.ts';
import { packAny } from '../../wire/encode.ts';
import type { RuleContext } from '../rbac/attributes.ts';
import { translateRule } from '../rbac/rule.ts';

export const httpRbacName = 'envoy.filters.http.rbac';
export const tcpRbacName = 'envoy.filters.network.rbac';
/** Stat prefix of RBAC on TCP, with the dot, as Istio has it. */
const tcpStatPrefix = 'tcp.';

export interface Authorization {
  readonly http: readonly HttpFilter[];
  readonly tcp: readonly Filter[];
  readonly problems: readonly Problem[];
  /** A policy cannot be translated in full: the filters refuse everything. */
  readonly held: boolean;
}

export interface AuthorizationOptions {
  /** Those that apply to the workload, in the order in which the mesh has them. */
  readonly policies: readonly MeshAuthorizationPolicy[];
  /** Own trust domain first, then its aliases. */
  readonly trustDomains: readonly string[];
  readonly peer?: RuleContext['peer'];
}

export const noAuthorization: Authorization = { http: [], tcp: [], problems: [], held: false };

/**
 * Filters in the order of evaluation: AUDIT, DENY, ALLOW, at most one of each. A policy with fields that are not translated yet holds back the
 * workload: everything is refused, because any weaker form could let through what the policy is there to stop.
 */
export function buildAuthorization(options: AuthorizationOptions): Authorization {
  const held = options.policies.flatMap(heldProblems);
  if (held.length > 0) return { ...refuseAll(), problems: held };
  const problems: Problem[] = [];
  const http: HttpFilter[] = [];
  const tcp: Filter[] = [];
  for (const [action, word] of inOrder) {
    const policies = options.policies.filter((policy) => (policy.spec.action ?? 'ALLOW') === word);
    if (policies.length === 0) continue;
    const forHttp = ruleSets(policies, action, 'http', options);
    const forTcp = ruleSets(policies, action, 'tcp', options);
    http.push(httpFilter(forHttp));
    tcp.push(tcpFilter(forTcp));
    // Both protocols find the same bad values, except those of HTTP attributes, which only HTTP looks at.
    problems.push(...forHttp.problems);
  }
  return { http, tcp, problems, held: false };
}

const inOrder = [
  [RBAC_Action.LOG, 'AUDIT'],
  [RBAC_Action.DENY, 'DENY'],
  [RBAC_Action.ALLOW, 'ALLOW'],
] as const;

/** RBAC that allows and has no policy allows nothing. */
export function refuseAll(): Authorization {
  const rules = create(RBACSchema, { action: RBAC_Action.ALLOW });
  return { http: [httpFilter({ rules })], tcp: [tcpFilter({ rules })], problems: [], held: true };
}

function heldProblems(policy: MeshAuthorizationPolicy): Problem[] {
  const translated = ['ALLOW', 'DENY', 'AUDIT'].includes(policy.spec.action ?? 'ALLOW');
  const paths = translated || policy.untranslated.length > 0 ? policy.untranslated : ['spec.action'];
  return paths.map((path) => ({
    object: policy.object,
    path,
    reason: 'Held' as const,
    severity: 'error' as const,
    message: `not translated yet, so the workloads that it selects refuse all inbound traffic; remove ${path} or the object to let traffic in`,
  }));
}

interface RuleSets {
  readonly rules?: RBAC;
  readonly shadowRules?: RBAC;
}

function ruleSets(
  policies: readonly MeshAuthorizationPolicy[],
  action: RBAC_Action,
  protocol: 'http' | 'tcp',
  options: AuthorizationOptions,
): RuleSets & { readonly problems: readonly Problem[] } {
  const enforced: Record<string, Policy> = {};
  const shadow: Record<string, Policy> = {};
  const problems: Problem[] = [];
  for (const policy of policies) {
    const set = policy.dryRun === true ? shadow : enforced;
    const rules = policy.spec.rules ?? [];
    if (rules.length === 0) set[ruleName(policy, 0)] = matchesNothing();
    for (const [i, rule] of rules.entries()) {
      const context = { namespace: policy.namespace, trustDomains: options.trustDomains, peer: options.peer ?? ('certificate' as const) };
      const translated = translateRule(rule, { protocol, action }, context);
      if (translated.policy !== undefined) set[ruleName(policy, i)] = translated.policy;
      for (const { path, message } of translated.faults) {
        problems.push({ object: policy.object, path: `spec.rules[${i}].${path}`, reason: 'Invalid', severity: 'error', message });
      }
    }
  }
  return {
    problems,
    ...(policies.some((policy) => policy.dryRun !== true) && { rules: create(RBACSchema, { action, policies: enforced }) }),
    ...(policies.some((policy) => policy.dryRun === true) && { shadowRules: create(RBACSchema, { action, policies: shadow }) }),
  };
}

/** Part of the contract: it is in Envoy's logs, in RBAC's metadata and in its statistics. */
function ruleName(policy: MeshAuthorizationPolicy, rule: number): string {
  return `ns[${policy.namespace}]-policy[${policy.name}]-rule[${rule}]`;
}

/** A policy without rules matches no request: ALLOW then allows nothing, and says by its name why. */
function matchesNothing(): Policy {
  return create(PolicySchema, {
    permissions: [{ rule: { case: 'notRule', value: { rule: { case: 'any', value: true } } } }],
    principals: [{ identifier: { case: 'notId', value: { identifier: { case: 'any', value: true } } } }],
  });
}

/** Prefix of the statistics of dry-run policies. Without any, Istio still writes that of ALLOW. */
function shadowPrefix(shadowRules: RBAC | undefined): string {
  const action = shadowRules?.action ?? RBAC_Action.ALLOW;
  return action === RBAC_Action.LOG ? '' : action === RBAC_Action.DENY ? 'istio_dry_run_deny_' : 'istio_dry_run_allow_';
}

function httpFilter(sets: RuleSets): HttpFilter {
  const { rules, shadowRules } = sets;
  const rbac = create(HttpRbacSchema, {
    ...(rules !== undefined && { rules }),
    ...(shadowRules !== undefined && { shadowRules }),
    shadowRulesStatPrefix: shadowPrefix(shadowRules),
  });
  return create(HttpFilterSchema, { name: httpRbacName, configType: { case: 'typedConfig', value: packAny(HttpRbacSchema, rbac) } });
}

function tcpFilter(sets: RuleSets): Filter {
  const { rules, shadowRules } = sets;
  const rbac = create(TcpRbacSchema, {
    ...(rules !== undefined && { rules }),
    ...(shadowRules !== undefined && { shadowRules }),
    shadowRulesStatPrefix: shadowPrefix(shadowRules),
    statPrefix: tcpStatPrefix,
  });
  return create(FilterSchema, { name: tcpRbacName, configType: { case: 'typedConfig', value: packAny(TcpRbacSchema, rbac) } });
}
