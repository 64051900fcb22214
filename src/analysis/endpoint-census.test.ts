import { expect, test } from 'vitest';
import { parseObject } from '../apis/parse.ts';
import type { ObjectKey } from '../apis/object.ts';
import { Mesh } from '../mesh/mesh.ts';
import { Objects } from '../mesh/objects.ts';
import { Graph } from '../store/graph.ts';
import { EndpointCensus } from './endpoint-census.ts';

const none = { emptyEds: 0, emptyDns: 0, pendingPods: 0, pendingServices: 0 };

function watched(): { census: EndpointCensus; put: (...raws: object[]) => void; remove: (key: string) => void } {
  const objects = new Objects(new Graph());
  const mesh = new Mesh(objects, {
    untranslated: () => [],
    onFault: (collection, key, error) => {
      throw new Error(`${collection} ${key}`, { cause: error });
    },
  });
  return {
    census: new EndpointCensus(mesh),
    put: (...raws) => {
      for (const raw of raws) {
        const { object, problems } = parseObject(raw, {});
        if (object === undefined) throw new Error(JSON.stringify(problems));
        objects.put(object);
      }
      objects.graph.flush();
    },
    remove: (key) => {
      objects.remove(key as ObjectKey);
      objects.graph.flush();
    },
  };
}

const ports = [
  { name: 'http', port: 80 },
  { name: 'grpc', port: 81 },
];
const service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'reviews', namespace: 'shop' },
  spec: { clusterIP: '10.0.0.1', selector: { app: 'reviews' }, ports },
};
const slice = {
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 'reviews-x', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'reviews' } },
  addressType: 'IPv4',
  ports: [{ name: 'http', port: 8080 }],
  endpoints: ['a', 'b'].map((name, i) => ({ addresses: [`10.1.0.${i}`], targetRef: { kind: 'Pod', name, namespace: 'shop' } })),
};
const pod = (name: string, ip: string): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'shop', labels: { app: 'reviews' } },
  status: { podIP: ip },
});

test('ports without endpoints and endpoints without a pod are counted as they come and go', () => {
  const { census, put, remove } = watched();
  expect(census.figures).toMatchObject(none);
  put(service);
  expect(census.figures).toMatchObject({ ...none, emptyEds: 2 });
  put(slice);
  expect(census.figures).toMatchObject({ emptyEds: 2, emptyDns: 0, pendingPods: 2, pendingServices: 1 });
  put(pod('a', '10.1.0.0'));
  expect(census.figures).toMatchObject({ emptyEds: 1, emptyDns: 0, pendingPods: 1, pendingServices: 1 });
  put(pod('b', '10.1.0.1'));
  expect(census.figures).toMatchObject({ ...none, emptyEds: 1 });
  expect(census.figures.everPending).toBe(2);
  remove('Service/shop/reviews');
  expect(census.figures).toMatchObject(none);
});

test('a service that is resolved by DNS needs a name', () => {
  const { census, put } = watched();
  const entry = (source: object): object => ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: 'wild', namespace: 'shop' },
    spec: {
      hosts: ['db.example.com'],
      location: 'MESH_EXTERNAL',
      resolution: 'DNS',
      ports: [{ number: 443, name: 'tls', protocol: 'TLS' }],
      ...source,
    },
  });
  put(entry({ workloadSelector: { labels: { app: 'db' } } }));
  expect(census.figures).toMatchObject({ ...none, emptyDns: 1 });
  put(entry({ endpoints: [{ address: 'db.internal' }] }));
  expect(census.figures).toMatchObject(none);
});
