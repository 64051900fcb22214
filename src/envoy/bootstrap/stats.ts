import { create } from '@bufbuild/protobuf';
import { type StatsConfig, StatsConfigSchema, TagSpecifierSchema } from '#gen/envoy/config/metrics/v3/stats_pb.js';
import { RegexMatcherSchema } from '#gen/envoy/type/matcher/v3/regex_pb.js';
import { type StringMatcher, StringMatcherSchema } from '#gen/envoy/type/matcher/v3/string_pb.js';
import type { StatsOptions } from './options.ts';

/**
 * Tags that Istio takes out of stat names. `istio.*` stats need none: the stats access logger gives its tags as tags.
 * The default tags of Envoy stay off, as with Istio, because their names differ.
 */
const tags: readonly (readonly [name: string, regex: string])[] = [
  // Names of clusters and listeners have dots: a semicolon ends them.
  ['cluster_name', '^cluster(\\.(.+);)'],
  ['tcp_prefix', '^tcp\\.((.*?)\\.)\\w+?$'],
  ['response_code', '_rq(_(\\d{3}))$'],
  ['response_code_class', '_rq(_(\\dxx))$'],
  ['http_conn_manager_listener_prefix', '^listener(?=\\.).*?\\.http\\.(((?:[_.[:digit:]]*|[_\\[\\]aAbBcCdDeEfF[:digit:]]*))\\.)'],
  ['http_conn_manager_prefix', '^http\\.(((?:[_.[:digit:]\\w]*|[_\\[\\]aAbBcCdDeEfF[:digit:]\\w\\:]*));\\.)'],
  ['listener_address', '^listener\\.(((?:[_.[:digit:]]*|[_\\[\\]aAbBcCdDeEfF[:digit:]]*))\\.)'],
  ['mongo_prefix', '^mongo\\.(.+?)\\.(collection|cmd|cx_|op_|delays_|decoding_)(.*?)$'],
  ['authz_enforce_result', 'rbac(\\.(allowed|denied))'],
  ['authz_dry_run_action', '(\\.istio_dry_run_(allow|deny)_)'],
  ['authz_dry_run_result', '(\\.shadow_(allowed|denied))'],
];

/** What is kept of some thousands of stats: Istio's selection, which readiness, drain and RBAC counters need. */
const kept: StatsOptions = {
  prefixes: [
    'reporter=',
    'component',
    'istio',
    'wasmcustom',
    'cluster_manager',
    'listener_manager',
    'server',
    'cluster.xds-grpc',
    'control_plane',
  ],
  suffixes: ['rbac.allowed', 'rbac.denied', 'shadow_allowed', 'shadow_denied', 'downstream_cx_active'],
  regexes: ['vhost\\..*\\.route\\..*'],
};

export function buildStatsConfig(extra: StatsOptions): StatsConfig {
  const unique = (own: readonly string[], more: readonly string[]): string[] => [...new Set([...own, ...more])];
  const matcher = (matchPattern: StringMatcher['matchPattern']): StringMatcher => create(StringMatcherSchema, { matchPattern });
  const patterns = [
    ...unique(kept.prefixes, extra.prefixes).map((value) => matcher({ case: 'prefix', value })),
    ...unique(kept.suffixes, extra.suffixes).map((value) => matcher({ case: 'suffix', value })),
    ...unique(kept.regexes, extra.regexes).map((regex) => matcher({ case: 'safeRegex', value: create(RegexMatcherSchema, { regex }) })),
  ];
  return create(StatsConfigSchema, {
    useAllDefaultTags: false,
    statsTags: tags.map(([tagName, regex]) => create(TagSpecifierSchema, { tagName, tagValue: { case: 'regex', value: regex } })),
    statsMatcher: { statsMatcher: { case: 'inclusionList', value: { patterns } } },
  });
}
