/** What proxies get of services that prefer endpoints near them, or have them on each node for themselves. */
import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import type { ConfigObject } from '../apis/object.ts';
import { parseObject } from '../apis/parse.ts';
import { clusterType, endpointType } from '../wire/types.ts';
import { PartsView } from '../xds/view.ts';
import type { Snapshot } from './snapshot.ts';
import { nodeOf, openProxy, snapshotOf } from './testing/snapshots.ts';
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.js';

function objectOf(raw: object): ConfigObject {
  const parsed = parseObject(raw, {});
  if (parsed.object === undefined) throw new Error(JSON.stringify(parsed.problems));
  return parsed.object;
}

const node = (name: string, zone: string): ConfigObject =>
  objectOf({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'topology.kubernetes.io/region': zone.slice(0, 2), 'topology.kubernetes.io/zone': zone } },
  });

const pod = (name: string, ip: string, nodeName: string, app = 'web'): ConfigObject =>
  objectOf({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', labels: { app } },
    spec: { serviceAccountName: app, nodeName, containers: [] },
    status: { podIP: ip, phase: 'Running' },
  });

const service = (spec: object, annotations: object = {}): ConfigObject =>
  objectOf({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'shop', annotations },
    spec: { clusterIP: '10.0.0.1', selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }], ...spec },
  });

const places = { n1: 'eu-a', n2: 'eu-a', n3: 'eu-b', n4: 'us-a' } as const;
const entries = Object.entries(places);

/** One endpoint on each node, by whether it is ready. */
const slice = (unready: readonly string[] = []): ConfigObject =>
  objectOf({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'web-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    endpoints: entries.map(([name], i) => ({
      addresses: [`10.1.0.${i + 1}`],
      conditions: { ready: !unready.includes(name) },
      nodeName: name,
      targetRef: { kind: 'Pod', name: `web-${name}`, namespace: 'shop' },
    })),
  });

/** Four nodes in three zones with an endpoint and a client on each. */
function world(...extra: readonly ConfigObject[]): Snapshot {
  return snapshotOf([
    ...entries.flatMap(([name, zone], i) => [
      node(name, zone),
      pod(`web-${name}`, `10.1.0.${i + 1}`, name),
      pod(`client-${name}`, `10.2.0.${i + 1}`, name, 'client'),
    ]),
    slice(),
    ...extra,
  ]);
}

const name = 'outbound|80||web.shop.svc.cluster.local';

/** Addresses by priority; those that are not ready in brackets. */
function priorities(snapshot: Snapshot, client: string, metadata: Readonly<Record<string, unknown>> = {}): string[] {
  const proxy = openProxy(snapshot, nodeOf(`client-${client}`, 'shop', metadata));
  const resource = [...new PartsView(proxy.parts).resources(endpointType)].find((r) => r.name === name);
  const found: string[][] = [];
  for (const { priority, lbEndpoints } of fromBinary(ClusterLoadAssignmentSchema, resource!.bytes).endpoints) {
    for (const { hostIdentifier, healthStatus } of lbEndpoints) {
      const address = hostIdentifier.case === 'endpoint' ? hostIdentifier.value.address?.address : undefined;
      const text = address?.case === 'socketAddress' ? address.value.address : '';
      (found[priority] ??= []).push(healthStatus === 2 ? `(${text})` : text);
    }
  }
  return found.map((list) => list.sort().join(' '));
}

function weighsLocalities(snapshot: Snapshot): boolean {
  const proxy = openProxy(snapshot, nodeOf('client-n1', 'shop'));
  const resource = [...new PartsView(proxy.parts).resources(clusterType)].find((r) => r.name === name);
  return fromBinary(ClusterSchema, resource!.bytes).commonLbConfig?.localityConfigSpecifier.case === 'localityWeightedLbConfig';
}

