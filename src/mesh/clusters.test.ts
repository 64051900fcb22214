import { describe, expect, it } from 'vitest';
import { keyOf, type ConfigObject } from '../apis/object.ts';
import { parseObject } from '../apis/parse.ts';
import { Graph } from '../store/graph.ts';
import { Mesh } from './mesh.ts';
import { Objects } from './objects.ts';
import { slotsOf } from './slots.ts';
import { defaultMeshConfig } from '../apis/mesh-config.ts';

/** `east` and `west` are remote. */
type Cluster = 'east' | 'west' | undefined;

function objectOf(cluster: Cluster, raw: object): ConfigObject {
  const parsed = parseObject(raw, cluster === undefined ? {} : { cluster });
  if (parsed.object === undefined) throw new Error(JSON.stringify(parsed.problems));
  return parsed.object;
}

const service = (vip: string, spec: object = {}, name = 'reviews', namespace = 'shop'): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace },
  spec: { clusterIP: vip, selector: { app: name }, ports: [{ name: 'tcp', port: 9000 }], ...spec },
});

/** A pod on a node of its own zone, and the slice with it. */
const backend = (ip: string, zone: string, service_ = 'reviews', namespace = 'shop'): object[] => [
  {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `${service_}-1`, namespace, labels: { app: service_, version: zone } },
    spec: { serviceAccountName: service_, nodeName: 'n1' },
    status: { podIP: ip, podIPs: [{ ip }], phase: 'Running' },
  },
  { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1', labels: { 'topology.kubernetes.io/zone': zone } } },
  {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${service_}-x`, namespace, labels: { 'kubernetes.io/service-name': service_ } },
    addressType: 'IPv4',
    ports: [{ name: 'tcp', port: 9000, protocol: 'TCP' }],
    endpoints: [{ addresses: [ip], conditions: { ready: true }, targetRef: { kind: 'Pod', name: `${service_}-1`, namespace } }],
  },
];

class World {
  readonly objects = new Objects(new Graph());
  readonly mesh = this.seenFrom(undefined);

  seenFrom(cluster: Cluster): Mesh {
    return new Mesh(this.objects, {
      untranslated: () => [],
      clusterId: 'home',
      ...(cluster !== undefined && { like: this.mesh }),
      ...(cluster !== undefined && { cluster }),
      onFault: (collection, key, cause) => {
        throw new Error(`${collection} ${key}`, { cause });
      },
    });
  }

  put(cluster: Cluster, ...raw: object[]): ConfigObject[] {
    const objects = raw.map((one) => objectOf(cluster, one));
    for (const object of objects) this.objects.put(object);
    this.objects.graph.flush();
    return objects;
  }

  remove(objects: readonly ConfigObject[]): void {
    for (const object of objects) this.objects.remove(keyOf(object));
    this.objects.graph.flush();
  }
}

const key = 'shop/reviews.shop.svc.cluster.local';
const endpoints = (mesh: Mesh, at = key): string[] =>
  (mesh.endpoints.peek(at)?.endpoints ?? []).map((e) => `${e.address} ${e.cluster} ${e.labels['version']} ${e.locality.zone} ${e.object}`);

describe('a service of several clusters', () => {
  it('has the endpoints of all, each with the pod and node of its own cluster', () => {
    const world = new World();
    world.put(undefined, service('10.0.0.1'), ...backend('10.1.0.1', 'a'));
    const east = world.put('east', service('10.0.9.9'), ...backend('10.2.0.1', 'b'));
    expect(endpoints(world.mesh)).toEqual(['10.1.0.1 home a a Pod/shop/reviews-1', '10.2.0.1 east b b Pod/shop/reviews-1@east']);
    expect(world.mesh.services.peek(key)?.addresses).toEqual(['10.0.0.1']);
    world.remove(east);
    expect(endpoints(world.mesh)).toEqual(['10.1.0.1 home a a Pod/shop/reviews-1']);
  });

  it('is what the cluster that is read declares, else what the first of the others does, in whatever order they come', () => {
    const declared = (order: readonly Cluster[]): unknown[] => {
      const world = new World();
      const seen: unknown[] = [];
      for (const cluster of order) {
        const port = cluster === undefined ? 1 : cluster === 'east' ? 2 : 3;
        world.put(cluster, service('10.0.0.1', { ports: [{ name: 'tcp', port }] }));
        seen.push(world.mesh.services.peek(key)?.ports[0]?.number);
      }
      return seen;
    };
    expect(declared(['west', 'east', undefined])).toEqual([3, 2, 1]);
    expect(declared([undefined, 'east', 'west'])).toEqual([1, 1, 1]);
  });

  it('is seen from a cluster with what that cluster declares', () => {
    const world = new World();
    const east = world.seenFrom('east');
    world.put(undefined, service('10.0.0.1'), ...backend('10.1.0.1', 'a'));
    expect(east.services.peek(key)).toMatchObject({ addresses: ['10.0.0.1'] });
    world.put('east', service('10.0.9.9'), ...backend('10.2.0.1', 'b'));
    expect(east.services.peek(key)).toMatchObject({ addresses: ['10.0.9.9'], cluster: 'east' });
    expect(endpoints(east)).toEqual(endpoints(world.mesh));
  });

  it('keeps an address that is another service here out of the listeners', () => {
    const world = new World();
    world.put('east', service('10.0.0.1'), ...backend('10.2.0.1', 'b'));
    const listeners = (mesh: Mesh, name: string): string[] => {
      const found = mesh.services.peek(`shop/${name}.shop.svc.cluster.local`);
      return found === undefined ? [] : slotsOf(mesh, found).map((slot) => slot.listener);
    };
    expect(listeners(world.mesh, 'reviews')).toEqual(['10.0.0.1_9000']);
    world.put(undefined, service('10.0.0.1', {}, 'ratings'));
    expect(listeners(world.mesh, 'reviews')).toEqual([]);
    expect(listeners(world.mesh, 'ratings')).toEqual(['10.0.0.1_9000']);
    const east = world.seenFrom('east');
    world.objects.graph.flush();
    expect(listeners(east, 'reviews')).toEqual(['10.0.0.1_9000']);
    expect(listeners(east, 'ratings')).toEqual([]);
  });

  it('costs what it touches: another cluster with the same names is not recomputed', () => {
    const world = new World();
    world.put(
      undefined,
      service('10.0.0.1'),
      ...backend('10.1.0.1', 'a'),
      service('10.0.0.2', {}, 'ratings'),
      ...backend('10.1.0.2', 'a', 'ratings'),
    );
    world.put('east', service('10.0.0.1'), ...backend('10.2.0.1', 'b'));
    const before = world.objects.graph.evaluations;
    world.put('east', ...backend('10.2.0.7', 'b'));
    // Its pod, its node and the endpoints of its service.
    expect(world.objects.graph.evaluations - before).toBeLessThanOrEqual(4);
    expect(endpoints(world.mesh)).toHaveLength(2);
  });
});

describe('a host that each cluster has for itself', () => {
  const api = 'default/kubernetes.default.svc.cluster.local';

  it('has the endpoints of the own cluster alone', () => {
    const world = new World();
    const east = world.seenFrom('east');
    world.put(undefined, service('10.0.0.1', {}, 'kubernetes', 'default'), ...backend('10.1.0.1', 'a', 'kubernetes', 'default'));
    world.put('east', service('10.0.0.1', {}, 'kubernetes', 'default'), ...backend('10.2.0.1', 'b', 'kubernetes', 'default'));
    expect(endpoints(world.mesh, api)).toEqual(['10.1.0.1 home a a Pod/default/kubernetes-1']);
    expect(endpoints(east, api)).toEqual(['10.2.0.1 east b b Pod/default/kubernetes-1@east']);
  });

  it('is one by the mesh configuration too', () => {
    const world = new World();
    world.put(undefined, service('10.0.0.1'), ...backend('10.1.0.1', 'a'));
    world.put('east', service('10.0.0.1'), ...backend('10.2.0.1', 'b'));
    const setting = { settings: { clusterLocal: true }, hosts: ['*.shop.svc.cluster.local'] };
    world.objects.setMeshConfig({ config: { ...defaultMeshConfig, serviceSettings: [setting] } });
    world.objects.graph.flush();
    expect(endpoints(world.mesh)).toHaveLength(1);
    const exception = { settings: { clusterLocal: false }, hosts: ['reviews.shop.svc.cluster.local'] };
    world.objects.setMeshConfig({ config: { ...defaultMeshConfig, serviceSettings: [setting, exception] } });
    world.objects.graph.flush();
    expect(endpoints(world.mesh)).toHaveLength(2);
  });
});
