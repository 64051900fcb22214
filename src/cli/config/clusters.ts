import type { Column } from '../output.ts';
import { at, configObject, resourcesOf, textAt } from './json.ts';

export interface ClusterRow {
  readonly host: string;
  readonly port: string;
  readonly subset: string;
  readonly direction: string;
  readonly type: string;
  readonly tls: string;
  readonly destinationRule: string;
}

export const clusterColumns: readonly Column<ClusterRow>[] = [
  { title: 'HOST', value: (r) => r.host },
  { title: 'PORT', value: (r) => r.port },
  { title: 'SUBSET', value: (r) => r.subset },
  { title: 'DIRECTION', value: (r) => r.direction },
  { title: 'TYPE', value: (r) => r.type },
  { title: 'TLS', value: (r) => r.tls },
  { title: 'DESTINATION RULE', value: (r) => r.destinationRule },
];

export function clusterRows(dump: unknown): ClusterRow[] {
  return resourcesOf(dump, 'ClustersConfigDump', 'dynamic_active_clusters', 'cluster').map((cluster) => {
    const name = textAt(cluster, 'name');
    const [direction = '', port = '', subset = '', host = ''] = name.includes('|') ? name.split('|') : ['', '', '', name];
    return {
      host,
      port,
      subset,
      direction,
      type: textAt(cluster, 'type') || textAt(cluster, 'cluster_type', 'name') || 'STATIC',
      tls: tlsOf(cluster),
      destinationRule: configObject(cluster),
    };
  });
}

/** `auto`: by endpoint, as the control plane knows of each whether it has a sidecar. */
function tlsOf(cluster: unknown): string {
  if (at(cluster, 'transport_socket_matches') !== undefined) return 'auto';
  return textAt(cluster, 'transport_socket', 'name').includes('tls') ? 'yes' : '';
}