describe('trafficDistribution', () => {
  it('PreferClose and PreferSameZone: the zone, the region, the rest', () => {
    for (const trafficDistribution of ['PreferClose', 'PreferSameZone']) {
      const snapshot = world(service({ trafficDistribution }));
      expect(priorities(snapshot, 'n1')).toEqual(['10.1.0.1 10.1.0.2', '10.1.0.3', '10.1.0.4']);
      expect(priorities(snapshot, 'n4')).toEqual(['10.1.0.4', '10.1.0.1 10.1.0.2 10.1.0.3']);
      expect(weighsLocalities(snapshot)).toBe(true);
    }
  });

  it('PreferSameNode: the node before its zone', () => {
    const snapshot = world(service({ trafficDistribution: 'PreferSameNode' }));
    expect(priorities(snapshot, 'n1')).toEqual(['10.1.0.1', '10.1.0.2', '10.1.0.3', '10.1.0.4']);
    expect(priorities(snapshot, 'n2')).toEqual(['10.1.0.2', '10.1.0.1', '10.1.0.3', '10.1.0.4']);
  });

  it('from the annotation of the Service or its namespace, as long as it is there', () => {
    const annotations = { 'networking.istio.io/traffic-distribution': 'PreferClose' };
    expect(priorities(world(service({}, annotations)), 'n3')).toEqual(['10.1.0.3', '10.1.0.1 10.1.0.2', '10.1.0.4']);
    const snapshot = world(service({}));
    expect(priorities(snapshot, 'n3')).toHaveLength(1);
    const namespace = (metadata: object) => objectOf({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', ...metadata } });
    snapshot.objects.put(namespace({ annotations }));
    snapshot.flush();
    expect(priorities(snapshot, 'n3')).toHaveLength(3);
    snapshot.objects.put(namespace({ labels: { a: 'b' } }));
    snapshot.flush();
    expect(priorities(snapshot, 'n3')).toHaveLength(1);
  });

  it('says which endpoints of a priority are missing, and only there', () => {
    const snapshot = world(service({ trafficDistribution: 'PreferClose' }));
    snapshot.objects.put(slice(['n1']));
    snapshot.flush();
    expect(priorities(snapshot, 'n2')).toEqual(['(10.1.0.1) 10.1.0.2', '10.1.0.3', '10.1.0.4']);
    snapshot.objects.put(service({}));
    snapshot.flush();
    expect(priorities(snapshot, 'n2')).toEqual(['10.1.0.2 10.1.0.3 10.1.0.4']);
  });

  it('gives way to a DestinationRule', () => {
    const rule = objectOf({
      apiVersion: 'networking.istio.io/v1',
      kind: 'DestinationRule',
      metadata: { name: 'web', namespace: 'shop' },
      spec: { host: 'web', trafficPolicy: { loadBalancer: { localityLbSetting: { enabled: false } } } },
    });
    const snapshot = world(service({ trafficDistribution: 'PreferClose' }), rule);
    expect(priorities(snapshot, 'n1')).toHaveLength(1);
    expect(weighsLocalities(snapshot)).toBe(false);
  });
});

describe('internalTrafficPolicy: Local', () => {
  it('leaves the endpoints of the node', () => {
    const snapshot = world(service({ internalTrafficPolicy: 'Local' }));
    expect(priorities(snapshot, 'n1')).toEqual(['10.1.0.1']);
    expect(priorities(snapshot, 'n4')).toEqual(['10.1.0.4']);
  });

  it('leaves none where the node has none, or is unknown', () => {
    const snapshot = world(service({ internalTrafficPolicy: 'Local' }));
    expect(priorities(snapshot, 'stranger', { NODE_NAME: 'n9' })).toEqual([]);
    expect(priorities(snapshot, 'stranger')).toEqual([]);
    expect(priorities(snapshot, 'stranger', { NODE_NAME: 'n2' })).toEqual(['10.1.0.2']);
  });
});

it('costs a part for each node only while a service asks for nodes', () => {
  const snapshot = world(service({ trafficDistribution: 'PreferClose' }));
  for (const client of Object.keys(places)) openProxy(snapshot, nodeOf(`client-${client}`, 'shop'));
  // Public, namespace, three localities, one workload.
  expect(snapshot.partCount).toBe(6);
  snapshot.objects.put(service({ internalTrafficPolicy: 'Local' }));
  snapshot.flush();
  expect(snapshot.partCount).toBe(10);
});
