import { indexPath } from '../../lib/path.ts';
import type { AuthorizationPolicy, Condition, Operation, Rule, Source } from '../authorization-policy.ts';
import { quote, type Report } from '../structure.ts';
import { isIpRange } from './check.ts';
import { checkTargets } from './selector.ts';

export function validateAuthorizationPolicy({ spec, annotations }: AuthorizationPolicy, report: Report): void {
  checkTargets(spec, report);
  const { action = 'ALLOW', rules, provider } = spec;
  const dryRun = annotations['istio.io/dry-run'] !== undefined;
  if (action === 'CUSTOM') {
    if (rules === undefined) report('spec.rules', 'is required with action CUSTOM; "- {}" matches every request');
    if ((provider?.name ?? '') === '') report('spec.provider.name', 'is required with action CUSTOM');
  } else if (provider !== undefined) report('spec.provider', 'must only be set with action CUSTOM');
  if (action === 'DENY' && rules === undefined) {
    report('spec.rules', 'is required with action DENY: without rules the policy denies nothing; "- {}" denies everything');
  }
  if (dryRun && action !== 'ALLOW' && action !== 'DENY')
    report('metadata.annotations["istio.io/dry-run"]', `must not be set with action ${action}`);
  rules?.forEach((rule, index) => checkRule(rule, action, indexPath('spec.rules', index), report));
}

function checkRule({ from, to, when }: Rule, action: string, path: string, report: Report): void {
  if (from?.length === 0) report(`${path}.from`, 'must not be empty: nothing would match; leave it out to match every source');
  if (to?.length === 0) report(`${path}.to`, 'must not be empty: nothing would match; leave it out to match every operation');
  from?.forEach(({ source }, index) => checkSource(source, `${indexPath(`${path}.from`, index)}.source`, report));
  to?.forEach(({ operation }, index) => checkOperation(operation, `${indexPath(`${path}.to`, index)}.operation`, report));
  when?.forEach((condition, index) => checkCondition(condition, indexPath(`${path}.when`, index), report));
  if (action !== 'DENY') return;
  for (const field of http.filter((name) => isSet(from, to, name))) {
    report(
      path,
      `uses ${field}, which only HTTP has: on TCP ports the rule denies every connection that its other fields match`,
      'Invalid',
      'warning',
    );
  }
}

const http = ['requestPrincipals', 'notRequestPrincipals', 'methods', 'notMethods', 'paths', 'notPaths', 'hosts', 'notHosts'] as const;

function isSet(from: Rule['from'], to: Rule['to'], field: string): boolean {
  return [...(from ?? []).map(({ source }) => source), ...(to ?? []).map(({ operation }) => operation)].some(
    (part) => part !== undefined && Object.hasOwn(part, field),
  );
}

const addresses = ['ipBlocks', 'notIpBlocks', 'remoteIpBlocks', 'notRemoteIpBlocks'];

function checkSource(source: Source | undefined, path: string, report: Report): void {
  if (source === undefined || Object.keys(source).length === 0) {
    report(path, 'must set something; leave "from" out to match every source');
    return;
  }
  for (const [field, values] of Object.entries(source)) {
    checkValues(values, `${path}.${field}`, report);
    values.forEach((value, index) => {
      const at = indexPath(`${path}.${field}`, index);
      if (addresses.includes(field) && value !== '' && !isIpRange(value))
        report(at, `must be an IP address or CIDR; found ${quote(value)}`);
      if (field === 'principals' || field === 'notPrincipals') checkPrincipal(value, at, report);
      if ((field === 'serviceAccounts' || field === 'notServiceAccounts') && value.split('/').length > 2) {
        report(at, `must be a name or namespace/name; found ${quote(value)}`);
      }
    });
  }
}

/** Istio's principals have no scheme, so that one with it never matches anybody. */
function checkPrincipal(value: string, path: string, report: Report): void {
  if (value.startsWith('spiffe://')) report(path, `never matches: leave "spiffe://" out of ${quote(value)}`, 'Invalid', 'warning');
}

function checkOperation(operation: Operation | undefined, path: string, report: Report): void {
  if (operation === undefined || Object.keys(operation).length === 0) {
    report(path, 'must set something; leave "to" out to match every operation');
    return;
  }
  for (const [field, values] of Object.entries(operation)) {
    checkValues(values, `${path}.${field}`, report);
    values.forEach((value, index) => {
      const at = indexPath(`${path}.${field}`, index);
      if (field === 'ports' || field === 'notPorts') checkPortText(value, at, report);
      if (field === 'paths' || field === 'notPaths') checkPath(value, at, report);
    });
  }
}

function checkValues(values: readonly string[], path: string, report: Report): void {
  if (values.length === 0) report(path, 'must not be empty; leave it out to match everything');
  values.forEach((value, index) => {
    if (value === '') report(indexPath(path, index), 'must not be empty');
  });
}

function checkPortText(value: string, path: string, report: Report): void {
  const port = /^\d{1,5}$/.test(value) ? Number(value) : 0;
  if (value !== '' && (port < 1 || port > 65535)) report(path, `must be a port between 1 and 65535; found ${quote(value)}`);
}

/** `{*}` is one segment, `{**}` any number of them, at the end of the path; `*` alone is not mixed with them. */
function checkPath(value: string, path: string, report: Report): void {
  if (!value.includes('{') && !value.includes('}')) return;
  const segments = value.split('/');
  const wrong = segments.find((segment, index) => /[{}*]/.test(segment) && segment !== '{*}' && !(segment === '{**}' && index > 0));
  if (wrong !== undefined) report(path, `may have "{*}" and "{**}" as whole segments only, and no "*" beside them; found ${quote(value)}`);
  const several = segments.indexOf('{**}');
  if (several >= 0 && segments.slice(several + 1).some((segment) => segment === '{*}' || segment === '{**}')) {
    report(path, `must have "{**}" as its last pattern; found ${quote(value)}`);
  }
}

const plainKeys = new Set([
  'request.auth.principal',
  'request.auth.audiences',
  'request.auth.presenter',
  'source.ip',
  'remote.ip',
  'source.namespace',
  'source.serviceAccount',
  'source.principal',
  'source.trustDomain',
  'destination.ip',
  'destination.port',
  'connection.sni',
]);

const keyPattern = /^(request\.headers\[[^\]]+\]|request\.auth\.claims(\[[^\]]+\])+|experimental\.envoy\.filters\..+)$/;

function checkCondition({ key, values = [], notValues = [] }: Condition, path: string, report: Report): void {
  if (key === '') report(`${path}.key`, 'is required');
  else if (!plainKeys.has(key) && !keyPattern.test(key)) report(`${path}.key`, `is no attribute that can be tested: ${quote(key)}`);
  if (values.length === 0 && notValues.length === 0) report(path, 'must set values or notValues');
  for (const [field, list] of [
    ['values', values],
    ['notValues', notValues],
  ] as const) {
    list.forEach((value, index) => {
      const at = indexPath(`${path}.${field}`, index);
      if (value === '') report(at, 'must not be empty');
      else if (/^(source|remote|destination)\.ip$/.test(key) && !isIpRange(value))
        report(at, `must be an IP address or CIDR; found ${quote(value)}`);
      else if (key === 'destination.port') checkPortText(value, at, report);
    });
  }
}
