import { describe, expect, it } from 'vitest';
import type { MeshNetworks } from '../apis/mesh-networks.ts';
import type { Problem } from '../apis/problem.ts';
import { parseObject } from '../apis/parse.ts';
import { keyOf, type ConfigObject } from '../apis/object.ts';
import { Graph } from '../store/graph.ts';
import { gatewaysFor, Networks } from './networks.ts';
import { Objects } from './objects.ts';

class World {
  readonly objects = new Objects(new Graph());
  readonly networks: Networks;
  problems: readonly Problem[] = [];

  constructor(...raw: object[]) {
    this.networks = new Networks(this.objects, 'one', (_collection, _key, error) => {
      throw error;
    });
    this.networks.onProblems((problems) => (this.problems = problems));
    this.put(...raw);
  }

  put(...raw: object[]): ConfigObject[] {
    const objects = raw.map((one) => {
      const { cluster, ...rest } = one as { cluster?: string };
      const parsed = parseObject(rest, cluster === undefined ? {} : { cluster });
      if (parsed.object === undefined) throw new Error(JSON.stringify(parsed.problems));
      this.objects.put(parsed.object);
      return parsed.object;
    });
    this.objects.graph.flush();
    return objects;
  }

  configure(networks: MeshNetworks['networks'] & object): void {
    this.objects.setMeshNetworks({ networks: { networks } });
    this.objects.graph.flush();
  }

  /** `network/cluster address:port`. */
  all(): string[] {
    const gateways = this.networks.gateways();
    return Object.values(gateways?.byNetwork ?? {}).flatMap((list) => list.map((g) => `${g.network}/${g.cluster} ${g.address}:${g.port}`));
  }
}

const gateway = (name: string, spec: object, labels: object = {}, rest: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'istio-system', labels: { 'topology.istio.io/network': 'n2', ...labels } },
  spec: { ports: [{ name: 'tls', port: 15443, nodePort: 31443 }], ...spec },
  ...rest,
});

const balanced = (...ingress: object[]): object => ({ status: { loadBalancer: { ingress } } });

const node = (name: string, address: string, labels: object = {}, type = 'ExternalIP'): object => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels },
  status: {
    addresses: [
      { type: 'InternalIP', address: '10.0.0.1' },
      { type, address },
    ],
  },
});

