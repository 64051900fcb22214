import { create } from '@bufbuild/protobuf';
import { type StringMatcher, StringMatcherSchema } from '#gen/envoy/type/matcher/v3/string_pb.js';
import type { StringMatch } from '../../apis/virtual-service.ts';

/** Undefined where any value will do: an empty match, and the regular expression `*`, which users write for it. */
export function buildStringMatch(match: StringMatch): StringMatcher | undefined {
  if (match.exact !== undefined) return create(StringMatcherSchema, { matchPattern: { case: 'exact', value: match.exact } });
  if (match.prefix !== undefined) return create(StringMatcherSchema, { matchPattern: { case: 'prefix', value: match.prefix } });
  if (match.regex === undefined || match.regex === '*') return undefined;
  return create(StringMatcherSchema, { matchPattern: { case: 'safeRegex', value: { regex: match.regex } } });
}
