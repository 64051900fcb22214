/** AuthorizationPolicy to RBAC filters: istiod's own cases and tables, message by message. */
import type { JsonValue } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { FilterSchema } from '#gen/envoy/config/listener/v3/listener_components_pb.js';
import { PermissionSchema, PrincipalSchema, RBAC_Action, PolicySchema } from '#gen/envoy/config/rbac/v3/rbac_pb.js';
import { HeaderMatcherSchema } from '#gen/envoy/config/route/v3/route_components_pb.js';
import { UriTemplateMatchConfigSchema } from '#gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js';
import { HttpFilterSchema } from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { PathMatcherSchema } from '#gen/envoy/type/matcher/v3/path_pb.js';
import { StringMatcherSchema } from '#gen/envoy/type/matcher/v3/string_pb.js';
import type { AuthorizationPolicySpec, Rule } from '../../src/apis/authorization-policy.ts';
import { objectKey } from '../../src/apis/object.ts';
import { buildAuthorization } from '../../src/envoy/filters/rbac.ts';
import { type Attribute, attributeOf, hosts, methods, type RuleContext, serviceAccountRegex } from '../../src/envoy/rbac/attributes.ts';
import {
  containsPathTemplate,
  exactString,
  headerMatcher,
  hostMatcher,
  pathMatcher,
  pathTemplateMatcher,
  policyString,
  prefixString,
  regexString,
  suffixString,
} from '../../src/envoy/rbac/matchers.ts';
import { nameInBrackets, namesInBrackets, parsePort } from '../../src/envoy/rbac/parse.ts';
import { translateRule } from '../../src/envoy/rbac/rule.ts';
import { enforcesTrustDomain, expandPrincipals, matchesAny, trustDomainOf, withTrustDomain } from '../../src/envoy/rbac/trust-domain.ts';
import type { MeshAuthorizationPolicy } from '../../src/mesh/model.ts';
import { asJson, caseFile, caseNames, documents, normalized, table } from './data.ts';

interface Case {
  readonly protocol: 'http' | 'tcp';
  readonly trustDomain?: string;
  readonly trustDomainAliases?: readonly string[];
  readonly customAction: boolean;
  readonly expectedFilters: readonly string[];
}

interface PolicyDocument {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: AuthorizationPolicySpec;
}

function policies(yaml: string): MeshAuthorizationPolicy[] {
  return (documents(yaml) as unknown as PolicyDocument[]).map(({ metadata: { name, namespace, annotations }, spec }) => ({
    object: objectKey('AuthorizationPolicy', namespace, name),
    name,
    namespace,
    spec: spec ?? {},
    dryRun: annotations?.['istio.io/dry-run'] === 'true',
    untranslated: [],
  }));
}

const builderCases = caseNames('authz-builder').map(
  (name) => [name, JSON.parse(caseFile('authz-builder', name, 'case.json')) as Case] as const,
);

describe('policies to filters', () => {
  it.each(builderCases.filter(([, { customAction }]) => !customAction))('%s', (name, settings) => {
    const trustDomains = [settings.trustDomain ?? 'cluster.local', ...(settings.trustDomainAliases ?? [])];
    const built = buildAuthorization({ policies: policies(caseFile('authz-builder', name, 'policy.yaml')), trustDomains });
    const got =
      settings.protocol === 'http' ? built.http.map((f) => asJson(HttpFilterSchema, f)) : built.tcp.map((f) => asJson(FilterSchema, f));
    const want = settings.expectedFilters.map((file) =>
      normalized(
        settings.protocol === 'http' ? HttpFilterSchema : FilterSchema,
        documents(caseFile('authz-builder', name, file))[0] ?? null,
      ),
    );
    expect(got).toEqual(want);
  });
});

interface Typed {
  readonly '@type': string;
  readonly value: JsonValue;
}

