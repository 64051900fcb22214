/** Envoy itself reads what proxies with IPv6 addresses get: listeners on `::`, endpoints with two addresses, lookups of both families. */
import { create, fromBinary } from '@bufbuild/protobuf';
import { beforeAll, describe, expect, it } from 'vitest';
import { Cluster_DiscoveryType, ClusterSchema, type Cluster } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.js';
import type { ConfigObject } from '../../src/apis/object.ts';
import { parseObject } from '../../src/apis/parse.ts';
import { objectKey } from '../../src/apis/object.ts';
import { envoyBinary } from '../../src/cli/download/envoy.ts';
import { buildLoadAssignment } from '../../src/envoy/endpoints/load-assignment.ts';
import { endpoint } from '../../src/envoy/testing/model.ts';
import { nodeOf, openProxy, snapshotOf } from '../../src/snapshot/testing/snapshots.ts';
import { clusterType, listenerType } from '../../src/wire/types.ts';
import { PartsView } from '../../src/xds/view.ts';
import { validateConfig } from './harness/validate.ts';

let envoy = '';
beforeAll(async () => {
  envoy = await envoyBinary();
});

const accepted = { accepted: true, output: expect.stringContaining('OK') as string };

function objectOf(raw: object): ConfigObject {
  const parsed = parseObject(raw, {});
  if (parsed.object === undefined) throw new Error(JSON.stringify(parsed.problems));
  return parsed.object;
}

const mesh = [
  objectOf({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'shop' },
    spec: {
      clusterIP: '10.0.0.2',
      clusterIPs: ['10.0.0.2', 'fd00:a::2'],
      selector: { app: 'web' },
      ports: [
        { name: 'http', port: 80 },
        { name: 'tcp-db', port: 5432 },
        { name: 'https', port: 443 },
      ],
    },
  }),
  objectOf({
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadEntry',
    metadata: { name: 'web-1', namespace: 'shop', labels: { app: 'web' } },
    spec: { address: '10.1.0.2' },
  }),
  objectOf({
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: 'api', namespace: 'shop' },
    spec: { hosts: ['api.example.com'], resolution: 'DNS', ports: [{ number: 80, name: 'http', protocol: 'HTTP' }] },
  }),
];

describe('Envoy accepts', () => {
  it.each([
    ['of both families', '10.1.0.2,fd00::2'],
    ['of IPv6 alone', 'fd00::2'],
  ])('the listeners and clusters of a workload %s', async (_name, addresses) => {
    const proxy = openProxy(snapshotOf(mesh), nodeOf('web-1', 'shop', { INSTANCE_IPS: addresses }));
    const view = new PartsView(proxy.parts);
    const all = [...view.resources(listenerType)].map(({ bytes }) => fromBinary(ListenerSchema, bytes));
    expect(all.map(({ name }) => name)).toEqual(expect.arrayContaining(['virtualOutbound', 'virtualInbound', '0.0.0.0_80']));
    const clusters = [...view.resources(clusterType)].map(({ bytes }) => fromBinary(ClusterSchema, bytes));
    expect(await validateConfig(envoy, { listeners: all, clusters })).toEqual(accepted);
  });

  it('a pod of both families as one endpoint', async () => {
    const object = objectKey('Pod', 'shop', 'web-1');
    const loadAssignment = buildLoadAssignment({
      cluster: 'web',
      endpoints: [endpoint('10.1.0.2', { object }), endpoint('fd00::2', { object })],
    });
    expect(loadAssignment.endpoints.flatMap(({ lbEndpoints }) => lbEndpoints)).toHaveLength(1);
    const type: Cluster['clusterDiscoveryType'] = { case: 'type', value: Cluster_DiscoveryType.STATIC };
    const cluster = create(ClusterSchema, { name: 'web', clusterDiscoveryType: type, loadAssignment });
    expect(await validateConfig(envoy, { listeners: [], clusters: [cluster] })).toEqual(accepted);
  });
});
