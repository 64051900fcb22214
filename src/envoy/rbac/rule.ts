/** One rule of an AuthorizationPolicy as one policy of Envoy's RBAC. */
import { create } from '@bufbuild/protobuf';
import {
  type Permission,
  PermissionSchema,
  type Policy,
  PolicySchema,
  type Principal,
  PrincipalSchema,
  RBAC_Action,
} from '#gen/envoy/config/rbac/v3/rbac_pb.js';
import type { Operation, Rule, Source } from '../../apis/authorization-policy.ts';
import {
  type Attribute,
  attributeOf,
  type Half,
  hosts,
  ipBlocks,
  type Made,
  methods,
  namespaces,
  paths,
  type PermissionAttribute,
  ports,
  type PrincipalAttribute,
  principals,
  remoteIpBlocks,
  requestPrincipals,
  type RuleContext,
  serviceAccounts,
  trustDomains,
} from './attributes.ts';

/** One attribute of a rule with its values; `path` is where it stands in the rule. */
interface Condition<A extends Attribute> {
  readonly attribute: A;
  readonly key: string;
  readonly path: string;
  readonly values: readonly string[];
  readonly notValues: readonly string[];
}

export interface Target {
  readonly protocol: 'http' | 'tcp';
  readonly action: RBAC_Action;
}

export interface Fault {
  /** Below the rule: `to[0].operation.ports`. */
  readonly path: string;
  readonly message: string;
}

/** No policy: nothing of an ALLOW rule is left that could match. */
export interface TranslatedRule {
  readonly policy?: Policy;
  readonly faults: readonly Fault[];
}

/**
 * What cannot be expressed (an HTTP attribute on TCP, a bad value) makes the rule narrower when it allows and wider when it denies, as in Istio: an
 * ALLOW rule is dropped as a whole, of a DENY, AUDIT or CUSTOM rule only that attribute. Bad values are faults, HTTP attributes on TCP are none.
 */
export function translateRule(rule: Rule, target: Target, context: RuleContext): TranslatedRule {
  const faults: Fault[] = [];
  const when = conditions(rule, faults);
  if (faults.length > 0 && target.action === RBAC_Action.ALLOW) return { faults };
  const from = (rule.from ?? []).map(({ source }, i) => [...sourceConditions(source ?? {}, `from[${i}].source`), ...when.principals]);
  const to = (rule.to ?? []).map(({ operation }, i) => [
    ...operationConditions(operation ?? {}, `to[${i}].operation`),
    ...when.permissions,
  ]);
  const translator = new Translator(target, context, faults);
  const permissionSets = (to.length === 0 ? [when.permissions] : to).map((set) => translator.permissions(set));
  const principalSets = (from.length === 0 ? [when.principals] : from).map((set) => translator.principals(set));
  if (permissionSets.includes(undefined) || principalSets.includes(undefined)) return { faults };
  const policy = create(PolicySchema, {
    permissions: permissionSets.map((rules) => allPermissions(rules ?? [])),
    principals: principalSets.map((ids) => allPrincipals(ids ?? [])),
  });
  return { policy, faults };
}

interface When {
  readonly permissions: readonly Condition<PermissionAttribute>[];
  readonly principals: readonly Condition<PrincipalAttribute>[];
}

function conditions(rule: Rule, faults: Fault[]): When {
  const permissions: Condition<PermissionAttribute>[] = [];
  const principalsOf: Condition<PrincipalAttribute>[] = [];
  for (const [i, { key, values = [], notValues = [] }] of (rule.when ?? []).entries()) {
    const attribute = attributeOf(key);
    const path = `when[${i}]`;
    if (attribute === undefined) {
      faults.push({ path: `${path}.key`, message: `${JSON.stringify(key)} is not an attribute that a condition can name` });
    } else if (values.length + notValues.length > 0) {
      if (attribute.half === 'permission') permissions.push({ attribute, key, path, values, notValues });
      else principalsOf.push({ attribute, key, path, values, notValues });
    }
  }
  return { permissions, principals: principalsOf };
}

type Part<A extends Attribute> = readonly [
  attribute: A,
  field: string,
  values: readonly string[] | undefined,
  notValues: readonly string[] | undefined,
];

function asConditions<A extends Attribute>(path: string, parts: readonly Part<A>[]): Condition<A>[] {
  return parts.flatMap(([attribute, field, values = [], notValues = []]) =>
    values.length + notValues.length === 0 ? [] : [{ attribute, key: field, path: `${path}.${field}`, values, notValues }],
  );
}

