import { describe, expect, it, vi } from 'vitest';
import type { ConfigObject, ObjectKey } from '../apis/object.ts';
import { keyOf } from '../apis/object.ts';
import { clusterType, endpointType, listenerType, routeType, secretType, virtualHostType } from '../wire/types.ts';
import { PartsView } from '../xds/view.ts';
import type { Snapshot } from './snapshot.ts';
import { nodeOf, openProxy, resources, snapshotOf } from './testing/snapshots.ts';

function object(kind: string, namespace: string, name: string, spec: object): ConfigObject {
  return {
    kind,
    apiVersion: 'v1',
    namespace,
    name,
    labels: {},
    annotations: {},
    spec,
    origin: { file: `${namespace}/${name}.yaml`, line: 7 },
  };
}

function service(i: number, namespaces: number): ConfigObject {
  return object('Service', `ns${i % namespaces}`, `svc${i}`, {
    clusterIP: `10.0.${i >> 8}.${i & 255}`,
    selector: { app: `svc${i}` },
    ports: [{ name: 'http', port: 80, targetPort: 8080 }],
  });
}

function workload(i: number, replica: number, namespaces: number): ConfigObject {
  return object('WorkloadEntry', `ns${i % namespaces}`, `svc${i}-${replica}`, {
    address: `11.${replica}.${i >> 8}.${i & 255}`,
    labels: { app: `svc${i}` },
    serviceAccount: `svc${i}`,
  });
}

/** What `f` costs: resources encoded, values computed, parts that changed. */
function cost(snapshot: Snapshot, f: () => void): { encoded: number; evaluated: number; parts: string[] } {
  const parts: string[] = [];
  const stop = snapshot.onSettled((changed) => parts.push(...[...changed.keys()].map((part) => part.id.slice(0, 30))));
  const [encoded, evaluated] = [snapshot.encoder.count, snapshot.objects.graph.evaluations];
  f();
  stop();
  return { encoded: snapshot.encoder.count - encoded, evaluated: snapshot.objects.graph.evaluations - evaluated, parts };
}

describe('sharing', () => {
  it('translates nothing for the second to the 200th replica of a workload', () => {
    const objects = Array.from({ length: 50 }, (_, i) => service(i, 5));
    for (let replica = 0; replica < 200; replica++) objects.push(workload(0, replica, 5));
    const snapshot = snapshotOf(objects);
    openProxy(snapshot, nodeOf('svc0-0', 'ns0'));
    const others = cost(snapshot, () => {
      for (let replica = 1; replica < 200; replica++) openProxy(snapshot, nodeOf(`svc0-${replica}`, 'ns0'));
    });
    expect(others.encoded).toBe(0);
    expect(snapshot.partCount).toBe(3);
  });

  it('translates the public view once for 200 workloads in 100 namespaces', () => {
    const objects: ConfigObject[] = [];
    for (let i = 0; i < 200; i++) objects.push(service(i, 100), workload(i, 0, 100));
    const snapshot = snapshotOf(objects);
    const first = cost(snapshot, () => openProxy(snapshot, nodeOf('svc0-0', 'ns0')));
    const others = cost(snapshot, () => {
      for (let i = 1; i < 200; i++) openProxy(snapshot, nodeOf(`svc${i}-0`, `ns${i % 100}`));
    });
    // Cluster, endpoints and virtual host of each service, once; the shared listeners and tables.
    expect(first.encoded).toBeGreaterThanOrEqual(600);
    expect(first.encoded).toBeLessThan(620);
    // Of a namespace the virtual hosts of its own two services, for their short names; of a workload its inbound listener and clusters. Nothing of the 600.
    expect(others.encoded).toBeLessThanOrEqual(99 * 2 + 199 * 2);
  });

  it('costs a change what it touches, at 50 and at 1,000 services alike', () => {
    const costs = [50, 1000].map((services) => {
      const objects: ConfigObject[] = [];
      for (let i = 0; i < services; i++) objects.push(service(i, 10), workload(i, 0, 10));
      const snapshot = snapshotOf(objects);
      for (let i = 0; i < 50; i++) openProxy(snapshot, nodeOf(`svc${i}-0`, `ns${i % 10}`));
      const change = (o: ConfigObject) => (): void => {
        snapshot.objects.put(o);
        snapshot.flush();
      };
      return {
        endpoint: cost(
          snapshot,
          change({ ...workload(7, 0, 10), spec: { address: '11.9.9.9', labels: { app: 'svc7' }, serviceAccount: 'svc7' } }),
        ),
        virtualService: cost(
          snapshot,
          change(
            object('VirtualService', 'ns3', 'vs', {
              hosts: ['svc3'],
              http: [{ timeout: '3s', route: [{ destination: { host: 'svc3' } }] }],
            }),
          ),
        ),
        service: cost(snapshot, change(service(services, 10))),
      };
    });
    expect(costs[1]).toEqual(costs[0]);
    expect(costs[1]?.endpoint.encoded).toBe(1);
    expect(costs[1]?.endpoint.parts).toEqual(['stock public']);
    expect(costs[1]?.virtualService.encoded).toBe(2);
    expect(costs[1]?.service.encoded).toBe(4);
  });
});

