import type { Column } from '../output.ts';
import { addressText, at, listAt, resourcesOf, textAt } from './json.ts';

export interface ListenerRow {
  readonly listener: string;
  readonly address: string;
  readonly match: string;
  readonly filters: string;
  readonly destination: string;
}

export const listenerColumns: readonly Column<ListenerRow>[] = [
  { title: 'LISTENER', value: (r) => r.listener },
  { title: 'ADDRESS', value: (r) => r.address },
  { title: 'MATCH', value: (r) => r.match },
  { title: 'FILTERS', value: (r) => r.filters },
  { title: 'DESTINATION', value: (r) => r.destination },
];

/** One row for each filter chain, in Envoy's order; the default chain last. */
export function listenerRows(dump: unknown): ListenerRow[] {
  return resourcesOf(dump, 'ListenersConfigDump', 'dynamic_listeners', 'active_state', 'listener').flatMap((listener) => {
    const fallback = at(listener, 'default_filter_chain');
    const chains = [...listAt(listener, 'filter_chains'), ...(fallback === undefined ? [] : [fallback])];
    return chains.map((chain) => ({
      listener: textAt(listener, 'name'),
      address: addressText(at(listener, 'address')),
      match: chain === fallback ? 'else' : matchText(at(chain, 'filter_chain_match')),
      filters: listAt(chain, 'filters')
        .map((f) => shortFilter(textAt(f, 'name')))
        .join(' '),
      destination: destinationText(listAt(chain, 'filters').at(-1)),
    }));
  });
}

function matchText(match: unknown): string {
  const parts = [
    ...listAt(match, 'prefix_ranges').map((r) => `${textAt(r, 'address_prefix')}/${textAt(r, 'prefix_len')}`),
    ...(at(match, 'destination_port') === undefined ? [] : [`:${textAt(match, 'destination_port')}`]),
    textAt(match, 'transport_protocol'),
    ...listAt(match, 'server_names').map(String),
    ...listAt(match, 'application_protocols').map(String),
  ].filter((p) => p !== '');
  return parts.join(' ') || 'any';
}

function shortFilter(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1);
}

/** The route table of an HTTP connection manager, or the clusters of a TCP proxy. */
function destinationText(filter: unknown): string {
  const config = at(filter, 'typed_config');
  const table = textAt(config, 'rds', 'route_config_name');
  if (table !== '') return `routes ${table}`;
  if (at(config, 'route_config') !== undefined) return `routes inline: ${inlineClusters(at(config, 'route_config'))}`;
  const weighted = listAt(config, 'weighted_clusters', 'clusters').map((c) => `${textAt(c, 'name')} ${textAt(c, 'weight')}`);
  return textAt(config, 'cluster') || weighted.join(', ');
}

function inlineClusters(table: unknown): string {
  const clusters = listAt(table, 'virtual_hosts').flatMap((h) => listAt(h, 'routes').map((r) => textAt(r, 'route', 'cluster')));
  return [...new Set(clusters.filter((c) => c !== ''))].join(', ');
}
