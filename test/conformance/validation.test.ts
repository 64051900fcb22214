import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { findKind } from '../../src/apis/kinds.ts';
import { parseObject } from '../../src/apis/parse.ts';

const shared = new URL('../../../shared/conformance/', import.meta.url);
const tables = new URL('validation-tables/tables/', shared);
const crdCases = new URL('validation-crds/cases/', shared);
const found = existsSync(tables) && existsSync(crdCases);
if (!found && process.env['CI'] !== undefined) throw new Error(`the validation cases are needed: ${shared.pathname} is missing`);
const suffix = found ? '' : ' (skipped: conformance data is not beside the repository)';

interface Row {
  readonly case: string;
  readonly goOnly?: boolean;
  readonly valid?: boolean;
  readonly out?: string;
  readonly err?: boolean | string;
  readonly wantErr?: boolean;
  readonly namespace?: string;
  readonly annotations?: Record<string, string> | null;
  readonly [field: string]: unknown;
}

/** Strings that the tables abbreviate, and protobuf messages as plain JSON. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  const { '@type': type, value: inner, $repeat, count } = value as Record<string, unknown>;
  if (typeof $repeat === 'string') return $repeat.repeat(Number(count));
  if (type !== undefined) return plain(inner);
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, plain(field)]));
}

type Wrap = (value: unknown, row: Row) => unknown;

const route = { route: [{ destination: { host: 'foo.bar' } }] };
const http = (value: object) => ({ hosts: ['foo.bar'], http: [value] });
const policy = (value: object) => ({ host: 'reviews', trafficPolicy: value });
const https = { name: 'https', number: 443, protocol: 'HTTPS' };

/** How the message of each table becomes the spec of an object. */
const wraps: Readonly<Record<string, readonly [kind: string, field: string, wrap: Wrap]>> = {
  ValidateVirtualService: ['VirtualService', 'in', (v) => v],
  ValidateChainingVirtualService: ['VirtualService', 'in', (v) => v],
  ValidateHTTPRoute: ['VirtualService', 'route', (v) => http(v as object)],
  ValidateRootHTTPRoute: ['VirtualService', 'route', (v) => http(v as object)],
  ValidateDelegateHTTPRoute: ['VirtualService', 'route', (v) => ({ http: [v] })],
  ValidateRouteDestination: ['VirtualService', 'routes', (v) => ({ hosts: ['foo.bar'], tcp: [{ route: v }] })],
  ValidateHTTPRedirect: ['VirtualService', 'redirect', (v) => http({ redirect: v })],
  ValidateHTTPRetry: ['VirtualService', 'in', (v) => http({ ...route, retries: v })],
  ValidateHTTPRewrite: ['VirtualService', 'in', (v) => http({ ...route, rewrite: v ?? undefined })],
  ValidateUriRegexRewrite: ['VirtualService', 'in', (v) => http({ ...route, rewrite: { uriRegexRewrite: v } })],
  ValidateHTTPDirectResponse: ['VirtualService', 'directResponse', (v) => http(v === null ? route : { directResponse: v })],
  ValidateHTTPFaultInjectionAbort: ['VirtualService', 'in', (v) => http({ ...route, ...(v !== null && { fault: { abort: v } }) })],
  ValidateHTTPFaultInjectionDelay: ['VirtualService', 'in', (v) => http({ ...route, ...(v !== null && { fault: { delay: v } }) })],
  ValidateCORSPolicy: ['VirtualService', 'in', (v) => http({ ...route, corsPolicy: v })],
  ValidateDestination: ['VirtualService', 'destination', (v) => http({ route: [{ destination: v }] })],
  ValidateHTTPHeaderName: ['VirtualService', 'name', (v) => http({ ...route, match: [{ headers: { [v as string]: { exact: 'a' } } }] })],
  StrictValidateHTTPHeaderName: [
    'VirtualService',
    'name',
    (v) => http({ ...route, headers: { request: { add: { [v as string]: 'a' } } } }),
  ],
  ValidateHTTPHeaderValue: ['VirtualService', 'input', (v) => http({ ...route, headers: { request: { set: { a: v } } } })],
  ValidateHTTPStatus: ['VirtualService', 'in', (v) => http({ directResponse: { status: v } })],
  ValidateDestinationRule: ['DestinationRule', 'in', (v) => v],
  ValidateTrafficPolicy: ['DestinationRule', 'in', (v) => policy(v as object)],
  ValidateConnectionPool: ['DestinationRule', 'in', (v) => policy({ connectionPool: v })],
  ValidateLoadBalancer: ['DestinationRule', 'in', (v) => policy({ loadBalancer: v })],
  ValidateOutlierDetection: ['DestinationRule', 'in', (v) => policy({ outlierDetection: v })],
  ValidateTLS: ['DestinationRule', 'tls', (v) => policy({ tls: v })],
  ValidateLocalityLbSetting: [
    'DestinationRule',
    'in',
    (v, { outlier }) => policy({ loadBalancer: { localityLbSetting: v ?? undefined }, outlierDetection: outlier ?? undefined }),
  ],
  ValidateZoneAwareLbSetting: [
    'DestinationRule',
    'in',
    (v, { outlier }) => policy({ loadBalancer: { zoneAwareLbSetting: v ?? undefined }, outlierDetection: outlier ?? undefined }),
  ],
  ValidateLocalities: [
    'DestinationRule',
    'localities',
    (v) => policy({ loadBalancer: { localityLbSetting: { distribute: distributions(v as string[]) } } }),
  ],
  validateExportTo: [
    'DestinationRule or ServiceEntry',
    'exportTo',
    (v, row) => ({
      ...(row['isServiceEntry'] === true ? { hosts: ['a.b'] } : { host: 'a' }),
      exportTo: v,
      ...(row['isDestinationRuleWithSelector'] === true && { workloadSelector: { matchLabels: { a: 'b' } } }),
    }),
  ],
  ValidateGateway: ['Gateway', 'in', (v) => v],
  ValidateServer: ['Gateway', 'in', (v) => ({ servers: [v] })],
  ValidateServerPort: ['Gateway', 'in', (v, { bind }) => ({ servers: [{ hosts: ['*'], port: v, bind }] })],
  ValidateTlsOptions: ['Gateway', 'in', (v) => ({ servers: [{ hosts: ['*'], port: https, tls: v }] })],
  ValidateServiceEntries: ['ServiceEntry', 'in', (v) => v],
  ValidateWorkloadEntry: ['WorkloadEntry', 'in', (v) => v],
  ValidateSidecar: ['Sidecar', 'in', (v) => v],
  ValidatePeerAuthentication: ['PeerAuthentication', 'in', (v) => v],
  ValidateAuthorizationPolicy: ['AuthorizationPolicy', 'in', (v) => v],
  ValidateRequestAuthentication: ['RequestAuthentication', 'in', (v) => v],
};