describe('what changes nothing', () => {
  it('ends at the services: their Namespace comes after them, and one of them gets an annotation', () => {
    const objects = Array.from({ length: 100 }, (_, i) => [service(i, 5), workload(i, 0, 5)]).flat();
    const snapshot = snapshotOf(objects);
    for (let i = 0; i < 20; i++) openProxy(snapshot, nodeOf(`svc${i}-0`, `ns${i % 5}`));
    const change = (o: ConfigObject) => (): void => {
      snapshot.objects.put(o);
      snapshot.flush();
    };
    const namespace = cost(snapshot, change({ ...object('Namespace', '', 'ns4', {}), labels: { team: 'a' } }));
    // Its 20 services are asked once, and what is read of the namespace.
    expect(namespace).toMatchObject({ encoded: 0, parts: [] });
    expect(namespace.evaluated).toBeLessThanOrEqual(20 + 3);
    const annotated = cost(snapshot, change({ ...service(4, 5), annotations: { note: 'a' } }));
    expect(annotated).toMatchObject({ encoded: 0, parts: [] });
    expect(annotated.evaluated).toBeLessThanOrEqual(2);
  });
});

describe('views', () => {
  const objects = [service(0, 2), workload(0, 0, 2), service(1, 2), workload(1, 0, 2)];
  const names = (snapshot: Snapshot, metadata: Readonly<Record<string, unknown>>): string[] =>
    Object.keys(resources(openProxy(snapshot, nodeOf('svc0-0', 'ns0', metadata)).parts));

  it('give a proxy with an HTTP proxy port a listener, and a table with every port of every host', () => {
    const seen = names(snapshotOf(objects), { INTERCEPTION_MODE: 'NONE', HTTP_PROXY_PORT: '3128' });
    expect(seen.filter((name) => name.includes('http_proxy') || name.startsWith('LDS'))).toEqual([
      'LDS 127.0.0.1_3128',
      'RDS http_proxy',
      'VHDS http_proxy/svc0.ns0.svc.cluster.local:80',
      'VHDS http_proxy/svc1.ns1.svc.cluster.local:80',
    ]);
  });

  it('bind a TCP egress listener of a Sidecar for a service that has an address', () => {
    const tcp = object('Service', 'ns0', 'db', { clusterIP: '10.9.9.9', ports: [{ name: 'tcp', port: 5000 }] });
    const egress = [{ port: { number: 5000, protocol: 'TCP', name: 'tcp' }, bind: '127.0.0.1', hosts: ['./db.ns0.svc.cluster.local'] }];
    const snapshot = snapshotOf([...objects, tcp, object('Sidecar', 'ns0', 'default', { egress })]);
    expect(names(snapshot, { INTERCEPTION_MODE: 'NONE' }).filter((name) => name.startsWith('LDS'))).toEqual(['LDS 127.0.0.1_5000']);
    expect(snapshot.problems()).toEqual([]);
  });

  it('take a Sidecar at its word about unknown destinations, on every listener and table', () => {
    const egress = [{ port: { number: 80, protocol: 'HTTP', name: 'http' }, captureMode: 'NONE', hosts: ['./*'] }, { hosts: ['./*'] }];
    const policed = (mode: string): Snapshot =>
      snapshotOf([...objects, object('Sidecar', 'ns0', 'default', { outboundTrafficPolicy: { mode }, egress })]);
    const seen = (mode: string): string[] => {
      const { parts } = openProxy(policed(mode), nodeOf('svc0-0', 'ns0', { HTTP_PROXY_PORT: '3128' }));
      const view = new PartsView(parts);
      return [listenerType, routeType].flatMap((type) =>
        [...view.resources(type)]
          .filter((r) => /PassthroughCluster|allow_any/.test(Buffer.from(r.bytes).toString('latin1')))
          .map((r) => r.name),
      );
    };
    // Only inbound connections to ports that nothing names still pass.
    expect(seen('REGISTRY_ONLY')).toEqual(['virtualInbound']);
    expect(seen('ALLOW_ANY').sort()).toEqual(['0.0.0.0_80', '80', 'http_proxy', 'virtualInbound', 'virtualOutbound']);
  });

  it('hold back a workload with a policy of a kind that is not translated, and say so', () => {
    const snapshot = snapshotOf([
      ...objects,
      object('RequestAuthentication', 'ns0', 'jwt', { selector: { matchLabels: { app: 'svc0' } } }),
    ]);
    openProxy(snapshot, nodeOf('svc0-0', 'ns0'));
    expect(snapshot.problems()).toMatchObject([{ object: 'RequestAuthentication/ns0/jwt', reason: 'Held', severity: 'error' }]);
  });

  it('hold back a workload whose policy cannot be read', () => {
    const unreadable: ConfigObject = {
      ...object('AuthorizationPolicy', 'ns0', 'ap', { selector: { matchLabels: { app: 'svc0' } } }),
      unreadable: true,
    };
    const snapshot = snapshotOf([...objects, unreadable]);
    openProxy(snapshot, nodeOf('svc1-0', 'ns1'));
    expect(snapshot.problems()).toEqual([]);
    openProxy(snapshot, nodeOf('svc0-0', 'ns0'));
    expect(snapshot.problems()).toMatchObject([{ object: 'AuthorizationPolicy/ns0/ap', path: 'spec', reason: 'Held' }]);
  });

  it('keep private hosts and the short names of other namespaces out', () => {
    const hidden = object('ServiceEntry', 'ns1', 'se', {
      hosts: ['hidden.example.com'],
      exportTo: ['.'],
      resolution: 'STATIC',
      endpoints: [{ address: '20.0.0.1' }],
      ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
    });
    const snapshot = snapshotOf([...objects, hidden]);
    expect(names(snapshot, {}).filter((name) => name.includes('hidden'))).toEqual([]);
    const own = Object.keys(resources(openProxy(snapshot, nodeOf('svc1-0', 'ns1')).parts)).filter((name) => name.includes('hidden'));
    expect(own).toEqual(['CDS outbound|80||hidden.example.com', 'EDS outbound|80||hidden.example.com', 'VHDS 80/hidden.example.com:80']);
  });

  it('follow a Sidecar that appears and goes', () => {
    const snapshot = snapshotOf(objects);
    const proxy = openProxy(snapshot, nodeOf('svc0-0', 'ns0'));
    let moved = 0;
    proxy.onPartsChanged(() => moved++);
    const clusters = (): number => Object.keys(resources(proxy.parts)).filter((name) => name.startsWith('CDS outbound')).length;
    const before = clusters();
    snapshot.objects.put(object('Sidecar', 'ns0', 'default', { egress: [{ hosts: ['./*'] }] }));
    snapshot.flush();
    const within = clusters();
    snapshot.objects.remove('Sidecar/ns0/default' as ObjectKey);
    snapshot.flush();
    expect([before, within, clusters(), moved]).toEqual([2, 1, 2, 2]);
  });
});

