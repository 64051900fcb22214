import { describe, expect, it } from 'vitest';
import { keyOf, type ConfigObject } from '../apis/object.ts';
import { parseObject } from '../apis/parse.ts';
import { Graph } from '../store/graph.ts';
import { Mesh } from './mesh.ts';
import { Objects } from './objects.ts';

function objectOf(raw: object): ConfigObject {
  const parsed = parseObject(raw, {});
  if (parsed.object === undefined) throw new Error(JSON.stringify(parsed.problems));
  return parsed.object;
}

const service = (spec: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'reviews', namespace: 'shop' },
  spec: { clusterIP: '10.0.0.1', selector: { app: 'reviews' }, ports: [{ name: 'http', port: 80, targetPort: 'web' }], ...spec },
});

const pod = (name: string, ip: string, metadata: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'shop', labels: { app: 'reviews', 'security.istio.io/tlsMode': 'istio' }, ...metadata },
  spec: {
    serviceAccountName: 'reviews',
    nodeName: 'n1',
    containers: [{ name: 'main', ports: [{ name: 'web', containerPort: 8080 }] }],
  },
  status: { podIP: ip, podIPs: [{ ip }], phase: 'Running' },
});

const node = (zone: string): object => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: {
    name: 'n1',
    labels: { 'topology.kubernetes.io/region': 'eu', 'topology.kubernetes.io/zone': zone, 'topology.istio.io/subzone': 'r1' },
  },
});

const at = (name: string, ip: string, conditions: object = { ready: true }): object => ({
  addresses: [ip],
  conditions,
  targetRef: { kind: 'Pod', name, namespace: 'shop' },
});

const slice = (endpoints: object[], name = 'reviews-x', port = 8080): object => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': 'reviews' } },
  addressType: 'IPv4',
  ports: [{ name: 'http', port, protocol: 'TCP' }],
  endpoints,
});

class World {
  readonly objects = new Objects(new Graph());
  readonly mesh = new Mesh(this.objects, {
    untranslated: () => [],
    onFault: (collection, key, cause) => {
      throw new Error(`${collection} ${key}`, { cause });
    },
  });

  constructor(...raw: object[]) {
    this.put(...raw);
  }

  put(...raw: object[]): void {
    for (const one of raw) this.objects.put(objectOf(one));
    this.objects.graph.flush();
  }

  remove(raw: object): void {
    this.objects.remove(keyOf(objectOf(raw)));
    this.objects.graph.flush();
  }

  endpoints(key = 'shop/reviews.shop.svc.cluster.local') {
    return this.mesh.endpoints.peek(key)?.endpoints ?? [];
  }

  addresses(): string[] {
    return this.endpoints().map((e) => `${e.address}:${e.port}`);
  }
}