const distributions = (localities: readonly string[]) => localities.map((from) => ({ from, to: { 'a/b': 100 } }));

/** A table of two kinds says in each row which one it means. */
const kindOf = (kind: string, row: Row) =>
  kind.includes(' ') ? (row['isServiceEntry'] === true ? 'ServiceEntry' : 'DestinationRule') : kind;

/** Rows whose message cannot be written as an object, or that ask what is decided elsewhere. */
const skipped: Readonly<Record<string, string>> = {
  'ValidateHTTPRoute 26:null header match': 'a nil message of Go; {} in an object asks for the presence of the header',
  'ValidateRootHTTPRoute 3:null header match': 'the same',
  'ValidateLoadBalancer 1:valid load balancer with consistentHash load balancing': 'a uint64 as a string, which the CRD refuses',
  'ValidateServer 18:bind unix path': 'port.number 0 is left out, which the CRD requires',
  'ValidateTlsOptions 26:mutual more than 2 certs': 'the CRD allows two',
};

const apiVersions: Readonly<Record<string, string>> = {
  PeerAuthentication: 'security.istio.io/v1',
  AuthorizationPolicy: 'security.istio.io/v1',
  RequestAuthentication: 'security.istio.io/v1',
};

function isValid(row: Row): boolean {
  if (row.valid !== undefined) return row.valid;
  if (row.out !== undefined) return row.out === '';
  if (row.wantErr !== undefined) return !row.wantErr;
  if ('expected' in row) return row['expected'] === null;
  return row.err === false || row.err === '';
}

function rowsOf(table: string): readonly (readonly [string, Row])[] {
  if (!found) return [];
  const { rows } = JSON.parse(readFileSync(new URL(`${table}.json`, tables), 'utf8')) as { rows: Row[] };
  return rows.filter((row) => row.goOnly !== true && skipped[`${table} ${row.case}`] === undefined).map((row) => [row.case, row]);
}

describe.skipIf(!found)(`Istio's tables of its validating webhook${suffix}`, () => {
  describe.each(Object.entries(wraps))('%s', (table, [kind, field, wrap]) => {
    it.each(rowsOf(table))('%s', (_name, row) => {
      const raw = {
        apiVersion: apiVersions[kind] ?? 'networking.istio.io/v1',
        kind: kindOf(kind, row),
        metadata: { name: 'foo', namespace: row.namespace ?? 'default', annotations: row.annotations ?? undefined },
        spec: JSON.parse(JSON.stringify(wrap(plain(row[field]), row))) as unknown,
      };
      const { object, problems } = parseObject(raw, {});
      const errors = problems.filter((problem) => problem.severity === 'error' && problem.reason !== 'NotTranslated');
      expect({ valid: object !== undefined, errors: isValid(row) ? errors : [] }).toEqual({ valid: isValid(row), errors: [] });
      expect(errors.length > 0).toBe(!isValid(row));
    });
  });
});

describe.skipIf(!found)(`Istio's cases of its CRDs${suffix}`, () => {
  const cases = found ? readdirSync(crdCases) : [];
  const ours = cases.filter((name) => {
    const { apiVersion, kind } = JSON.parse(readFileSync(new URL(`${name}/case.json`, crdCases), 'utf8')) as Record<string, string>;
    return findKind(apiVersion ?? '', kind ?? '') !== undefined;
  });

  it('has cases of our kinds', () => {
    expect(ours.length).toBeGreaterThan(30);
  });

  it.each(ours)('%s', (name) => {
    const { valid } = JSON.parse(readFileSync(new URL(`${name}/case.json`, crdCases), 'utf8')) as { valid: boolean };
    const { _err, ...raw } = parse(readFileSync(new URL(`${name}/object.yaml`, crdCases), 'utf8')) as Record<string, unknown>;
    const { object, problems } = parseObject(raw, {});
    const errors = problems.filter((problem) => problem.severity === 'error' && problem.reason !== 'NotTranslated');
    expect({ valid: object !== undefined, errors: valid ? errors : [] }).toEqual({ valid, errors: [] });
    expect(errors.length > 0).toBe(!valid);
    expect(_err === undefined).toBe(valid);
  });
});