describe('provenance', () => {
  const objects = [
    service(0, 1),
    workload(0, 0, 1),
    service(1, 1),
    workload(1, 0, 1),
    object('VirtualService', 'ns0', 'vs', { hosts: ['svc0'], http: [{ route: [{ destination: { host: 'svc1' } }] }] }),
    object('DestinationRule', 'ns0', 'dr', { host: 'svc1', trafficPolicy: { loadBalancer: { simple: 'RANDOM' } } }),
    object('PeerAuthentication', 'ns0', 'default', { mtls: { mode: 'STRICT' } }),
    object('AuthorizationPolicy', 'ns0', 'ap', {
      selector: { matchLabels: { app: 'svc0' } },
      action: 'DENY',
      rules: [{ from: [{ source: { namespaces: ['bad'] } }] }],
    }),
  ];

  it('names the objects of each resource with file and line', () => {
    const proxy = openProxy(snapshotOf(objects), nodeOf('svc0-0', 'ns0'));
    const of = (type: string, name: string): readonly string[] => proxy.explain(type, name)?.objects ?? [];
    expect(of(clusterType, 'outbound|80||svc1.ns0.svc.cluster.local')).toContain('DestinationRule/ns0/dr (ns0/dr.yaml:7)');
    expect(of(endpointType, 'outbound|80||svc0.ns0.svc.cluster.local')).toEqual(
      expect.arrayContaining([
        'Service/ns0/svc0 (ns0/svc0.yaml:7)',
        'WorkloadEntry/ns0/svc0-0 (ns0/svc0-0.yaml:7)',
        'PeerAuthentication/ns0/default (ns0/default.yaml:7)',
      ]),
    );
    expect(of(virtualHostType, '80/svc0.ns0.svc.cluster.local:80')).toEqual(
      expect.arrayContaining(['VirtualService/ns0/vs (ns0/vs.yaml:7)']),
    );
    expect(of(listenerType, 'virtualInbound')).toEqual(expect.arrayContaining(['AuthorizationPolicy/ns0/ap (ns0/ap.yaml:7)']));
    expect(of(listenerType, 'virtualInbound')).not.toContain('WorkloadEntry/ns0/svc1-0 (ns0/svc1-0.yaml:7)');
  });

  it('of a workload with a Sidecar names that Sidecar and none of its neighbours', () => {
    const sidecar = object('Sidecar', 'ns0', 'sc0', { workloadSelector: { labels: { app: 'svc0' } }, egress: [{ hosts: ['./*'] }] });
    const other = object('Sidecar', 'ns0', 'sc1', { workloadSelector: { labels: { app: 'svc1' } }, egress: [{ hosts: ['./*'] }] });
    const proxy = openProxy(snapshotOf([...objects, sidecar, other]), nodeOf('svc0-0', 'ns0'));
    expect(proxy.explain(virtualHostType, '80/svc1.ns0.svc.cluster.local:80')?.objects).toEqual([
      'DestinationRule/ns0/dr (ns0/dr.yaml:7)',
      'Service/ns0/svc1 (ns0/svc1.yaml:7)',
      'Sidecar/ns0/sc0 (ns0/sc0.yaml:7)',
    ]);
    expect(proxy.explain(listenerType, 'virtualInbound')?.objects).toEqual([
      'AuthorizationPolicy/ns0/ap (ns0/ap.yaml:7)',
      'PeerAuthentication/ns0/default (ns0/default.yaml:7)',
      'Service/ns0/svc0 (ns0/svc0.yaml:7)',
      'Sidecar/ns0/sc0 (ns0/sc0.yaml:7)',
    ]);
  });

  it('changing an object that a resource does not name never changes its bytes', () => {
    const edits: Record<string, object> = {
      'Service/ns0/svc1': { clusterIP: '10.0.0.1', selector: { app: 'svc1' }, ports: [{ name: 'http', port: 80, targetPort: 9999 }] },
      'WorkloadEntry/ns0/svc1-0': { address: '11.7.7.7', labels: { app: 'svc1' }, serviceAccount: 'svc1' },
      'VirtualService/ns0/vs': { hosts: ['svc0'], http: [{ timeout: '9s', route: [{ destination: { host: 'svc1' } }] }] },
      'DestinationRule/ns0/dr': { host: 'svc1', trafficPolicy: { connectionPool: { tcp: { maxConnections: 7 } } } },
      'PeerAuthentication/ns0/default': { mtls: { mode: 'PERMISSIVE' } },
      'AuthorizationPolicy/ns0/ap': { action: 'DENY', rules: [{ from: [{ source: { namespaces: ['worse'] } }] }] },
    };
    for (const [key, spec] of Object.entries(edits)) {
      const snapshot = snapshotOf(objects);
      const proxy = openProxy(snapshot, nodeOf('svc0-0', 'ns0'));
      const before = resources(proxy.parts);
      const named = namesOf(proxy);
      const edited = objects.find((o) => keyOf(o) === (key as ObjectKey));
      if (edited === undefined) throw new Error(key);
      snapshot.objects.put({ ...edited, spec });
      snapshot.flush();
      const after = resources(proxy.parts);
      const changed = Object.keys({ ...before, ...after }).filter((name) => before[name] !== after[name]);
      expect(changed.length, key).toBeGreaterThan(0);
      const namedAfter = namesOf(proxy);
      for (const name of changed)
        expect([...(named.get(name) ?? []), ...(namedAfter.get(name) ?? [])].join(), `${name} after ${key}`).toContain(key);
    }
  });
});

