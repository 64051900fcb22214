import { describe, expect, it } from 'vitest';
import { RBAC_Action } from '#gen/envoy/config/rbac/v3/rbac_pb.js';
import type { Rule } from '../../apis/authorization-policy.ts';
import type { RuleContext } from './attributes.ts';
import { translateRule } from './rule.ts';

const context: RuleContext = { namespace: 'ns', trustDomains: ['new', 'old'], peer: 'certificate' };

const translate = (rule: Rule, action: 'ALLOW' | 'DENY', protocol: 'http' | 'tcp') =>
  translateRule(rule, { protocol, action: RBAC_Action[action] }, context);

/** The matchers of a policy's first permission and principal, one word each. */
function brief(rule: Rule, action: 'ALLOW' | 'DENY', protocol: 'http' | 'tcp') {
  const { policy } = translate(rule, action, protocol);
  if (policy === undefined) return undefined;
  const permission = policy.permissions[0]?.rule;
  const principal = policy.principals[0]?.identifier;
  return {
    permissions: permission?.case === 'andRules' ? permission.value.rules.map(({ rule: { case: kind } }) => kind) : [],
    principals: principal?.case === 'andIds' ? principal.value.ids.map(({ identifier: { case: kind } }) => kind) : [],
  };
}

describe('translateRule', () => {
  it('joins alternatives by or, and negates them together', () => {
    const rule = {
      from: [{ source: { namespaces: ['a', 'b'], notPrincipals: ['x/ns/y/sa/z'] } }],
      to: [{ operation: { notPorts: ['1', '2'] } }],
    };
    expect(brief(rule, 'ALLOW', 'http')).toEqual({ permissions: ['notRule'], principals: ['notId', 'orIds'] });
  });

  it('means every trust domain of the mesh by each of them', () => {
    const { policy } = translate(
      { from: [{ source: { principals: ['old/ns/a/sa/b', 'cluster.local/ns/c/sa/d', 'other/ns/e/sa/f'] } }] },
      'ALLOW',
      'http',
    );
    const text = JSON.stringify(policy);
    for (const principal of ['new/ns/a/sa/b', 'old/ns/a/sa/b', 'new/ns/c/sa/d', 'old/ns/c/sa/d', 'other/ns/e/sa/f']) {
      expect(text).toContain(`"spiffe://${principal}"`);
    }
    expect(text).not.toContain('cluster.local');
  });

  it('drops what TCP does not have: of ALLOW the rule, of DENY the attribute', () => {
    const rule = { from: [{ source: { namespaces: ['a'] } }], to: [{ operation: { methods: ['GET'], ports: ['80'] } }] };
    expect(brief(rule, 'ALLOW', 'tcp')).toBeUndefined();
    expect(brief(rule, 'DENY', 'tcp')).toEqual({ permissions: ['orRules'], principals: ['orIds'] });
    expect(brief(rule, 'ALLOW', 'http')).toEqual({ permissions: ['orRules', 'orRules'], principals: ['orIds'] });
    expect(translate(rule, 'ALLOW', 'tcp').faults).toEqual([]);
  });

  it('makes a rule with bad values narrower when it allows, wider when it denies', () => {
    const rule = { from: [{ source: { ipBlocks: ['10.0.0.0/33'] } }], when: [{ key: 'no.such', values: ['x'] }] };
    expect(brief(rule, 'ALLOW', 'http')).toBeUndefined();
    expect(brief(rule, 'DENY', 'http')).toEqual({ permissions: ['any'], principals: ['any'] });
    expect(translate(rule, 'DENY', 'http').faults).toEqual([
      { path: 'when[0].key', message: '"no.such" is not an attribute that a condition can name' },
      { path: 'from[0].source.ipBlocks', message: '"10.0.0.0/33" is not an IP address or CIDR' },
    ]);
  });

  it('puts conditions behind every source and operation', () => {
    const when = [
      { key: 'source.ip', values: ['10.0.0.1'] },
      { key: 'destination.port', values: ['80'] },
    ];
    const { policy } = translate(
      { from: [{ source: { namespaces: ['a'] } }, {}], to: [{ operation: { paths: ['/x'] } }, {}], when },
      'ALLOW',
      'http',
    );
    expect([policy?.principals.length, policy?.permissions.length]).toEqual([2, 2]);
    expect(JSON.stringify(policy).match(/10\.0\.0\.1/g)).toHaveLength(2);
    expect(JSON.stringify(policy).match(/"destinationPort"/g)).toHaveLength(2);
  });
});