describe('values to matchers', () => {
  it.each(table<{ name: string; v: string; prefix: string; want: Typed }>('authz-tables', 'StringMatcherWithPrefix').rows)(
    'string $case',
    ({ v, prefix, want }) => {
      expect(asJson(StringMatcherSchema, policyString(v, prefix))).toEqual(normalized(StringMatcherSchema, want.value));
    },
  );

  it.each([
    ['StringMatcherExact', exactString],
    ['StringMatcherPrefix', prefixString],
    ['StringMatcherSuffix', suffixString],
    ['StringMatcherRegex', regexString],
  ] as const)('%s', (name, build) => {
    const { rows } = table<{ str?: string; v?: string; ignoreCase?: boolean; want: Typed }>('authz-tables', name);
    expect(rows.length).toBeGreaterThan(0);
    for (const { str, v = '', ignoreCase, want } of rows) {
      expect(asJson(StringMatcherSchema, build(str ?? v, ignoreCase))).toEqual(normalized(StringMatcherSchema, want.value));
    }
  });

  it.each(table<{ v: string; prefix: string; match: string; noMatch: string }>('authz-tables', 'StringMatcherRegex_Match').rows)(
    'a suffix is literal: $case',
    ({ v, prefix, match, noMatch }) => {
      const pattern = policyString(v, prefix).matchPattern;
      const regex = new RegExp(`^(?:${pattern.case === 'safeRegex' ? pattern.value.regex : '(?!)'})$`);
      expect([regex.test(match), regex.test(noMatch)]).toEqual([true, false]);
    },
  );

  it.each(table<{ K: string; V: string; Expect: Typed }>('authz-tables', 'HeaderMatcher').rows)('header $case', ({ K, V, Expect }) => {
    expect(asJson(HeaderMatcherSchema, headerMatcher(K, V))).toEqual(normalized(HeaderMatcherSchema, Expect.value));
  });

  it.each(table<{ K: string; V: string; Expect: Typed }>('authz-tables', 'HostMatcher').rows)('host $case', ({ K, V, Expect }) => {
    expect(asJson(HeaderMatcherSchema, hostMatcher(K, V))).toEqual(normalized(HeaderMatcherSchema, Expect.value));
  });

  it.each(table<{ V: string; Expect: Typed }>('authz-tables', 'PathMatcher').rows)('path $case', ({ V, Expect }) => {
    expect(asJson(PathMatcherSchema, pathMatcher(V))).toEqual(normalized(PathMatcherSchema, Expect.value));
  });

  it.each(table<{ path: string; want: Typed }>('authz-tables', 'PathTemplateMatcher').rows)('path template $case', ({ path, want }) => {
    expect(asJson(UriTemplateMatchConfigSchema, pathTemplateMatcher(path))).toEqual(normalized(UriTemplateMatchConfigSchema, want.value));
  });

  it.each(table<{ path: string; isPathTemplate: boolean }>('authz-tables', 'ContainsPathTemplate').rows)(
    'is a template: $case',
    ({ path, isPathTemplate }) => {
      expect(containsPathTemplate(path)).toBe(isPathTemplate);
    },
  );
});

const generators: Readonly<Record<string, Attribute | undefined>> = {
  destIPGenerator: attributeOf('destination.ip'),
  destPortGenerator: attributeOf('destination.port'),
  connSNIGenerator: attributeOf('connection.sni'),
  envoyFilterGenerator: attributeOf('experimental.'),
  srcIPGenerator: attributeOf('source.ip'),
  remoteIPGenerator: attributeOf('remote.ip'),
  srcNamespaceGenerator: attributeOf('source.namespace'),
  srcTrustDomainGenerator: attributeOf('source.trustDomain'),
  srcServiceAccountGenerator: attributeOf('source.serviceAccount'),
  srcPrincipalGenerator: attributeOf('source.principal'),
  requestPrincipalGenerator: attributeOf('request.auth.principal'),
  requestAudiencesGenerator: attributeOf('request.auth.audiences'),
  requestPresenterGenerator: attributeOf('request.auth.presenter'),
  requestHeaderGenerator: attributeOf('request.headers'),
  requestClaimGenerator: attributeOf('request.auth.claims'),
  hostGenerator: hosts,
  methodGenerator: methods,
};

const behindTunnel: RuleContext = { namespace: '', trustDomains: [], peer: 'filterState' };

describe('attributes to permissions and principals', () => {
  it.each(table<{ g: string; key: string; value: string; want: Typed | null }>('authz-tables', 'Generator').rows)(
    '$case',
    ({ g, key, value, want }) => {
      const attribute = generators[g];
      expect(attribute).toBeDefined();
      if (attribute === undefined) return;
      const result = 'all' in attribute ? attribute.all([value], key, behindTunnel) : attribute.each(value, key, behindTunnel);
      const schema = attribute.half === 'permission' ? PermissionSchema : PrincipalSchema;
      const got = 'made' in result ? asJson(schema, result.made as never) : null;
      expect(got).toEqual(want === null || want === undefined ? null : normalized(schema, want.value));
    },
  );

  it.each(table<{ in: string; want: string }>('authz-tables', 'RequestPrincipal').rows)('request principal $in', ({ in: value, want }) => {
    const attribute = attributeOf('request.auth.principal');
    const result =
      attribute?.half === 'principal' && 'all' in attribute ? attribute.all([value], '', behindTunnel) : { error: 'no such attribute' };
    expect('made' in result ? asJson(PrincipalSchema, result.made) : result).toEqual(
      normalized(PrincipalSchema, documents(want)[0] ?? null),
    );
  });

  it.each(table<{ Input: string; Identity: string; Match: boolean }>('authz-tables', 'ServiceAccount').rows)(
    'service account: $case',
    ({ Input, Identity, Match }) => {
      expect(new RegExp(`^(?:${serviceAccountRegex('', Input)})$`).test(Identity)).toBe(Match);
    },
  );
});

