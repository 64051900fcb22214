import { describe, expect, it } from 'vitest';
import type { ConfigObject } from '../apis/object.ts';
import { Derived, Index } from '../store/collection.ts';
import { endpointType } from '../wire/types.ts';
import type { Snapshot } from './snapshot.ts';
import { nodeOf, openProxy, resources, snapshotOf } from './testing/snapshots.ts';

function object(cluster: string | undefined, kind: string, name: string, spec: object, labels: Record<string, string> = {}): ConfigObject {
  const origin = cluster === undefined ? {} : { cluster };
  return { kind, apiVersion: 'v1', namespace: 'shop', name, labels, annotations: {}, spec, origin };
}

const service = (cluster: string | undefined, vip: string): ConfigObject =>
  object(cluster, 'Service', 'reviews', { clusterIP: vip, selector: { app: 'reviews' }, ports: [{ name: 'tcp', port: 9000 }] });

const pod = (cluster: string | undefined, ip: string): ConfigObject =>
  object(
    cluster,
    'Pod',
    'client',
    { spec: { serviceAccountName: 'client' }, status: { podIP: ip } },
    { app: cluster === undefined ? 'client' : 'reviews' },
  );

const listeners = (snapshot: Snapshot, metadata: object): string[] =>
  Object.keys(resources(openProxy(snapshot, nodeOf('client', 'shop', { ...metadata })).parts)).filter((name) => name.startsWith('LDS 10.'));

/** Clusters whose objects are known, changed by the test. */
function placing(known: Set<string>): NonNullable<Parameters<typeof snapshotOf>[5]> {
  return ({ metadata }) => {
    const id = metadata['CLUSTER_ID'];
    return typeof id === 'string' && known.has(id) ? id : undefined;
  };
}

function snapshotWith(known: Set<string>, objects: readonly ConfigObject[]): Snapshot {
  return snapshotOf(objects, undefined, undefined, undefined, undefined, placing(known));
}

