import type { Column } from '../output.ts';
import { at, configObject, listAt, resourcesOf, textAt } from './json.ts';

export interface RouteRow {
  readonly table: string;
  readonly virtualHost: string;
  readonly domains: string;
  readonly match: string;
  readonly destination: string;
  readonly virtualService: string;
}

export const routeColumns: readonly Column<RouteRow>[] = [
  { title: 'TABLE', value: (r) => r.table },
  { title: 'VIRTUAL HOST', value: (r) => r.virtualHost },
  { title: 'DOMAINS', value: (r) => r.domains },
  { title: 'MATCH', value: (r) => r.match },
  { title: 'DESTINATION', value: (r) => r.destination },
  { title: 'VIRTUAL SERVICE', value: (r) => r.virtualService },
];

/** One row for each route, in the order in which Envoy tries them. */
export function routeRows(dump: unknown): RouteRow[] {
  return resourcesOf(dump, 'RoutesConfigDump', 'dynamic_route_configs', 'route_config').flatMap((table) =>
    listAt(table, 'virtual_hosts').flatMap((host) =>
      listAt(host, 'routes').map((route) => ({
        table: textAt(table, 'name'),
        virtualHost: textAt(host, 'name'),
        domains: domainsText(listAt(host, 'domains').map(String)),
        match: matchText(at(route, 'match')),
        destination: destinationText(route),
        virtualService: configObject(route),
      })),
    ),
  );
}

/** A Service has a dozen names; the shortest ones say enough. */
function domainsText(domains: readonly string[]): string {
  return domains.length <= 2 ? domains.join(', ') : `${domains.slice(0, 2).join(', ')} + ${domains.length - 2}`;
}

function matchText(match: unknown): string {
  const path =
    textAt(match, 'path') ||
    (textAt(match, 'prefix') && `${textAt(match, 'prefix')}*`) ||
    (textAt(match, 'path_separated_prefix') && `${textAt(match, 'path_separated_prefix')}/*`) ||
    (textAt(match, 'safe_regex', 'regex') && `~${textAt(match, 'safe_regex', 'regex')}`);
  const headers = listAt(match, 'headers').map((h) => textAt(h, 'name'));
  return [path, ...headers.map((h) => `[${h}]`)].join(' ');
}

function destinationText(route: unknown): string {
  const code = textAt(route, 'direct_response', 'status');
  if (code !== '') return `answer ${code}`;
  if (at(route, 'redirect') !== undefined)
    return `redirect ${textAt(route, 'redirect', 'host_redirect')}${textAt(route, 'redirect', 'path_redirect')}`;
  const weighted = listAt(route, 'route', 'weighted_clusters', 'clusters').map(
    (c) => `${textAt(c, 'name')} ${textAt(c, 'weight') || '0'}%`,
  );
  return textAt(route, 'route', 'cluster') || weighted.join(', ');
}