describe('trust domains', () => {
  const bundle = (row: { readonly trustDomainBundle: { readonly TrustDomains: readonly string[] } }) => row.trustDomainBundle.TrustDomains;

  it.each(
    table<{ principals: string[]; expect: string[]; trustDomainBundle: { TrustDomains: string[] } }>(
      'authz-tables',
      'ReplaceTrustDomainAliases',
    ).rows,
  )('$case', (row) => {
    expect(expandPrincipals(row.principals, bundle(row))).toEqual(row.expect);
  });

  it.each(table<{ principal: string; want: boolean }>('authz-tables', 'IsTrustDomainBeingEnforced').rows)(
    'enforced in $principal',
    ({ principal, want }) => {
      expect(enforcesTrustDomain(principal)).toBe(want);
    },
  );

  it.each(table<{ element: string; list: string[]; expected: boolean }>('authz-tables', 'StringMatch').rows)(
    'match $case',
    ({ element, list, expected }) => {
      expect(matchesAny(element, list)).toBe(expected);
    },
  );

  it.each(table<{ principal: string; trustDomainIn: string; out: string }>('authz-tables', 'ReplaceTrustDomainInPrincipal').rows)(
    'replaced: $case',
    ({ principal, trustDomainIn, out }) => {
      expect(withTrustDomain(trustDomainIn, principal) ?? '').toBe(out);
    },
  );

  it.each(table<{ principal: string; out: string }>('authz-tables', 'GetTrustDomainFromSpiffeIdentity').rows)(
    'of $principal',
    ({ principal, out }) => {
      expect(trustDomainOf(principal) ?? '').toBe(out);
    },
  );
});

interface RuleRow {
  readonly action?: 'ALLOW' | 'DENY';
  readonly forTCP?: boolean;
  readonly rule: { readonly value: Rule };
  readonly tdBundle?: { readonly TrustDomains: readonly string[] };
  readonly want: readonly string[] | null;
  readonly notWant: readonly string[] | null;
}

describe('rules to policies', () => {
  it.each([...table<RuleRow>('authz-tables', 'Model_Generate').rows, ...table<RuleRow>('authz-tables', 'Model_MigrateTrustDomain').rows])(
    '$case',
    (row) => {
      const target = { protocol: row.forTCP === true ? ('tcp' as const) : ('http' as const), action: RBAC_Action[row.action ?? 'ALLOW'] };
      const trustDomains = row.tdBundle?.TrustDomains ?? ['cluster.local'];
      const { policy } = translateRule(row.rule.value, target, { namespace: 'foo', trustDomains, peer: 'certificate' });
      const text = policy === undefined ? '' : JSON.stringify(asJson(PolicySchema, policy));
      expect((row.want ?? []).filter((part) => !text.includes(part))).toEqual([]);
      expect((row.notWant ?? []).filter((part) => text.includes(part))).toEqual([]);
    },
  );
});

describe('texts', () => {
  it.each(table<{ V: string; Err: string; Expect: number }>('authz-tables', 'ConvertToPort').rows)('port $V', ({ V, Err, Expect }) => {
    expect(parsePort(V)).toBe(Err === '' || Err === undefined ? Expect : undefined);
  });

  it.each(table<{ s: string; err: boolean; want: string }>('authz-tables', 'ExtractNameInBrackets').rows)('$s', ({ s, err, want }) => {
    expect(nameInBrackets(s)).toBe(err ? undefined : want);
  });

  it.each(table<{ s: string; err: boolean; want: string[] }>('authz-tables', 'ExtractNameInNestedBrackets').rows)(
    '$s nested',
    ({ s, err, want }) => {
      expect(namesInBrackets(s)).toEqual(err ? undefined : want);
    },
  );
});
