/** HTTP routes of VirtualServices. */
import { fieldPath, indexPath } from '../../lib/path.ts';
import { re2Fault } from '../../lib/regex.ts';
import { quote, type Report } from '../structure.ts';
import type {
  CorsPolicy,
  Destination,
  Headers,
  HTTPDirectResponse,
  HTTPFaultInjection,
  HTTPMatchRequest,
  HTTPRedirect,
  HTTPRetry,
  HTTPRewrite,
  HTTPRoute,
  StringMatch,
} from '../virtual-service.ts';
import {
  checkDuration,
  checkLabels,
  checkPercent,
  checkPort,
  isDnsLabel,
  isHeaderName,
  isHeaderValue,
  isPlainHeaderName,
  isWildcardDomain,
} from './check.ts';

export interface HttpRouteRole {
  /** `root` hands on to a delegate; `delegate` is handed to. */
  readonly kind: 'plain' | 'root' | 'delegate';
  readonly inGateway: boolean;
}

export function checkHttpRoute(route: HTTPRoute, { kind, inGateway }: HttpRouteRole, path: string, report: Report): void {
  checkAction(route, kind, path, report);
  route.match?.forEach((match, index) => checkMatch(match, inGateway, indexPath(`${path}.match`, index), report));
  checkHeaders(route.headers, `${path}.headers`, report);
  route.route?.forEach((destination, index) => {
    const at = indexPath(`${path}.route`, index);
    checkDestination(destination.destination, `${at}.destination`, report);
    checkHeaders(destination.headers, `${at}.headers`, report);
  });
  if (route.route !== undefined) checkWeights(route.route, `${path}.route`, report);
  checkDuration(route.timeout, `${path}.timeout`, report);
  if (route.retries !== undefined) checkRetries(route.retries, `${path}.retries`, report);
  if (route.redirect !== undefined) checkRedirect(route.redirect, route.match ?? [], `${path}.redirect`, report);
  if (route.rewrite !== undefined) checkRewrite(route.rewrite, `${path}.rewrite`, report);
  if (route.directResponse !== undefined) checkDirectResponse(route.directResponse, `${path}.directResponse`, report);
  if (route.fault !== undefined) checkFault(route.fault, `${path}.fault`, report);
  if (route.corsPolicy !== undefined) checkCors(route.corsPolicy, `${path}.corsPolicy`, report);
  checkMirrors(route, path, report);
  if (route.rewrite?.authority !== undefined && route.rewrite.authority !== '' && setsAuthority(route.headers)) {
    report(`${path}.rewrite.authority`, 'must not be set while headers.request.set changes the authority too');
  }
}

const setsAuthority = (headers: Headers | undefined) =>
  Object.keys(headers?.request?.set ?? {}).some((name) => [':authority', 'host'].includes(name.toLowerCase()));

/** Exactly one thing may happen to a request. */
function checkAction(route: HTTPRoute, kind: HttpRouteRole['kind'], path: string, report: Report): void {
  const actions = (['route', 'redirect', 'directResponse'] as const).filter((field) => {
    const value = route[field];
    return value !== undefined && !(Array.isArray(value) && value.length === 0);
  });
  if (kind === 'root') {
    for (const field of [...actions, ...(route.rewrite === undefined ? [] : (['rewrite'] as const))]) {
      report(`${path}.${field}`, 'must not be set beside delegate, which decides it');
    }
    if ((route.delegate?.name ?? '') === '') report(`${path}.delegate.name`, 'is required');
    return;
  }
  if (kind === 'delegate' && route.delegate !== undefined)
    report(`${path}.delegate`, 'must not be set in a delegate: only one level is allowed');
  if (actions.length === 0) report(path, 'must have a route, redirect or directResponse');
  if (actions.length > 1) report(path, `must have only one of ${actions.join(' and ')}`);
  const answers = actions.find((field) => field !== 'route');
  if (answers !== undefined && route.rewrite !== undefined) report(`${path}.rewrite`, `has nothing to do beside ${answers}`);
  if (answers === 'redirect' && route.fault !== undefined) report(`${path}.fault`, 'must not be set beside redirect');
}

