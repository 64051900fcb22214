import type { Column } from '../output.ts';
import { addressText, at, listAt, resourcesOf, textAt } from './json.ts';

export interface EndpointRow {
  readonly endpoint: string;
  readonly health: string;
  readonly tls: string;
  readonly locality: string;
  readonly priority: string;
  readonly cluster: string;
}

export const endpointColumns: readonly Column<EndpointRow>[] = [
  { title: 'ENDPOINT', value: (r) => r.endpoint },
  { title: 'HEALTH', value: (r) => r.health },
  { title: 'TLS', value: (r) => r.tls },
  { title: 'LOCALITY', value: (r) => r.locality },
  { title: 'PRIORITY', value: (r) => r.priority },
  { title: 'CLUSTER', value: (r) => r.cluster },
];

/** One row for each endpoint; a cluster without any has one that says so. */
export function endpointRows(dump: unknown): EndpointRow[] {
  return resourcesOf(dump, 'EndpointsConfigDump', 'dynamic_endpoint_configs', 'endpoint_config').flatMap((assignment) => {
    const cluster = textAt(assignment, 'cluster_name');
    const rows = listAt(assignment, 'endpoints').flatMap((group) =>
      listAt(group, 'lb_endpoints').map((e) => ({
        endpoint: addressText(at(e, 'endpoint', 'address')),
        health: textAt(e, 'health_status') || 'HEALTHY',
        tls: textAt(e, 'metadata', 'filter_metadata', 'envoy.transport_socket_match', 'tlsMode'),
        locality: localityText(at(group, 'locality')),
        priority: textAt(group, 'priority') || '0',
        cluster,
      })),
    );
    return rows.length > 0 ? rows : [{ endpoint: '(none)', health: '', tls: '', locality: '', priority: '', cluster }];
  });
}

function localityText(locality: unknown): string {
  return ['region', 'zone', 'sub_zone']
    .map((key) => textAt(locality, key))
    .filter((s) => s !== '')
    .join('/');
}