/** In Istio's order, which shows in the configuration and in its tests. */
const sourceConditions = (s: Source, path: string): Condition<PrincipalAttribute>[] =>
  asConditions(path, [
    [principals, 'principals', s.principals, s.notPrincipals],
    [requestPrincipals, 'requestPrincipals', s.requestPrincipals, s.notRequestPrincipals],
    [serviceAccounts, 'serviceAccounts', s.serviceAccounts, s.notServiceAccounts],
    [trustDomains, 'trustDomains', s.trustDomains, s.notTrustDomains],
    [namespaces, 'namespaces', s.namespaces, s.notNamespaces],
    [remoteIpBlocks, 'remoteIpBlocks', s.remoteIpBlocks, s.notRemoteIpBlocks],
    [ipBlocks, 'ipBlocks', s.ipBlocks, s.notIpBlocks],
  ]);

const operationConditions = (o: Operation, path: string): Condition<PermissionAttribute>[] =>
  asConditions(path, [
    [hosts, 'hosts', o.hosts, o.notHosts],
    [methods, 'methods', o.methods, o.notMethods],
    [paths, 'paths', o.paths, o.notPaths],
    [ports, 'ports', o.ports, o.notPorts],
  ]);

class Translator {
  readonly #target: Target;
  readonly #context: RuleContext;
  readonly #faults: Fault[];

  constructor(target: Target, context: RuleContext, faults: Fault[]) {
    this.#target = target;
    this.#context = context;
    this.#faults = faults;
  }

  /** Undefined: the rule has to be dropped. */
  permissions(set: readonly Condition<PermissionAttribute>[]): Permission[] | undefined {
    const all: Permission[] = [];
    for (const condition of set) {
      const yes = this.#matchers(condition, condition.values, condition.attribute, anyPermission);
      const no = this.#matchers(condition, condition.notValues, condition.attribute, anyPermission);
      if (yes === undefined || no === undefined) return undefined;
      all.push(...yes, ...no.map(notPermission));
    }
    return all;
  }

  /** Undefined: the rule has to be dropped. */
  principals(set: readonly Condition<PrincipalAttribute>[]): Principal[] | undefined {
    const all: Principal[] = [];
    for (const condition of set) {
      const yes = this.#matchers(condition, condition.values, condition.attribute, anyPrincipal);
      const no = this.#matchers(condition, condition.notValues, condition.attribute, anyPrincipal);
      if (yes === undefined || no === undefined) return undefined;
      all.push(...yes, ...no.map(notPrincipal));
    }
    return all;
  }

  /** At most one matcher; none for no values, or when a DENY loses them. */
  #matchers<T>(condition: Condition<Attribute>, given: readonly string[], half: Half<T>, join: (alternatives: T[]) => T): T[] | undefined {
    if (given.length === 0) return [];
    const drop = this.#target.action === RBAC_Action.ALLOW ? undefined : [];
    const { attribute } = condition;
    if (attribute.httpOnly && this.#target.protocol === 'tcp') return drop;
    const values = attribute.expand?.(given, this.#context.trustDomains) ?? given;
    if ('all' in half) {
      const made = this.#take(condition, half.all(values, condition.key, this.#context));
      return made === undefined ? drop : [made];
    }
    const alternatives: T[] = [];
    for (const value of values) {
      const made = this.#take(condition, half.each(value, condition.key, this.#context));
      if (made !== undefined) alternatives.push(made);
      else if (drop === undefined) return undefined;
    }
    return alternatives.length === 0 ? [] : [join(alternatives)];
  }

  #take<T>(condition: Condition<Attribute>, result: Made<T>): T | undefined {
    if ('made' in result) return result.made;
    this.#faults.push({ path: condition.path, message: result.error });
    return undefined;
  }
}

const anyPermission = (rules: Permission[]): Permission => create(PermissionSchema, { rule: { case: 'orRules', value: { rules } } });
const notPermission = (rule: Permission): Permission => create(PermissionSchema, { rule: { case: 'notRule', value: rule } });
const anyPrincipal = (ids: Principal[]): Principal => create(PrincipalSchema, { identifier: { case: 'orIds', value: { ids } } });
const notPrincipal = (id: Principal): Principal => create(PrincipalSchema, { identifier: { case: 'notId', value: id } });

function allPermissions(rules: Permission[]): Permission {
  const all = rules.length > 0 ? rules : [create(PermissionSchema, { rule: { case: 'any', value: true } })];
  return create(PermissionSchema, { rule: { case: 'andRules', value: { rules: all } } });
}

function allPrincipals(ids: Principal[]): Principal {
  const all = ids.length > 0 ? ids : [create(PrincipalSchema, { identifier: { case: 'any', value: true } })];
  return create(PrincipalSchema, { identifier: { case: 'andIds', value: { ids: all } } });
}