function namesOf(proxy: ReturnType<typeof openProxy>): Map<string, readonly string[]> {
  const view = new PartsView(proxy.parts);
  const names = new Map<string, readonly string[]>();
  for (const [short, type] of Object.entries({ CDS: clusterType, EDS: endpointType, LDS: listenerType, VHDS: virtualHostType })) {
    for (const { name } of view.resources(type)) names.set(`${short} ${name}`, proxy.explain(type, name)?.objects ?? []);
  }
  return names;
}

describe('a fault of ours', () => {
  it('refuses a proxy for which there is no plan, so that it keeps what it has, and takes it later', () => {
    const faults: string[] = [];
    const snapshot = snapshotOf([service(0, 1)], (collection, _key, error) => faults.push(`${collection}: ${(error as Error).message}`));
    const failing = vi.spyOn(snapshot.mesh, 'sidecarOf').mockImplementation(() => {
      throw new Error('no plan');
    });
    const open = () => snapshot.open(nodeOf('svc0-0', 'ns0'), { address: '', secure: false });
    expect(open()).toEqual({ refused: expect.stringContaining('a fault of the control plane') });
    expect(faults).toEqual(['plans: no plan']);
    failing.mockRestore();
    const opened = open();
    expect('refused' in opened ? [] : opened.parts.map((part) => part.id.split(' ')[1])).toEqual(['public', 'namespace', 'inbound']);
  });
});

