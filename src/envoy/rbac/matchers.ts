/** Values of an AuthorizationPolicy as Envoy's matchers: `*` alone is presence, at either end a suffix or prefix, else exact. */
import { create } from '@bufbuild/protobuf';
import { type HeaderMatcher, HeaderMatcherSchema } from '#gen/envoy/config/route/v3/route_components_pb.js';
import {
  type UriTemplateMatchConfig,
  UriTemplateMatchConfigSchema,
} from '#gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js';
import { type MetadataMatcher, MetadataMatcherSchema } from '#gen/envoy/type/matcher/v3/metadata_pb.js';
import { type PathMatcher, PathMatcherSchema } from '#gen/envoy/type/matcher/v3/path_pb.js';
import { type StringMatcher, StringMatcherSchema } from '#gen/envoy/type/matcher/v3/string_pb.js';
import { type ValueMatcher, ValueMatcherSchema } from '#gen/envoy/type/matcher/v3/value_pb.js';

/** RE2 text that matches exactly `literal`. */
export function quoteRegex(literal: string): string {
  return literal.replace(/[\\.+*?()|[\]{}^$]/g, '\\$&');
}

export const exactString = (exact: string, ignoreCase = false): StringMatcher =>
  create(StringMatcherSchema, { matchPattern: { case: 'exact', value: exact }, ignoreCase });

export const prefixString = (prefix: string, ignoreCase = false): StringMatcher =>
  create(StringMatcherSchema, { matchPattern: { case: 'prefix', value: prefix }, ignoreCase });

export const suffixString = (suffix: string, ignoreCase = false): StringMatcher =>
  create(StringMatcherSchema, { matchPattern: { case: 'suffix', value: suffix }, ignoreCase });

/** The whole string must match. */
export const regexString = (regex: string): StringMatcher =>
  create(StringMatcherSchema, { matchPattern: { case: 'safeRegex', value: { regex } } });

/** Any string but the empty one: Envoy refuses an empty prefix. */
export const anyString = (): StringMatcher => regexString('.+');

/** `prefix` goes before what the policy says (`spiffe://` before principals); `*` alone takes anything, without it too. */
export function policyString(value: string, prefix = ''): StringMatcher {
  if (value === '*') return anyString();
  if (value.startsWith('*')) {
    const suffix = value.slice(1);
    return prefix === '' ? suffixString(suffix) : regexString(`${prefix}.*${quoteRegex(suffix)}`);
  }
  if (value.endsWith('*')) return prefixString(prefix + value.slice(0, -1));
  return exactString(prefix + value);
}

/** A request header; host names are compared without case. */
export function headerMatcher(name: string, value: string, ignoreCase = false): HeaderMatcher {
  if (value === '*') return create(HeaderMatcherSchema, { name, headerMatchSpecifier: { case: 'presentMatch', value: true } });
  const matcher = value.startsWith('*')
    ? suffixString(value.slice(1), ignoreCase)
    : value.endsWith('*')
      ? prefixString(value.slice(0, -1), ignoreCase)
      : exactString(value, ignoreCase);
  return create(HeaderMatcherSchema, { name, headerMatchSpecifier: { case: 'stringMatch', value: matcher } });
}

export const hostMatcher = (name: string, value: string): HeaderMatcher => headerMatcher(name, value, true);

/** The path without query and fragment. */
export const pathMatcher = (path: string): PathMatcher => create(PathMatcherSchema, { rule: { case: 'path', value: policyString(path) } });

export function containsPathTemplate(path: string): boolean {
  return path.includes('{*}') || path.includes('{**}');
}

/** `{*}` is one segment, `{**}` any number of them. */
export const pathTemplateMatcher = (path: string): UriTemplateMatchConfig =>
  create(UriTemplateMatchConfigSchema, { pathTemplate: path.replaceAll('{**}', '**').replaceAll('{*}', '*') });

export const stringValue = (matcher: StringMatcher): ValueMatcher =>
  create(ValueMatcherSchema, { matchPattern: { case: 'stringMatch', value: matcher } });

export const listValue = (oneOf: ValueMatcher): ValueMatcher =>
  create(ValueMatcherSchema, { matchPattern: { case: 'listMatch', value: { matchPattern: { case: 'oneOf', value: oneOf } } } });

export function anyOfValues(matchers: readonly ValueMatcher[]): ValueMatcher {
  const [only] = matchers;
  if (matchers.length === 1 && only !== undefined) return only;
  return create(ValueMatcherSchema, { matchPattern: { case: 'orMatch', value: { valueMatchers: [...matchers] } } });
}

export const metadataMatcher = (filter: string, path: readonly string[], value: ValueMatcher): MetadataMatcher =>
  create(MetadataMatcherSchema, { filter, path: path.map((key) => ({ segment: { case: 'key' as const, value: key } })), value });

const jwtFilter = 'envoy.filters.http.jwt_authn';

/** A claim that is a string. */
export const claimString = (claim: string, matcher: StringMatcher): MetadataMatcher =>
  metadataMatcher(jwtFilter, ['payload', claim], stringValue(matcher));

/** A claim that is a string or a list of strings, of which one matches one of the values. */
export function claimAny(claims: readonly string[], values: readonly string[]): MetadataMatcher {
  const value = anyOfValues(values.map((v) => stringValue(policyString(v))));
  return metadataMatcher(jwtFilter, ['payload', ...claims], anyOfValues([listValue(value), value]));
}