describe('gateways of networks', () => {
  it('are labelled Services at the addresses of their load balancer, and external ones', () => {
    const world = new World(gateway('east', { type: 'LoadBalancer', externalIPs: ['192.0.2.9'] }, {}, balanced({ ip: '192.0.2.1' })));
    expect(world.all()).toEqual(['n2/one 192.0.2.1:15443', 'n2/one 192.0.2.9:15443']);
    expect(world.networks.gateways()?.scale).toBe(2);
    const [object] = world.put(gateway('east', { type: 'LoadBalancer' }));
    expect(world.networks.gateways()).toBeUndefined();
    world.objects.remove(keyOf(object!));
  });

  it('may be of a network with any name', () => {
    const labels = { 'topology.istio.io/network': 'constructor' };
    const world = new World(gateway('east', { type: 'LoadBalancer' }, labels, balanced({ ip: '192.0.2.1' })));
    expect(world.all()).toEqual(['constructor/one 192.0.2.1:15443']);
    const gateways = world.networks.gateways()!;
    expect(gatewaysFor(gateways, 'constructor', 'one')).toHaveLength(1);
    expect(gatewaysFor(gateways, 'valueOf', 'one')).toEqual([]);
  });

  it('may have another port, and have to have it', () => {
    const label = { 'networking.istio.io/gatewayPort': '443' };
    const world = new World(
      gateway('east', { type: 'LoadBalancer', ports: [{ name: 'tls', port: 443 }] }, label, balanced({ ip: '192.0.2.1' })),
    );
    expect(world.all()).toEqual(['n2/one 192.0.2.1:443']);
    world.put(gateway('east', { type: 'LoadBalancer' }, label, balanced({ ip: '192.0.2.1' })));
    expect(world.all()).toEqual([]);
    expect(world.problems).toMatchObject([{ object: 'Service/istio-system/east', path: 'spec.ports' }]);
  });

  it('that have names only are told of', () => {
    const world = new World(gateway('east', { type: 'LoadBalancer' }, {}, balanced({ hostname: 'lb.example.com' })));
    expect(world.all()).toEqual([]);
    expect(world.problems).toMatchObject([{ path: 'status.loadBalancer.ingress', reason: 'NotTranslated' }]);
    world.put(gateway('east', { type: 'LoadBalancer' }, {}, balanced({ ip: '192.0.2.1' })));
    expect(world.problems).toEqual([]);
  });

  it('of type NodePort are at the nodes that they name, as these come and go', () => {
    const service = gateway('east', { type: 'NodePort' });
    const annotated = {
      ...service,
      metadata: { ...(service as { metadata: object }).metadata, annotations: { 'traffic.istio.io/nodeSelector': '{"edge":"yes"}' } },
    };
    const world = new World(
      annotated,
      node('a', '192.0.2.1', { edge: 'yes' }),
      node('b', '192.0.2.2'),
      node('c', '192.0.2.3', { edge: 'yes' }, 'InternalIP'),
    );
    expect(world.all()).toEqual(['n2/one 192.0.2.1:31443']);
    world.put(node('b', '192.0.2.2', { edge: 'yes' }));
    expect(world.all()).toEqual(['n2/one 192.0.2.1:31443', 'n2/one 192.0.2.2:31443']);
    world.put({ ...node('d', '192.0.2.4', { edge: 'yes' }), cluster: 'two' });
    expect(world.all()).toHaveLength(2);
  });

  it('come from MeshNetworks by address, or by the name of a Service in the clusters of the network', () => {
    const { metadata, ...rest } = gateway('east', { type: 'LoadBalancer' }, {}, balanced({ ip: '192.0.2.1' })) as { metadata: object };
    const plain = { ...rest, metadata: { ...metadata, labels: {} } };
    const world = new World(plain, { ...plain, ...balanced({ ip: '192.0.2.2' }), cluster: 'two' });
    expect(world.all()).toEqual([]);
    world.configure({
      n1: { endpoints: [{ fromRegistry: 'one' }], gateways: [{ address: '192.0.2.8', port: 443 }] },
      n2: { endpoints: [{ fromRegistry: 'two' }], gateways: [{ registryServiceName: 'east.istio-system.svc.cluster.local', port: 15443 }] },
    });
    expect(world.all().sort()).toEqual(['n1/ 192.0.2.8:443', 'n2/two 192.0.2.2:15443']);
  });

  it('are those of the endpoint’s cluster before others of its network', () => {
    const world = new World(gateway('east', { externalIPs: ['192.0.2.1'] }), {
      ...gateway('east', { externalIPs: ['192.0.2.2'] }),
      cluster: 'two',
    });
    const gateways = world.networks.gateways()!;
    expect(gatewaysFor(gateways, 'n2', 'two').map((g) => g.address)).toEqual(['192.0.2.2']);
    expect(gatewaysFor(gateways, 'n2', 'three').map((g) => g.address)).toEqual(['192.0.2.1', '192.0.2.2']);
    expect(gatewaysFor(gateways, 'n3', 'one')).toEqual([]);
  });
});

describe('the network of an endpoint', () => {
  const label = { 'topology.istio.io/network': 'own' };
  const root = (cluster?: string) => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'istio-system', labels: { 'topology.istio.io/network': `of-${cluster ?? 'home'}` } },
    ...(cluster !== undefined && { cluster }),
  });

  it('is its own, its cluster’s, its registry’s, that of the narrowest range, or nobody’s', () => {
    const world = new World();
    const of = (cluster: string | undefined, address: string, labels = {}) => world.networks.networkOf(cluster, address, labels);
    expect(of(undefined, '10.1.2.3')).toBe('');
    world.configure({
      wide: { endpoints: [{ fromCidr: '10.0.0.0/8' }] },
      narrow: { endpoints: [{ fromCidr: '10.1.0.0/16' }] },
      registry: { endpoints: [{ fromRegistry: 'two' }] },
    });
    expect([of(undefined, '10.1.2.3'), of(undefined, '10.2.2.3'), of(undefined, '11.0.0.1'), of(undefined, 'fd00::1')]).toEqual([
      'narrow',
      'wide',
      '',
      '',
    ]);
    expect(of('two', '10.1.2.3')).toBe('registry');
    world.put(root(), root('two'));
    expect([of(undefined, '10.1.2.3'), of('two', '10.1.2.3'), of('three', '10.1.2.3')]).toEqual(['of-home', 'of-two', 'narrow']);
    expect(of('two', '10.1.2.3', label)).toBe('own');
  });
});
