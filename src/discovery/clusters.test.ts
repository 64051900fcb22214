import { expect, test } from 'vitest';
import { Registry } from 'prom-client';
import { Instruments } from '../admin/metrics/instruments.ts';
import { isRefusal } from '../identity/proof.ts';
import type { Transport } from '../kubernetes/transport.ts';
import { Mesh } from '../mesh/mesh.ts';
import { Objects } from '../mesh/objects.ts';
import type { ClustersListener } from '../sources/clusters/clusters-source.ts';
import { Graph } from '../store/graph.ts';
import type { Caller, ClaimedNode } from '../xds/source.ts';
import { Clusters } from './clusters.ts';

/** An API server that confirms every token as that of the service account with its own name. */
function apiServer(name: string): Transport {
  const user = { username: `system:serviceaccount:shop:${name}` };
  return {
    request: async () => ({ status: 201, body: { status: { authenticated: true, audiences: ['istio-ca'], user } } }),
    stream: async () => Promise.reject(new Error('nothing is watched')),
  };
}

function world() {
  const listeners = new Set<ClustersListener>();
  const transports = new Map([['east', apiServer('of-east')]]);
  const unverified = new Set<string>();
  const clusters = new Clusters({
    id: 'home',
    transport: apiServer('of-home'),
    source: {
      listen: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      clusters: () => [
        { id: 'east', secret: 'istio-system/east', server: 'https://east/', syncStatus: 'synced', since: 0, fault: 'cannot be read: x' },
      ],
      transportOf: (id) => transports.get(id),
      isVerified: (id) => !unverified.has(id),
      waitingFor: () => [],
    },
  });
  const forgotten: string[] = [];
  let changes = 0;
  clusters.follow(() => changes++, {
    make: new Instruments(new Registry()),
    stale: () => {},
    forgetCluster: (id) => forgotten.push(id),
  });
  const tell = (how: (listener: ClustersListener) => void): void => listeners.forEach(how);
  return { clusters, transports, unverified, forgotten, tell, changes: () => changes };
}

const node = (cluster: string | undefined): ClaimedNode => ({
  id: 'sidecar~10.0.0.1~a.shop~x',
  cluster: 'a',
  metadata: cluster === undefined ? {} : { CLUSTER_ID: cluster },
  userAgentName: 'envoy',
  userAgentVersion: '1.40.0',
});

const caller = (cluster?: string): Caller => ({
  address: '',
  secure: true,
  identity: {
    spiffeId: 'spiffe://cluster.local/ns/shop/sa/a',
    trustDomain: 'cluster.local',
    namespace: 'shop',
    serviceAccount: 'a',
    ...(cluster !== undefined && { cluster }),
  },
});

test('a proxy sees the mesh from the cluster that has proven it, else from the one that it names, once that was read', () => {
  const { clusters, tell, changes } = world();
  expect(clusters.clusterOf(node('east'), caller('east'))).toBeUndefined();
  tell((listener) => listener.clusters?.(new Set(['east'])));
  expect(changes()).toBe(1);
  expect(clusters.clusterOf(node('east'), caller('east'))).toBe('east');
  expect(clusters.clusterOf(node(undefined), caller('east'))).toBe('east');
  expect(clusters.clusterOf(node('east'), caller())).toBe('east');
  expect(clusters.clusterOf(node('east'), { address: '', secure: false })).toBe('east');
  expect(clusters.clusterOf(node('nowhere'), caller())).toBeUndefined();
  expect(clusters.clusterOf(node(undefined), caller('home'))).toBeUndefined();
  expect(clusters.refusal(node('east'), caller('home'))).toContain('claims "east"');
  expect(clusters.refusal(node('home'), caller('east'))).toContain('claims "home"');
  expect(clusters.refusal(node('nowhere'), caller('east'))).toBeUndefined();
  tell((listener) => listener.clusters?.(new Set()));
  expect(clusters.clusterOf(node('east'), caller('east'))).toBeUndefined();
});

test('tokens are reviewed by the cluster that the caller names, for as long as a Secret does', async () => {
  const { clusters, transports, unverified, forgotten, tell } = world();
  const reviewer = clusters.reviewer();
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const token = (n: number): string => `${part({ alg: 'none' })}.${part({ aud: 'istio-ca', exp: 4_000_000_000 + n })}.`;
  const provenBy = async (n: number, cluster?: string): Promise<string | undefined> => {
    const reviewed = await reviewer?.review(token(n), cluster);
    return reviewed === undefined || isRefusal(reviewed) ? reviewed?.refused : `${reviewed.serviceAccount} ${reviewed.cluster}`;
  };
  expect(await provenBy(1)).toBe('of-home home');
  expect(await provenBy(2, 'east')).toBe('of-east east');
  unverified.add('east');
  expect(await provenBy(5, 'east')).toContain('it is not verified that the API server of cluster east is the right one');
  unverified.clear();
  transports.delete('east');
  expect(await provenBy(3, 'east')).toContain('the cluster is not known any more, by cluster east');
  tell((listener) => listener.removed?.('east'));
  expect(forgotten).toEqual(['east']);
  expect(await provenBy(4, 'east')).toBe('of-home home');
});

test('what is shown begins with the cluster whose configuration is read', () => {
  const mesh = new Mesh(new Objects(new Graph()), { onFault: () => {}, untranslated: () => [] });
  expect(world().clusters.view(mesh)).toEqual([
    { id: 'home', secretName: '', syncStatus: 'synced', endpoints: 0 },
    {
      id: 'east',
      secretName: 'istio-system/east',
      syncStatus: 'synced',
      server: 'https://east/',
      since: '1970-01-01T00:00:00.000Z',
      fault: 'cannot be read: x',
      endpoints: 0,
    },
  ]);
  expect(new Clusters({ id: 'home' }).view(mesh)).toEqual([{ id: 'home', secretName: '', syncStatus: 'synced', endpoints: 0 }]);
});