describe('proxies of several clusters', () => {
  const objects = [service(undefined, '10.0.0.1'), service('east', '10.9.9.9'), pod(undefined, '11.0.0.1'), pod('east', '11.1.0.1')];

  it('see the addresses that their own cluster has for a service', () => {
    const snapshot = snapshotWith(new Set(['east']), objects);
    expect(listeners(snapshot, {})).toEqual(['LDS 10.0.0.1_9000']);
    expect(listeners(snapshot, { CLUSTER_ID: 'Kubernetes' })).toEqual(['LDS 10.0.0.1_9000']);
    expect(listeners(snapshot, { CLUSTER_ID: 'nowhere' })).toEqual(['LDS 10.0.0.1_9000']);
    expect(listeners(snapshot, { CLUSTER_ID: 'east' })).toEqual(['LDS 10.9.9.9_9000']);
  });

  it('are the workloads of their own cluster', () => {
    const snapshot = snapshotWith(new Set(['east']), objects);
    const inbound = (metadata: object): string[] =>
      openProxy(snapshot, nodeOf('client', 'shop', { ...metadata }))
        .parts.map(({ id }) => id)
        .filter((id) => id.includes('inbound'));
    expect(inbound({})[0]).toContain('"app":"client"');
    expect(inbound({ CLUSTER_ID: 'east' })[0]).toContain('"app":"reviews"');
  });

  it('move when their cluster becomes known, and when it goes', () => {
    const known = new Set<string>();
    const snapshot = snapshotWith(known, objects);
    const proxy = openProxy(snapshot, nodeOf('client', 'shop', { CLUSTER_ID: 'east' }));
    const seen = (): string[] => Object.keys(resources(proxy.parts)).filter((name) => name.startsWith('LDS 10.'));
    let moves = 0;
    proxy.onPartsChanged(() => moves++);
    expect(seen()).toEqual(['LDS 10.0.0.1_9000']);
    for (const [change, expected] of [
      [() => known.add('east'), 'LDS 10.9.9.9_9000'],
      [() => known.delete('east'), 'LDS 10.0.0.1_9000'],
    ] as const) {
      change();
      snapshot.clustersChanged(known);
      snapshot.flush();
      expect(seen()).toEqual([expected]);
    }
    expect(moves).toBe(2);
  });

  it('cost nothing more while all are of one cluster', () => {
    const snapshot = snapshotWith(new Set(['east']), objects);
    openProxy(snapshot, nodeOf('client', 'shop'));
    const before = snapshot.objects.graph.evaluations;
    snapshot.objects.put(pod('east', '11.1.0.2'));
    snapshot.flush();
    const alone = snapshot.objects.graph.evaluations - before;
    openProxy(snapshot, nodeOf('client', 'shop', { CLUSTER_ID: 'east' }));
    const again = snapshot.objects.graph.evaluations;
    snapshot.objects.put(pod('east', '11.1.0.3'));
    snapshot.flush();
    expect(alone).toBe(1);
    expect(snapshot.objects.graph.evaluations - again).toBeGreaterThan(alone);
    expect(openProxy(snapshot, nodeOf('client', 'shop')).parts.some((part) => part.table(endpointType) !== undefined)).toBe(true);
  });

  it('leave nothing behind when their clusters have gone and the last of them has left', () => {
    const known = new Set<string>();
    const rule = object(undefined, 'DestinationRule', 'reviews', { host: 'reviews' });
    const alias = object(undefined, 'VirtualService', 'reviews', {
      hosts: ['reviews'],
      http: [{ route: [{ destination: { host: 'reviews' } }] }],
    });
    const snapshot = snapshotWith(known, [...objects, ...[rule, alias].map((o) => ({ ...o, apiVersion: 'networking.istio.io/v1' }))]);
    const stays = openProxy(snapshot, nodeOf('client', 'shop'));
    const evaluated = (): number => {
      const before = snapshot.objects.graph.evaluations;
      snapshot.objects.put(service(undefined, `10.0.1.${before % 250}`));
      snapshot.flush();
      return snapshot.objects.graph.evaluations - before;
    };
    const alone = { evaluated: evaluated(), parts: snapshot.partCount, followers: followersOf(snapshot) };
    for (let round = 0; round < 20; round++) {
      const id = `east-${round}`;
      known.add(id);
      snapshot.clustersChanged(known);
      const proxy = openProxy(snapshot, nodeOf('client', 'shop', { CLUSTER_ID: id }));
      expect(snapshot.viewCount).toBe(2);
      expect(followersOf(snapshot)).toBeGreaterThan(alone.followers);
      known.delete(id);
      const clusterGoes = (): void => snapshot.clustersChanged(known);
      // It moves with the next flush.
      const proxyMoves = (): void => {
        snapshot.flush();
        proxy.close();
      };
      const [first, last] = round % 2 === 0 ? [() => proxy.close(), clusterGoes] : [clusterGoes, proxyMoves];
      first();
      expect(snapshot.viewCount).toBe(2);
      last();
      expect(snapshot.viewCount).toBe(1);
    }
    snapshot.flush();
    expect(snapshot.partCount).toBe(alone.parts);
    expect(followersOf(snapshot)).toBe(alone.followers);
    expect(evaluated()).toBe(alone.evaluated);
    expect(Object.keys(resources(stays.parts)).some((name) => name.startsWith('LDS 10.0.1.'))).toBe(true);
    known.add('east');
    snapshot.clustersChanged(known);
    expect(listeners(snapshot, { CLUSTER_ID: 'east' })).toEqual(['LDS 10.9.9.9_9000']);
  });

  it('keep the view of a cluster that stays while none of them is connected', () => {
    const known = new Set(['east']);
    const snapshot = snapshotWith(known, objects);
    openProxy(snapshot, nodeOf('client', 'shop', { CLUSTER_ID: 'east' })).close();
    snapshot.clustersChanged(known);
    snapshot.flush();
    expect(snapshot.viewCount).toBe(2);
  });
});

/** Whoever listens to, indexes or is fed by a collection that all views share. */
function followersOf({ mesh, objects }: Snapshot): number {
  const shared: readonly object[] = [
    ...Object.values(objects.kinds),
    ...Object.values(mesh).filter((value) => value instanceof Derived || value instanceof Index),
    ...Object.values(mesh.networks as object),
    ...Object.values(mesh.aliases as object),
  ];
  const sizes = shared.flatMap((collection) =>
    ['listeners', 'bucketListeners', 'indexes', 'feeds'].map((field) => {
      const held = (collection as Readonly<Record<string, unknown>>)[field];
      return held instanceof Set || held instanceof Map ? held.size : Array.isArray(held) ? held.length : 0;
    }),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
