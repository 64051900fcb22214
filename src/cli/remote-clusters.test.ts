import { expect, test } from 'vitest';
import type { ClusterView } from '../admin/clusterz.ts';
import { clustersText } from './remote-clusters.ts';

const clusters: readonly ClusterView[] = [
  { id: 'home', secretName: '', syncStatus: 'synced', endpoints: 12 },
  {
    id: 'east',
    secretName: 'istio-system/east',
    syncStatus: 'synced',
    server: 'https://10.0.0.1:6443/',
    since: '2026-01-02T03:04:05.000Z',
    fault: 'cannot be read: connect ECONNREFUSED',
    endpoints: 3,
  },
];

test('clusters are printed with what is wrong with them', () => {
  expect(clustersText(clusters, 'table')).toBe(
    [
      'NAME  SECRET             STATUS  SINCE                     ENDPOINTS',
      'home  -                  synced  -                         12',
      'east  istio-system/east  synced  2026-01-02T03:04:05.000Z  3',
      '',
      'east cannot be read: connect ECONNREFUSED',
      '',
    ].join('\n'),
  );
  expect(JSON.parse(clustersText(clusters, 'json'))).toEqual(clusters);
});
