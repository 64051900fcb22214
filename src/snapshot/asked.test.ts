import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { VirtualHostSchema } from '#gen/envoy/config/route/v3/route_components_pb.js';
import type { ConfigObject } from '../apis/object.ts';
import { keyOf } from '../apis/object.ts';
import { clusterType, listenerType, routeType, virtualHostType } from '../wire/types.ts';
import type { OnDemand, Subscription } from '../xds/source.ts';
import { PartsView } from '../xds/view.ts';
import { AskedPart } from './asked.ts';
import { OnDemandHosts } from './on-demand-hosts.ts';
import { SnapshotPart } from './part.ts';
import type { Snapshot } from './snapshot.ts';
import { ableToAsk, nodeOf, openProxy, snapshotOf } from './testing/snapshots.ts';

function object(kind: string, name: string, spec: object, more: Partial<ConfigObject> = {}): ConfigObject {
  const origin = { file: `${name}.yaml`, line: 1 };
  return { kind, apiVersion: 'v1', namespace: 'shop', name, labels: {}, annotations: {}, spec, origin, ...more };
}

function service(name: string, clusterIP: string, ports: object[] = [{ name: 'http', port: 80 }]): ConfigObject {
  return object('Service', name, { clusterIP, ports });
}

const entry = (name: string, host: string): ConfigObject =>
  object('ServiceEntry', name, { hosts: [host], resolution: 'NONE', ports: [{ name: 'http', number: 80, protocol: 'HTTP' }] });

const lazyNode = ableToAsk(nodeOf('client', 'shop', { LABELS: { 'mizzen.io/lazy': 'true' } }));

interface Lazy {
  readonly snapshot: Snapshot;
  readonly subscription: Subscription;
  readonly onDemand: OnDemand;
  /** Asks, and returns the name of the answer and its domains. */
  ask(name: string): string;
  /** `name: domains` of the hosts that the proxy has. */
  hosts(): string[];
  names(type: string): string[];
}

function lazy(...objects: readonly ConfigObject[]): Lazy {
  const snapshot = snapshotOf(objects);
  const subscription = openProxy(snapshot, lazyNode, 'delta');
  const { onDemand } = subscription;
  if (onDemand === undefined) throw new Error('it is not lazy');
  const view = (): PartsView => new PartsView(subscription.parts);
  const shown = (name: string): string => {
    const resource = view().find(virtualHostType, name);
    return resource === undefined ? 'gone' : `${name}: ${fromBinary(VirtualHostSchema, resource.bytes).domains.join(' ')}`;
  };
  return {
    snapshot,
    subscription,
    onDemand,
    ask: (name) => {
      const answer = onDemand.ask(virtualHostType, name);
      onDemand.commit();
      return answer === undefined ? 'none' : shown(answer);
    },
    hosts: () => [...view().resources(virtualHostType)].map(({ name }) => shown(name)).sort(),
    names: (type) => [...view().resources(type)].map(({ name }) => name).sort(),
  };
}

const reviews = service('reviews', '10.0.0.1');
const reviewsDomains = 'reviews.shop.svc.cluster.local reviews.shop.svc.cluster.local. reviews reviews.shop.svc reviews.shop 10.0.0.1';

describe('what a lazy proxy has before it asks', () => {
  it('listeners, tables without a host, and the clusters that filter chains name', () => {
    const proxy = lazy(reviews, service('db', '10.0.0.2', [{ name: 'tcp', port: 5432 }]));
    expect(proxy.names(listenerType)).toEqual(['0.0.0.0_80', '10.0.0.2_5432', 'virtualInbound', 'virtualOutbound']);
    expect(proxy.names(routeType)).toEqual(['80']);
    expect(proxy.hosts()).toEqual([]);
    expect(proxy.names(clusterType).filter((name) => name.startsWith('outbound'))).toEqual(['outbound|5432||db.shop.svc.cluster.local']);
  });

  it('is for delta streams of sidecars with the filter only', () => {
    const { snapshot } = lazy(reviews);
    expect(openProxy(snapshot, lazyNode, 'sotw').onDemand).toBeUndefined();
    expect(openProxy(snapshot, nodeOf('client', 'shop', { LABELS: { 'mizzen.io/lazy': 'true' } }), 'delta').onDemand).toBeUndefined();
    const router = ableToAsk(nodeOf('gw', 'shop', { LABELS: { 'mizzen.io/lazy': 'true' } }, 'router'));
    expect(openProxy(snapshot, router, 'delta').onDemand).toBeUndefined();
  });
});