export function checkDestination(destination: Destination, path: string, report: Report): void {
  const { host, subset, port } = destination;
  if (host === '*' || !isWildcardDomain(host)) report(`${path}.host`, `is no valid host: ${quote(host)}`);
  if (subset !== undefined && subset !== '' && !isDnsLabel(subset))
    report(`${path}.subset`, `is no valid name of a subset: ${quote(subset)}`);
  if (port !== undefined) checkPort(port.number, `${path}.port.number`, report);
}

/** Weights are shares of their sum, whatever it is. */
export function checkWeights(routes: readonly { readonly weight?: number }[], path: string, report: Report): void {
  routes.forEach(({ weight }, index) => {
    if (weight !== undefined && weight < 0) report(`${indexPath(path, index)}.weight`, `must not be negative; found ${weight}`);
  });
  const total = routes.reduce((sum, { weight = 0 }) => sum + weight, 0);
  if (routes.length > 1 && total === 0) report(path, 'must have weights: their sum is 0, so that no destination gets a request');
  if (total > 4294967295) report(path, `must have weights of at most 4294967295 in total; found ${total}`);
}

/** A claim of the request's token, which only gateways may match on. */
const claim = /^@request\.auth\.claims([.[]|$)/;

function checkMatch(match: HTTPMatchRequest, inGateway: boolean, path: string, report: Report): void {
  for (const field of ['headers', 'withoutHeaders'] as const) {
    for (const [name, value] of Object.entries(match[field] ?? {})) {
      const at = fieldPath(`${path}.${field}`, name);
      if (claim.test(name)) {
        if (!inGateway) report(at, 'claims of tokens can be matched on gateways only');
      } else if (!isHeaderName(name)) report(at, `is no valid header name: ${quote(name)}`);
      checkStringMatch(value, at, report);
    }
  }
  for (const [name, value] of Object.entries(match.queryParams ?? {})) {
    const at = fieldPath(`${path}.queryParams`, name);
    if (name === '') report(at, 'must not have an empty name');
    checkStringMatch(value, at, report);
  }
  for (const field of ['uri', 'scheme', 'method', 'authority'] as const) checkStringMatch(match[field], `${path}.${field}`, report);
  if (match.port !== undefined && match.port !== 0) checkPort(match.port, `${path}.port`, report);
  checkLabels(match.sourceLabels, `${path}.sourceLabels`, report);
}

function checkStringMatch(match: StringMatch | undefined, path: string, report: Report): void {
  if (match?.prefix === '') report(`${path}.prefix`, 'must not be empty');
  if (match?.regex === '') report(`${path}.regex`, 'must not be empty');
  if (match?.regex !== undefined) checkRegex(match.regex, `${path}.regex`, report);
}

/** Istio lets `*` pass, as the presence of the thing. */
function checkRegex(regex: string, path: string, report: Report): void {
  const fault = regex === '' || regex === '*' ? undefined : re2Fault(regex);
  if (regex.length > 1024) report(path, 'is longer than 1024 characters');
  else if (fault !== undefined) report(path, `is no regular expression of RE2: ${fault}`);
}

function checkHeaders(headers: Headers | undefined, path: string, report: Report): void {
  for (const [direction, operations] of Object.entries(headers ?? {})) {
    const at = `${path}.${direction}`;
    for (const field of ['set', 'add'] as const) {
      for (const [name, value] of Object.entries(operations?.[field] ?? {})) {
        const header = fieldPath(`${at}.${field}`, name);
        const authority = name === ':authority' && direction === 'request' && field === 'set';
        if (!authority && !isPlainHeaderName(name)) report(header, `is no valid header name: ${quote(name)}`);
        if (!isHeaderValue(value)) report(header, `is no valid value: ${quote(value)}; write "%%" for a percent sign`);
      }
    }
    operations?.remove?.forEach((name, index) => {
      if (!isPlainHeaderName(name)) report(indexPath(`${at}.remove`, index), `is no valid header name: ${quote(name)}`);
    });
  }
}

const retryWords = new Set([
  '5xx',
  'gateway-error',
  'reset',
  'reset-before-request',
  'connect-failure',
  'envoy-ratelimited',
  'retriable-4xx',
  'refused-stream',
  'retriable-status-codes',
  'retriable-headers',
  'http3-post-connect-failure',
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
]);

function checkRetries(retries: HTTPRetry, path: string, report: Report): void {
  const { attempts = 0, perTryTimeout, retryOn = '', backoff } = retries;
  if (attempts < 0) report(`${path}.attempts`, `must not be negative; found ${attempts}`);
  if (attempts === 0 && Object.keys(retries).some((field) => field !== 'attempts')) {
    report(`${path}.attempts`, 'must be positive where other fields of retries are set');
  }
  checkDuration(perTryTimeout, `${path}.perTryTimeout`, report);
  checkDuration(backoff, `${path}.backoff`, report);
  for (const word of retryOn === '' ? [] : retryOn.split(',')) {
    // HTTP status codes are Istio's addition to Envoy's words.
    if (!retryWords.has(word) && !/^[1-5]\d\d$/.test(word)) report(`${path}.retryOn`, `has no condition ${quote(word)}`);
  }
}

function checkRedirect(redirect: HTTPRedirect, matches: readonly HTTPMatchRequest[], path: string, report: Report): void {
  const { uri = '', authority = '', scheme = '', prefixRewrite = '', redirectCode = 0, port, derivePort } = redirect;
  if ([uri, authority, scheme, prefixRewrite].every((part) => part === '') && port === undefined && derivePort === undefined) {
    report(path, 'must set uri, prefixRewrite, authority, scheme or port');
  }
  if (redirectCode !== 0 && (redirectCode < 300 || redirectCode > 399)) {
    report(`${path}.redirectCode`, `must be between 300 and 399; found ${redirectCode}`);
  }
  if (port !== undefined) checkPort(port, `${path}.port`, report);
  if (prefixRewrite === '') return;
  if (uri !== '') report(`${path}.prefixRewrite`, 'must not be set beside uri');
  if (matches.some((match) => match.uri?.regex !== undefined))
    report(`${path}.prefixRewrite`, 'needs matches of the uri by prefix, not by regex');
}

function checkRewrite({ uri = '', authority = '', uriRegexRewrite }: HTTPRewrite, path: string, report: Report): void {
  if (uri === '' && authority === '' && uriRegexRewrite === undefined) report(path, 'must set uri, authority or uriRegexRewrite');
  if (uriRegexRewrite === undefined) return;
  if (uri !== '') report(`${path}.uriRegexRewrite`, 'must not be set beside uri');
  for (const field of ['match', 'rewrite'] as const) {
    if ((uriRegexRewrite[field] ?? '') === '') report(`${path}.uriRegexRewrite.${field}`, 'is required');
  }
  checkRegex(uriRegexRewrite.match ?? '', `${path}.uriRegexRewrite.match`, report);
}

const maxBody = 1024 * 1024;
const largeBody = 100 * 1024;

function checkDirectResponse({ status, body }: HTTPDirectResponse, path: string, report: Report): void {
  checkStatus(status, `${path}.status`, report);
  const { string, bytes } = body ?? {};
  const size = string === undefined ? ((bytes ?? '').replace(/=+$/, '').length * 3) / 4 : new TextEncoder().encode(string).length;
  if (size > maxBody) report(`${path}.body`, `must have at most ${maxBody} bytes`);
  else if (size > largeBody) report(`${path}.body`, 'is large, and every proxy holds it in memory', 'Invalid', 'warning');
}

function checkStatus(status: number, path: string, report: Report): void {
  if (status < 200 || status > 599) report(path, `must be an HTTP status between 200 and 599; found ${status}`);
}

const grpcStatus = new Set(
  (
    'OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED RESOURCE_EXHAUSTED ' +
    'FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED'
  ).split(' '),
);

function checkFault({ abort, delay }: HTTPFaultInjection, path: string, report: Report): void {
  if (abort === undefined && delay === undefined) report(path, 'must set abort or delay');
  if (abort !== undefined) {
    checkPercent(abort.percentage?.value, `${path}.abort.percentage.value`, report);
    if (abort.httpStatus !== undefined) checkStatus(abort.httpStatus, `${path}.abort.httpStatus`, report);
    if (abort.grpcStatus !== undefined && !grpcStatus.has(abort.grpcStatus)) {
      report(`${path}.abort.grpcStatus`, `is no status of gRPC: ${quote(abort.grpcStatus)}`);
    }
    if (abort.http2Error !== undefined) report(`${path}.abort.http2Error`, 'is not supported; use httpStatus');
    if (abort.httpStatus === undefined && abort.grpcStatus === undefined && abort.http2Error === undefined) {
      report(`${path}.abort`, 'must set httpStatus or grpcStatus');
    }
  }
  if (delay !== undefined) {
    checkPercent(delay.percentage?.value, `${path}.delay.percentage.value`, report);
    checkPercent(delay.percent, `${path}.delay.percent`, report);
    checkDuration(delay.fixedDelay, `${path}.delay.fixedDelay`, report);
    if (delay.exponentialDelay !== undefined) report(`${path}.delay.exponentialDelay`, 'is not supported; use fixedDelay');
    if (delay.fixedDelay === undefined && delay.exponentialDelay === undefined) report(`${path}.delay.fixedDelay`, 'is required');
  }
}

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', '*']);

function checkCors(policy: CorsPolicy, path: string, report: Report): void {
  policy.allowOrigins?.forEach((origin, index) => checkOrigin(origin, indexPath(`${path}.allowOrigins`, index), report));
  policy.allowMethods?.forEach((method, index) => {
    if (!methods.has(method)) report(indexPath(`${path}.allowMethods`, index), `is no HTTP method: ${quote(method)}`);
  });
  for (const field of ['allowHeaders', 'exposeHeaders'] as const) {
    policy[field]?.forEach((name, index) => {
      if (!isHeaderName(name)) report(indexPath(`${path}.${field}`, index), `is no valid header name: ${quote(name)}`);
    });
  }
  checkDuration(policy.maxAge, `${path}.maxAge`, report);
  // Envoy writes seconds.
  if (policy.maxAge !== undefined && /\d(ns|us|µs|μs|ms)$/.test(policy.maxAge)) report(`${path}.maxAge`, 'must be whole seconds');
}

function checkOrigin(origin: StringMatch, path: string, report: Report): void {
  checkStringMatch(origin, path, report);
  if (origin.exact === '') report(`${path}.exact`, 'must not be empty');
}

function checkMirrors(route: HTTPRoute, path: string, report: Report): void {
  if (route.mirror !== undefined) {
    checkDestination(route.mirror, `${path}.mirror`, report);
    if ((route.mirrors ?? []).length > 0) report(`${path}.mirrors`, 'must not be set beside mirror');
  }
  checkPercent(route.mirrorPercent, `${path}.mirrorPercent`, report);
  checkPercent(route.mirror_percent, `${path}.mirror_percent`, report);
  checkPercent(route.mirrorPercentage?.value, `${path}.mirrorPercentage.value`, report);
  route.mirrors?.forEach((mirror, index) => {
    const at = indexPath(`${path}.mirrors`, index);
    checkDestination(mirror.destination, `${at}.destination`, report);
    checkPercent(mirror.percentage?.value, `${at}.percentage.value`, report);
  });
}
