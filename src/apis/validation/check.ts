/** Checks that several kinds share. Each reports what is wrong at a path and says nothing otherwise. */
import ipaddr from 'ipaddr.js';
import { parseDuration } from '../../lib/duration.ts';
import { fieldPath, indexPath } from '../../lib/path.ts';
import { quote, type Report } from '../structure.ts';

const label = /^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/;
const wildcardLabel = /^(\*|(\*|\*-)?[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)$/;

export const isDnsLabel = (text: string): boolean => text.length <= 63 && label.test(text);

export function isIpAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text);
}

/** An address, or a range in CIDR form. */
export function isIpRange(text: string): boolean {
  return isIpAddress(text) || (text.includes('/') && ipaddr.isValidCIDR(text));
}

/** What is wrong with a name whose labels are DNS labels, or undefined. One dot at the end is allowed, a last label of digits only is not. */
function faultOfName(name: string, firstLabel: RegExp): string | undefined {
  if (name === '') return 'must not be empty';
  if (name.length > 255) return 'is longer than 255 characters';
  const labels = name.replace(/\.$/, '').split('.');
  const wrong = labels.find((part, index) => part.length > 63 || !(index === 0 ? firstLabel : label).test(part));
  if (wrong !== undefined) return `is no valid DNS name: ${quote(name)}`;
  return /^\d+$/.test(labels.at(-1) ?? '') ? `is no valid DNS name, its last label has digits only: ${quote(name)}` : undefined;
}

export const isFqdn = (name: string): boolean => faultOfName(name, label) === undefined;

export function checkFqdn(name: string, path: string, report: Report): void {
  const fault = faultOfName(name, label);
  if (fault !== undefined) report(path, fault);
}

/** A name, `*.suffix`, `*-suffix`, or `*`. */
export const isWildcardDomain = (name: string): boolean => faultOfName(name, wildcardLabel) === undefined;

export function checkWildcardDomain(name: string, path: string, report: Report): void {
  const fault = faultOfName(name, wildcardLabel);
  if (fault !== undefined) report(path, fault);
}

export function checkPort(number: number | undefined, path: string, report: Report): void {
  if (number === undefined || number < 1 || number > 65535) report(path, `must be a port between 1 and 65535; found ${quote(number ?? 0)}`);
}

export function checkPortName(name: string | undefined, path: string, report: Report): void {
  if (name === undefined || name === '') report(path, 'is required');
  else if (!isDnsLabel(name)) report(path, `must be letters, digits and "-" (at most 63); found ${quote(name)}`);
}

const protocols = ['http', 'https', 'http2', 'grpc', 'grpc-web', 'grpc-web-text', 'mongo', 'redis', 'mysql', 'tcp', 'tls', 'udp', 'hbone'];

export const isProtocol = (name: string): boolean => protocols.includes(name.toLowerCase());

export function checkProtocol(name: string, path: string, report: Report): void {
  if (!isProtocol(name))
    report(path, `is no protocol known here: ${quote(name)}; use HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, MONGO, REDIS, MYSQL, TCP or TLS`);
}

/** Protocols that begin with a TLS handshake. */
export const isTlsProtocol = (name: string): boolean => ['https', 'tls'].includes(name.toLowerCase());

/** Whole milliseconds, at least one (or `minimumMs`): finer steps do not survive the way to the proxy. */
export function checkDuration(text: string | undefined, path: string, report: Report, minimumMs = 1): void {
  if (text === undefined) return;
  const nanoseconds = parseDuration(text);
  if (nanoseconds === undefined) report(path, `must be a duration such as "10s" or "1h30m"; found ${quote(text)}`);
  else if (nanoseconds < BigInt(minimumMs) * 1_000_000n) report(path, `must be at least ${minimumMs}ms; found ${quote(text)}`);
  else if (nanoseconds % 1_000_000n !== 0n) report(path, `must be whole milliseconds; found ${quote(text)}`);
}

export function checkPercent(value: number | undefined, path: string, report: Report): void {
  if (value !== undefined && (value < 0 || value > 100)) report(path, `must be between 0 and 100; found ${value}`);
}

export function checkNotNegative(value: number | undefined, path: string, report: Report): void {
  if (value !== undefined && value < 0) report(path, `must not be negative; found ${value}`);
}

const labelKey = /^([a-z0-9A-Z]([-a-z0-9A-Z._]*[a-z0-9A-Z])?\/)?[a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?$/;
const labelValue = /^([a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?)?$/;

export function checkLabels(labels: Readonly<Record<string, string>> | undefined, path: string, report: Report): void {
  for (const [key, value] of Object.entries(labels ?? {})) {
    const at = fieldPath(path, key);
    if (!labelKey.test(key)) report(at, `${quote(key)} is no valid label key`);
    else if (value.length > 63 || !labelValue.test(value)) report(at, `is no valid label value: ${quote(value)}`);
  }
}

/** `*`, `.`, `~` (of a ServiceEntry) or namespaces; the wide ones stand alone. */
export function checkExportTo(
  exportTo: readonly string[] | undefined,
  path: string,
  namespace: string,
  report: Report,
  options: { readonly none?: boolean; readonly ownOnly?: boolean } = {},
): void {
  const seen = new Set<string>();
  (exportTo ?? []).forEach((target, index) => {
    const at = indexPath(path, index);
    // `.` and the name of the object's own namespace are the same.
    const meant = target === '.' ? namespace : target;
    if (seen.has(meant)) report(at, `repeats ${quote(target)}`);
    seen.add(meant);
    if (target !== '*' && target !== '.' && !(target === '~' && options.none === true) && !isDnsLabel(target)) {
      report(at, `must be "*", "."${options.none === true ? ', "~"' : ''} or a namespace; found ${quote(target)}`);
    }
    if (options.ownOnly === true && target !== '.') report(at, 'must be "." only, because the rule has a workloadSelector');
  });
  for (const wide of ['*', '~']) {
    if (seen.has(wide) && seen.size > 1) report(path, `must not name ${quote(wide)} together with others`);
  }
}

const token = /^[-!#$%&'*+.^_`|~0-9A-Za-z]+$/;

/** The name of a header to match on; `:authority` and such are allowed. */
export const isHeaderName = (name: string): boolean => token.test(name.startsWith(':') ? name.slice(1) : name);

/** The name of a header to set or remove. */
export const isPlainHeaderName = (name: string): boolean => token.test(name);

/** Whether each `%` of Envoy's format is either doubled or part of a command such as `%REQ(x)%`. */
export function isHeaderValue(value: string): boolean {
  return !value.replace(/%%|%[A-Z_][A-Z0-9_]*(?:\([^()]*\))?(?::\d+)?%/g, '').includes('%');
}
