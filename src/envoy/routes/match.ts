import { create } from '@bufbuild/protobuf';
import {
  type HeaderMatcher,
  HeaderMatcherSchema,
  type QueryParameterMatcher,
  QueryParameterMatcherSchema,
  type RouteMatch,
  RouteMatchSchema,
} from '#gen/envoy/config/route/v3/route_components_pb.js';
import type { HTTPMatchRequest, StringMatch } from '../../apis/virtual-service.ts';
import { buildStringMatch } from './string-match.ts';

/** No match is every request. Headers and query parameters come in order of their names. */
export function buildRouteMatch(match: HTTPMatchRequest | undefined): RouteMatch {
  if (match === undefined) return create(RouteMatchSchema, { pathSpecifier: { case: 'prefix', value: '/' } });
  const pseudo: readonly (readonly [string, StringMatch | undefined])[] = [
    [':method', match.method],
    [':authority', match.authority],
    [':scheme', match.scheme],
  ];
  const headers = [...entries(match.headers).map(presentOrMatch), ...entries(match.withoutHeaders).map(absentOrOther)];
  headers.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return create(RouteMatchSchema, {
    pathSpecifier: pathSpecifier(match.uri),
    caseSensitive: match.ignoreUriCase !== true,
    headers: [...headers, ...pseudo.flatMap(([name, value]) => (value === undefined ? [] : [presentOrMatch([name, value])]))],
    queryParameters: entries(match.queryParams).map(queryParameter),
  });
}

function pathSpecifier(uri: StringMatch | undefined): RouteMatch['pathSpecifier'] {
  if (uri?.exact !== undefined) return { case: 'path', value: uri.exact };
  if (uri?.prefix !== undefined) return { case: 'prefix', value: uri.prefix };
  if (uri?.regex !== undefined)
    return {
      case: 'safeRegex',
      value: { $typeName: 'envoy.type.matcher.v3.RegexMatcher', engineType: { case: undefined }, regex: uri.regex },
    };
  return { case: 'prefix', value: '/' };
}

function presentOrMatch([name, match]: readonly [string, StringMatch]): HeaderMatcher {
  const value = buildStringMatch(match);
  return create(HeaderMatcherSchema, {
    name,
    headerMatchSpecifier: value === undefined ? { case: 'presentMatch', value: true } : { case: 'stringMatch', value },
  });
}

/** Either the header must be missing, or it must not have this value: then a missing one counts as empty. */
function absentOrOther(entry: readonly [string, StringMatch]): HeaderMatcher {
  const matcher = presentOrMatch(entry);
  return { ...matcher, invertMatch: true, treatMissingHeaderAsEmpty: matcher.headerMatchSpecifier.case === 'stringMatch' };
}

function queryParameter([name, match]: readonly [string, StringMatch]): QueryParameterMatcher {
  const value = buildStringMatch(match);
  return create(QueryParameterMatcherSchema, {
    name,
    queryParameterMatchSpecifier: value === undefined ? { case: 'presentMatch', value: true } : { case: 'stringMatch', value },
  });
}

function entries(matches: Readonly<Record<string, StringMatch>> | undefined): (readonly [string, StringMatch])[] {
  return Object.entries(matches ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Whether no request gets past a route with this match. */
export function isCatchAll(match: RouteMatch): boolean {
  const { pathSpecifier: path } = match;
  const anyPath =
    ((path.case === 'prefix' || path.case === 'pathSeparatedPrefix') && path.value === '/') ||
    (path.case === 'safeRegex' && path.value.regex === '.*');
  return anyPath && match.headers.length === 0 && match.queryParameters.length === 0 && match.dynamicMetadata.length === 0;
}