describe('secrets of a gateway', () => {
  it('are not there for a caller whose transport does not keep them secret', () => {
    const server = {
      port: { number: 443, name: 'https', protocol: 'HTTPS' },
      hosts: ['*'],
      tls: { mode: 'SIMPLE', credentialName: 'cert' },
    };
    const snapshot = snapshotOf([object('Gateway', 'ns0', 'gw', { selector: { istio: 'gw' }, servers: [server] })], undefined, {
      secret: { name: 'kubernetes://cert', version: '1', bytes: new Uint8Array() },
      problems: [],
    });
    const secretsFor = (secure: boolean): string[] => {
      const opened = snapshot.open(nodeOf('gw', 'ns0', { LABELS: { istio: 'gw' } }, 'router'), { address: '', secure });
      if ('refused' in opened) throw new Error(opened.refused);
      return [...new PartsView(opened.parts).resources(secretType)].map((secret) => secret.name);
    };
    expect([secretsFor(true), secretsFor(false), secretsFor(true)]).toEqual([['kubernetes://cert'], [], ['kubernetes://cert']]);
    const entry = { address: '11.0.0.1', labels: { istio: 'gw' }, serviceAccount: 'gateway' };
    snapshot.objects.put(object('WorkloadEntry', 'ns0', 'gw', entry));
    const secretsOf = (serviceAccount: string): number => {
      const identity = { spiffeId: '', trustDomain: '', namespace: 'ns0', serviceAccount };
      const opened = snapshot.open(nodeOf('gw', 'ns0', { LABELS: { istio: 'gw' } }, 'router'), { address: '', secure: true, identity });
      if ('refused' in opened) throw new Error(opened.refused);
      return [...new PartsView(opened.parts).resources(secretType)].length;
    };
    // A neighbour that claims the gateway's name and labels gets none of its keys.
    expect([secretsOf('gateway'), secretsOf('neighbour')]).toEqual([1, 0]);
  });
});
