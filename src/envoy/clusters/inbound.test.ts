import { describe, expect, it } from 'vitest';
import { Cluster_DiscoveryType, type Cluster } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { defaultMeshConfig } from '../../apis/mesh-config.ts';
import type { InboundPort, InboundWorkload } from '../listeners/inbound-workload.ts';
import { buildInboundClusters } from './inbound.ts';

const port = (number: number, over: Partial<InboundPort> = {}): InboundPort => ({
  number,
  protocol: 'http',
  mtls: 'STRICT',
  hosts: ['reviews.default.svc.cluster.local', 'alias.default.svc.cluster.local'],
  service: { name: 'reviews', namespace: 'default', port: 80 },
  endpoint: { kind: 'original-destination' },
  ...over,
});

const clusters = (family: InboundWorkload['family'], ...ports: InboundPort[]): Cluster[] =>
  buildInboundClusters({
    interceptionMode: 'REDIRECT',
    family,
    ports,
    otherPorts: { mtls: 'STRICT', byNumber: {} },
    policies: [],
    mesh: defaultMeshConfig,
  });

const type = (cluster: Cluster | undefined) => cluster?.clusterDiscoveryType.value;
const endpoint = (cluster: Cluster | undefined) => {
  const host = cluster?.loadAssignment?.endpoints[0]?.lbEndpoints[0]?.hostIdentifier;
  return host?.case === 'endpoint' ? host.value.address?.address.value : undefined;
};

describe('buildInboundClusters', () => {
  it('sends to where the connection was headed, from the address that interception lets through', () => {
    const [first, second] = clusters('both', port(9081), port(9080));
    expect([first?.name, second?.name]).toEqual(['inbound|9080||', 'inbound|9081||']);
    expect(type(first)).toBe(Cluster_DiscoveryType.ORIGINAL_DST);
    expect(first?.loadAssignment).toBeUndefined();
    expect(first?.upstreamBindConfig).toMatchObject({
      sourceAddress: { address: '127.0.0.6' },
      extraSourceAddresses: [{ address: { address: '::6' } }],
    });
  });

  it('names the Services, the first in full', () => {
    expect(clusters('ipv4', port(9080))[0]?.metadata?.filterMetadata).toEqual({
      istio: {
        services: [
          { host: 'reviews.default.svc.cluster.local', name: 'reviews', namespace: 'default' },
          { host: 'alias.default.svc.cluster.local' },
        ],
      },
    });
  });

  it('goes to the endpoint of a Sidecar, without a source address where that is local', () => {
    const [local, own, pipe] = clusters(
      'ipv4',
      port(1, { endpoint: { kind: 'address', address: '127.0.0.1', port: 8080 } }),
      port(2, { endpoint: { kind: 'address', address: '10.0.0.1', port: 8080 } }),
      port(3, { endpoint: { kind: 'unix', path: '/run/app.sock' } }),
    );
    expect([local, own, pipe].map(type)).toEqual(Array.from({ length: 3 }, () => Cluster_DiscoveryType.STATIC));
    expect([local, own, pipe].map(endpoint)).toMatchObject([
      { address: '127.0.0.1', portSpecifier: { value: 8080 } },
      { address: '10.0.0.1', portSpecifier: { value: 8080 } },
      { path: '/run/app.sock' },
    ]);
    expect([local, own, pipe].map((c) => c?.upstreamBindConfig?.sourceAddress?.address)).toEqual([undefined, '127.0.0.6', undefined]);
  });

  it('speaks what the port declares, whatever came over mutual TLS', () => {
    const options = (protocol: InboundPort['protocol']) =>
      Object.keys(clusters('ipv4', port(1, { protocol }))[0]?.typedExtensionProtocolOptions ?? {});
    const key = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
    expect([options('http'), options('tcp'), options('grpc'), options('auto')]).toEqual([[], [], [key], [key]]);
  });
});