describe('a question', () => {
  it('is answered by the host that has the name, port ignored, with its clusters and under the name asked for', () => {
    const proxy = lazy(reviews);
    expect(proxy.ask('80/reviews:8080')).toBe(`80/reviews.shop.svc.cluster.local:80: ${reviewsDomains}`);
    const view = new PartsView(proxy.subscription.parts);
    expect(view.find(virtualHostType, '80/reviews.shop.svc.cluster.local:80')?.aliases).toEqual(['80/reviews:8080']);
    expect(proxy.names(clusterType)).toContain('outbound|80||reviews.shop.svc.cluster.local');
  });

  it('for a name that only a wildcard covers is answered for that name alone', () => {
    const proxy = lazy(entry('wild', '*.wild.example'), entry('better', '*.b.wild.example'), entry('own', 'own.wild.example'));
    expect(proxy.ask('80/a.wild.example')).toBe('80/a.wild.example: a.wild.example');
    expect(proxy.ask('80/x.b.wild.example')).toBe('80/x.b.wild.example: x.b.wild.example');
    expect(proxy.names(clusterType).filter((name) => name.startsWith('outbound'))).toEqual([
      'outbound|80||*.b.wild.example',
      'outbound|80||*.wild.example',
    ]);
    expect(proxy.ask('80/own.wild.example')).toContain('own.wild.example:80');
  });

  it('for a name that nobody has, or that cannot be one, gets what the table does with such names', () => {
    const proxy = lazy(reviews);
    expect(proxy.ask('80/nobody')).toBe('80/nobody: nobody');
    for (const name of ['80/', '80/*.com', '80/a/b', `80/${'x'.repeat(400)}`]) expect(proxy.ask(name)).toBe('80/invalid: invalid');
    // Of a table that there is not.
    expect(proxy.ask('81/nobody')).toBe('none');
  });

  it('for a cluster that there is not is not answered', () => {
    const { onDemand } = lazy(reviews);
    expect(onDemand.ask(clusterType, 'outbound|80||nobody')).toBeUndefined();
    expect(onDemand.ask(clusterType, 'outbound|80||reviews.shop.svc.cluster.local')).toBe('outbound|80||reviews.shop.svc.cluster.local');
  });
});

describe('a change', () => {
  it('of what was not asked for does not reach the stream', () => {
    const proxy = lazy(reviews, service('other', '10.0.0.9'));
    proxy.ask('80/reviews');
    const own = proxy.subscription.parts.at(-1);
    const before = [clusterType, virtualHostType].map((type) => own?.table(type)?.version);
    proxy.snapshot.objects.put(
      object('DestinationRule', 'other', { host: 'other', trafficPolicy: { connectionPool: { tcp: { maxConnections: 3 } } } }),
    );
    proxy.snapshot.objects.put(service('third', '10.0.0.8'));
    proxy.snapshot.flush();
    expect([clusterType, virtualHostType].map((type) => own?.table(type)?.version)).toEqual(before);
  });

  it('that gives a name to a service, or takes it, moves the name: there is always one host for it', () => {
    const proxy = lazy(reviews);
    expect(proxy.ask('80/ratings')).toBe('80/ratings: ratings');
    const ratings = service('ratings', '10.0.0.3');
    proxy.snapshot.objects.put(ratings);
    proxy.snapshot.flush();
    expect(proxy.hosts()).toEqual([expect.stringContaining('80/ratings.shop.svc.cluster.local:80: ')]);
    proxy.snapshot.objects.remove(keyOf(ratings));
    proxy.snapshot.flush();
    expect(proxy.hosts()).toEqual(['80/ratings: ratings']);
  });

  it('to lazy and back takes nothing from a running proxy', () => {
    const snapshot = snapshotOf([reviews, service('ratings', '10.0.0.3')]);
    const subscription = openProxy(snapshot, ableToAsk(nodeOf('client', 'shop')), 'delta');
    const names = (type: string): string[] => [...new PartsView(subscription.parts).resources(type)].map(({ name }) => name).sort();
    const before = [names(clusterType), names(virtualHostType)];
    const namespace = object('Namespace', 'shop', {}, { namespace: '', labels: { 'mizzen.io/lazy': 'true' } });
    snapshot.objects.put(namespace);
    snapshot.flush();
    expect(subscription.onDemand).toBeDefined();
    expect([names(clusterType), names(virtualHostType)]).toEqual(before);
    snapshot.objects.put({ ...namespace, labels: {} });
    snapshot.flush();
    expect(subscription.onDemand).toBeUndefined();
    expect([names(clusterType), names(virtualHostType)]).toEqual(before);
  });
});

describe('a table that too many unknown names are asked of', () => {
  it('gets all its hosts and the one for everything, and is asked no more', () => {
    const { snapshot } = lazy(reviews, entry('wild', '*.wild.example'));
    const sources = openProxy(snapshot, nodeOf('client', 'shop'), 'delta').parts.filter((part) => part instanceof SnapshotPart);
    const asked = new AskedPart('asked', new OnDemandHosts(), { maxStandIns: 3 });
    asked.setSources(sources);
    for (const name of ['80/a', '80/b', '80/c']) expect(asked.ask(virtualHostType, name)).toBe(name);
    expect(asked.ask(virtualHostType, '80/d')).toBe('80/*');
    const hosts = [...(asked.table(virtualHostType)?.names() ?? [])].sort();
    expect(hosts).toEqual(['80/*', '80/*.wild.example:80', '80/reviews.shop.svc.cluster.local:80']);
    const wild = asked.table(virtualHostType)?.get('80/*.wild.example:80');
    expect(fromBinary(VirtualHostSchema, wild?.bytes ?? new Uint8Array()).domains).toContain('*.wild.example');
  });
});
