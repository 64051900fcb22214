import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { KindSchema } from './kind.ts';
import { findKind, kinds } from './kinds.ts';
import { parseObject } from './parse.ts';
import { untranslatedPaths } from './untranslated.ts';

const read = (text: string) => parseObject(parse(text), { file: 'a.yaml', line: 1, lineOf: (path) => path.length });

const virtualService = (spec: string) =>
  read(`{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: a}, spec: ${spec}}`);

const brief = ({ problems }: ReturnType<typeof parseObject>) =>
  problems.map(({ severity, reason, path, message }) => `${severity} ${reason} ${path}: ${message}`);

describe('parseObject', () => {
  it('gives metadata, spec and origin', () => {
    const { object, problems } = read(`
apiVersion: networking.istio.io/v1beta1
kind: DestinationRule
metadata: {name: a, namespace: shop, labels: {x: y}, creationTimestamp: "2024-01-01T00:00:00Z", generation: 3, managedFields: []}
spec: {host: reviews, trafficPolicy: {tls: {mode: SIMPLE}, outlierDetection: {consecutive5xxErrors: null, interval: 5s}}}
status: {anything: 1}
`);
    expect(problems).toEqual([]);
    expect(object).toMatchObject({
      kind: 'DestinationRule',
      apiVersion: 'networking.istio.io/v1beta1',
      name: 'a',
      namespace: 'shop',
      labels: { x: 'y' },
      annotations: {},
      creationTimestamp: '2024-01-01T00:00:00Z',
      generation: 3,
      origin: { file: 'a.yaml' },
    });
    expect(object?.spec).toEqual({ host: 'reviews', trafficPolicy: { tls: { mode: 'SIMPLE' }, outlierDetection: { interval: '5s' } } });
  });

  it('reads kinds without a spec, and only the fields that are used of Kubernetes kinds', () => {
    const { object, problems } = read(
      '{apiVersion: v1, kind: Secret, metadata: {name: a}, type: kubernetes.io/tls, data: {tls.crt: YQ==}, immutable: true}',
    );
    expect(problems).toEqual([]);
    expect(object?.spec).toEqual({ type: 'kubernetes.io/tls', data: { 'tls.crt': 'YQ==' } });
    expect(read('{apiVersion: v1, kind: Namespace, metadata: {name: a, namespace: b}}').object?.namespace).toBe('');
  });

  it('never prints what a Secret holds', () => {
    const { object, problems } = read('{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {key: "p4ssw0rd!"}}');
    expect(object).toBeUndefined();
    expect(JSON.stringify(problems)).not.toContain('p4ssw0rd');
  });

  it('keeps an object with unknown fields and says what was meant', () => {
    const parsed = virtualService('{hosts: [a.b], http: [{rout: [], route: [{destination: {host: a}}], timeOut: 5s}], exporTo: ["*"]}');
    expect(parsed.object?.spec).toEqual({ hosts: ['a.b'], http: [{ route: [{ destination: { host: 'a' } }] }] });
    expect(brief(parsed)).toEqual([
      'warning UnknownField spec.http[0].rout: unknown field "rout" is ignored; did you mean "route"?',
      'warning UnknownField spec.http[0].timeOut: unknown field "timeOut" is ignored; did you mean "timeout"?',
      'warning UnknownField spec.exporTo: unknown field "exporTo" is ignored; did you mean "exportTo"?',
    ]);
    expect(parsed.problems[0]?.origin).toEqual({ file: 'a.yaml', line: 'spec.http[0].rout'.length });
  });

  it('reports every fault of structure and rules at once', () => {
    expect(
      brief(virtualService('{hosts: a, http: [{timeout: 0s, match: [{uri: {exact: a, prefix: b}, port: -1}], route: [{weight: x}]}]}')),
    ).toEqual([
      'error Invalid spec.hosts: must be an array; found "a"',
      'error Invalid spec.http[0].match[0].port: must be >= 0; found -1',
      'error Invalid spec.http[0].route[0].destination: is required',
      'error Invalid spec.http[0].route[0].weight: must be an integer; found "x"',
      'error Invalid spec.http[0].timeout: must be a valid duration greater than 1ms; found "0s"',
      'error Invalid spec.http[0].match[0].uri: only one of exact, prefix, regex may be set; found exact and prefix',
    ]);
  });

  it('reports what is accepted but has no effect yet', () => {
    const parsed = read(
      '{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: a}, spec: {host: a, trafficPolicy: {proxyProtocol: {version: V1}}}}',
    );
    expect(parsed.object).toBeDefined();
    expect(brief(parsed)).toEqual(['warning NotTranslated spec.trafficPolicy.proxyProtocol: is not translated yet: it has no effect']);
  });

  it('says of security that it fails closed', () => {
    const policy = (spec: string) =>
      read(`{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: a}, spec: ${spec}}`);
    expect(brief(policy('{action: CUSTOM, provider: {name: opa}, rules: [{}]}'))).toEqual([
      'error NotTranslated spec.action: is not translated yet: the listeners of its workloads are held back',
      'error NotTranslated spec.provider: is not translated yet: the listeners of its workloads are held back',
    ]);
    const translated = policy('{action: DENY, rules: [{from: [{source: {principals: [a/b]}}], to: [{operation: {ports: ["80"]}}]}]}');
    expect(brief(translated)).toEqual([]);
    expect(translated.object && untranslatedPaths(translated.object)).toEqual([]);
  });

  it.each([
    ['[]', 'must be a map'],
    ['null', 'must be a map'],
    ['{kind: Service, metadata: {name: a}}', 'apiVersion'],
    ['{apiVersion: v1, kind: Service}', 'metadata'],
    ['{apiVersion: v1, kind: Service, metadata: {name: A_b}}', 'DNS name'],
    ['{apiVersion: v1, kind: Service, metadata: {name: a, labels: {a: 1}}}', 'put it in quotes'],
    ['{apiVersion: networking.istio.io/v7, kind: Gateway, metadata: {name: a}}', 'is not served; use networking.istio.io/v1'],
    ['{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: a}}', 'is required'],
  ])('refuses %s', (text, expected) => {
    const parsed = read(text);
    expect(parsed.object).toBeUndefined();
    expect(brief(parsed).join('\n')).toContain(expected);
    expect(parsed.problems.some((problem) => problem.severity === 'error')).toBe(true);
  });

  it.each([
    ['apps/v1', 'Deployment', 'warning'],
    ['telemetry.istio.io/v1', 'Telemetry', 'warning'],
    ['networking.istio.io/v1beta1', 'ProxyConfig', 'warning'],
    ['security.istio.io/v1', 'AuthorizationPolicies', 'warning'],
  ])('says that %s %s is not read', (apiVersion, kind, severity) => {
    const { object, problems, key } = parseObject({ apiVersion, kind, metadata: { name: 'a' } }, {});
    expect(object).toBeUndefined();
    expect(key).toBe(`${kind}/default/a`);
    expect(problems.map((problem) => [problem.reason, problem.severity])).toEqual([['NotTranslated', severity]]);
  });

  it('bounds depth, size and the number of problems', () => {
    let deep: unknown = 'x';
    for (let i = 0; i < 10_000; i++) deep = { a: deep };
    const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'a' } };
    expect(brief(parseObject({ ...service, spec: deep }, {}))).toEqual(['error Invalid : is nested deeper than 64 levels']);
    const large = Array.from({ length: 600_000 }, () => 1);
    expect(brief(parseObject({ ...service, spec: large }, {}))).toEqual(['error Invalid : has more than 500000 values']);
    const many = Array.from({ length: 1000 }, () => ({ port: 'x' }));
    expect(parseObject({ ...service, spec: { ports: many } }, {}).problems).toHaveLength(101);
  });

  it('does not let keys reach prototypes', () => {
    const raw: unknown = JSON.parse(
      '{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","labels":{"__proto__":"x"}},"spec":{"selector":{"__proto__":{"polluted":1}}}}',
    );
    expect(parseObject(raw, {}).object).toBeUndefined();
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect(findKind('v1', 'constructor')).toBeUndefined();
  });

  /** A small generator with a fixed seed: a failure names the case. */
  it('never throws, whatever it is given', () => {
    let seed = 1;
    const random = (below: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return Math.floor((seed / 2147483648) * below);
    };
    const odd = [null, '', 'x', '*', '-1s', 0, -1, 1e300, Number.NaN, true, [], {}, [null], [[]], { a: null }, 'a/b', 'unix://', '%', '['];
    const generate = (schema: Record<string, unknown>, depth: number): unknown => {
      if (random(12) === 0 || depth > 12) return odd[random(odd.length)];
      const { properties, items, additionalProperties, enum: words } = schema as Record<string, Record<string, Record<string, unknown>>>;
      if (Array.isArray(words)) return (words as unknown[])[random(words.length)];
      if (items !== undefined) return Array.from({ length: random(3) }, () => generate(items, depth + 1));
      if (additionalProperties !== undefined) return { [String(odd[random(5)])]: generate(additionalProperties, depth + 1) };
      if (properties === undefined) return odd[random(odd.length)];
      return Object.fromEntries(
        Object.entries(properties).flatMap(([name, field]) => (random(3) > 0 ? [[name, generate(field, depth + 1)]] : [])),
      );
    };
    let accepted = 0;
    const silent: string[] = [];
    for (let round = 0; round < 300; round++) {
      for (const kind of kinds as readonly KindSchema[]) {
        const body = generate(kind.schema as unknown as Record<string, unknown>, 0);
        const raw = {
          apiVersion: kind.group === '' ? 'v1' : `${kind.group}/v1`,
          kind: kind.kind,
          metadata: { name: 'a' },
          ...(kind.body === 'spec' ? { spec: body } : (body as object)),
        };
        const { object, problems } = parseObject(raw, {});
        if (object !== undefined) accepted++;
        else if (!problems.some((problem) => problem.severity === 'error')) silent.push(JSON.stringify(raw));
      }
    }
    expect(silent).toEqual([]);
    expect(accepted).toBeGreaterThan(100);
  });
});

describe('the list of kinds', () => {
  it('has each kind once, and every rule in both languages', () => {
    expect(new Set(kinds.map((kind) => `${kind.group}/${kind.kind}`)).size).toBe(kinds.length);
    const rules: unknown[] = [];
    const walk = (schema: unknown): void => {
      if (typeof schema !== 'object' || schema === null) return;
      for (const [keyword, value] of Object.entries(schema)) {
        if (keyword === 'x-kubernetes-validations') rules.push(...(value as unknown[]));
        else walk(value);
      }
    };
    for (const kind of kinds) walk(kind.schema);
    expect(rules.length).toBeGreaterThan(50);
    for (const rule of rules) expect(rule).toEqual({ message: expect.any(String), rule: expect.any(String), holds: expect.any(Function) });
  });
});