describe('endpoints from EndpointSlices', () => {
  it('have what their pod and its node say', () => {
    const world = new World(service(), slice([at('reviews-1', '10.1.0.1')]), pod('reviews-1', '10.1.0.1'), node('a'));
    expect(world.endpoints()).toMatchObject([
      {
        address: '10.1.0.1',
        port: 8080,
        servicePort: 'http',
        labels: { app: 'reviews' },
        locality: { region: 'eu', zone: 'a', subZone: 'r1' },
        identity: 'spiffe://cluster.local/ns/shop/sa/reviews',
        tlsMode: 'istio',
        object: 'Pod/shop/reviews-1',
      },
    ]);
  });

  it('converge in whatever order slice, pod, node and service come', () => {
    const parts = [service(), slice([at('reviews-1', '10.1.0.1')]), pod('reviews-1', '10.1.0.1'), node('a')];
    const whole = JSON.stringify(new World(...parts).endpoints());
    for (let turn = 0; turn < parts.length; turn++) {
      const world = new World();
      for (const part of [...parts.slice(turn), ...parts.slice(0, turn)]) world.put(part);
      expect(JSON.stringify(world.endpoints())).toBe(whole);
    }
    expect(new World(parts[0] as object, parts[1] as object).endpoints()).toEqual([]);
  });

  it('follow their pod: its address, its end', () => {
    const world = new World(service(), slice([at('reviews-0', '10.1.0.1')]), pod('reviews-0', '10.1.0.1'));
    world.put(slice([at('reviews-0', '10.1.0.9')]));
    expect(world.addresses()).toEqual([]);
    world.put(pod('reviews-0', '10.1.0.9'));
    expect(world.addresses()).toEqual(['10.1.0.9:8080']);
    world.remove(pod('reviews-0', '10.1.0.9'));
    expect(world.addresses()).toEqual([]);
  });

  it('count while they are ready; those that end and serve only where none is ready', () => {
    const pods = ['1', '2', '3'].map((n) => pod(`reviews-${n}`, `10.1.0.${n}`));
    const ending = { ready: false, serving: true, terminating: true };
    const world = new World(service(), ...pods);
    world.put(slice([at('reviews-1', '10.1.0.1'), at('reviews-2', '10.1.0.2', ending), at('reviews-3', '10.1.0.3', { ready: false })]));
    expect(world.addresses()).toEqual(['10.1.0.1:8080']);
    world.put(slice([at('reviews-2', '10.1.0.2', ending), at('reviews-3', '10.1.0.3', { ready: false })]));
    expect(world.addresses()).toEqual(['10.1.0.2:8080']);
    world.put(service({ publishNotReadyAddresses: true }));
    expect(world.addresses()).toEqual(['10.1.0.2:8080', '10.1.0.3:8080']);
  });

  it('of several slices are joined, each with its own port, and none twice', () => {
    const world = new World(
      service(),
      pod('reviews-1', '10.1.0.1'),
      pod('reviews-2', '10.1.0.2'),
      slice([at('reviews-1', '10.1.0.1')]),
      slice([at('reviews-1', '10.1.0.1')], 'reviews-copy'),
      slice([at('reviews-2', '10.1.0.2')], 'reviews-y', 9090),
    );
    expect(world.addresses()).toEqual(['10.1.0.1:8080', '10.1.0.2:9090']);
  });

  it('without a pod are plain addresses', () => {
    const world = new World(service({ selector: undefined }), slice([{ addresses: ['192.0.2.1'], zone: 'b' }]));
    expect(world.endpoints()).toMatchObject([{ address: '192.0.2.1', identity: '', tlsMode: 'disabled', locality: { zone: 'b' } }]);
  });

  it('cost only the service whose slice or pod changed', () => {
    const world = new World(service(), slice([at('reviews-1', '10.1.0.1')]), pod('reviews-1', '10.1.0.1'));
    const other = { ...service(), metadata: { name: 'ratings', namespace: 'shop' } };
    world.put(other);
    const changed: string[] = [];
    world.mesh.endpoints.listen((key) => changed.push(key));
    const before = world.objects.graph.evaluations;
    world.put(pod('reviews-1', '10.1.0.1', { labels: { app: 'reviews', version: 'v2' } }));
    expect(changed).toEqual(['shop/reviews.shop.svc.cluster.local']);
    // The pod and the service's endpoints.
    expect(world.objects.graph.evaluations - before).toBe(2);
    world.put(pod('reviews-9', '10.1.0.9'));
    expect(changed).toHaveLength(1);
  });
});

describe('other endpoints', () => {
  it('of an ExternalName are the name, found by DNS', () => {
    const world = new World(service({ type: 'ExternalName', clusterIP: undefined, selector: undefined, externalName: 'db.example.com' }));
    expect(world.endpoints()).toMatchObject([{ address: 'db.example.com', port: 80, tlsMode: 'disabled' }]);
  });

  it('of a ServiceEntry with a selector are pods too', () => {
    const entry = {
      apiVersion: 'networking.istio.io/v1',
      kind: 'ServiceEntry',
      metadata: { name: 'own', namespace: 'shop' },
      spec: {
        hosts: ['own.example.com'],
        location: 'MESH_INTERNAL',
        resolution: 'STATIC',
        ports: [{ name: 'http', number: 80, protocol: 'HTTP', targetPort: 8080 }],
        workloadSelector: { labels: { app: 'reviews' } },
      },
    };
    const world = new World(entry, pod('reviews-1', '10.1.0.1'));
    expect(world.endpoints('shop/own.example.com')).toMatchObject([{ address: '10.1.0.1', port: 8080, tlsMode: 'istio' }]);
  });
});
