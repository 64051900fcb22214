import { describe, expect, it } from 'vitest';
import { defaultMeshConfig } from '../../apis/mesh-config.ts';
import { HealthStatus } from '#gen/envoy/config/core/v3/health_check_pb.js';
import type { Endpoint } from '../../mesh/model.ts';
import { effectivePolicy } from '../clusters/effective-policy.ts';
import { endpoint, locality, rule } from '../testing/model.ts';
import { buildLoadAssignment } from './load-assignment.ts';
import { type LocalityBalancing, localityBalancing } from './locality-balancing.ts';

const near = endpoint('10.0.0.1', { locality: locality('eu/a/1') });
const sameZone = endpoint('10.0.0.2', { locality: locality('eu/a/2') });
const sameRegion = endpoint('10.0.0.3', { locality: locality('eu/b/1') });
const us = endpoint('10.0.0.4', { locality: locality('us/a/1') });
const asia = endpoint('10.0.0.5', { locality: locality('asia/a/1'), weight: 3 });
const all = [asia, us, sameRegion, sameZone, near];
const proxy = { locality: locality('eu/a/1'), labels: { version: 'v1', 'topology.istio.io/network': 'n1' } };

/** `priority:weight region/zone/subZone addresses`, as Envoy gets them. */
function summary(endpoints: readonly Endpoint[], balancing?: LocalityBalancing): string[] {
  const assignment = buildLoadAssignment({ cluster: 'c', endpoints, ...(balancing && { balancing, proxy }) });
  return assignment.endpoints.map(({ locality: at, priority, loadBalancingWeight, lbEndpoints }) => {
    const addresses = lbEndpoints.map(({ hostIdentifier }) =>
      hostIdentifier.case === 'endpoint' && hostIdentifier.value.address?.address.case === 'socketAddress'
        ? hostIdentifier.value.address.address.value.address
        : '',
    );
    return `${priority}:${loadBalancingWeight} ${at?.region}/${at?.zone}/${at?.subZone} ${addresses.join(',')}`;
  });
}

describe('without balancing', () => {
  it('groups by locality in one order, whatever the order of the input', () => {
    const expected = ['0:3 asia/a/1 10.0.0.5', '0:1 eu/a/1 10.0.0.1', '0:1 eu/a/2 10.0.0.2', '0:1 eu/b/1 10.0.0.3', '0:1 us/a/1 10.0.0.4'];
    expect(summary(all)).toEqual(expected);
    expect(summary([...all].reverse())).toEqual(expected);
  });

  it('orders endpoints by address and port, and adds up their weights', () => {
    const twice = [endpoint('10.0.0.9', { port: 2, weight: 5 }), endpoint('10.0.0.8'), endpoint('10.0.0.9', { port: 1 })];
    expect(summary(twice)).toEqual(['0:7 // 10.0.0.8,10.0.0.9,10.0.0.9']);
  });

  it('keeps the endpoints of a subset', () => {
    const v2 = endpoint('10.0.0.7', { labels: { version: 'v2' } });
    const { endpoints } = buildLoadAssignment({ cluster: 'c', endpoints: [near, v2], subset: { version: 'v2' } });
    expect(endpoints.map(({ lbEndpoints }) => lbEndpoints.length)).toEqual([1]);
  });

  it('keeps the endpoints of a subset by where they are, whatever their workload says of itself', () => {
    const lying = endpoint('10.0.0.7', { labels: { 'topology.istio.io/cluster': 'east', empty: '' }, cluster: 'west' });
    const east = endpoint('10.0.0.8', { cluster: 'east', locality: locality('eu/a/1') });
    const kept = (subset: Record<string, string>): unknown[] =>
      buildLoadAssignment({ cluster: 'c', endpoints: [lying, east], subset }).endpoints.flatMap(({ lbEndpoints }) =>
        lbEndpoints.map(({ hostIdentifier }) =>
          hostIdentifier.case === 'endpoint' && hostIdentifier.value.address?.address.case === 'socketAddress'
            ? hostIdentifier.value.address.address.value.address
            : '',
        ),
      );
    expect(kept({ 'topology.istio.io/cluster': 'east' })).toEqual(['10.0.0.8']);
    expect(kept({ 'topology.istio.io/cluster': 'west' })).toEqual(['10.0.0.7']);
    expect(kept({ 'topology.kubernetes.io/region': 'eu' })).toEqual(['10.0.0.8']);
    expect(kept({ empty: '' })).toEqual(['10.0.0.7']);
    expect(kept({})).toHaveLength(2);
  });

  it('sends unhealthy endpoints with their health, and no draining ones', () => {
    const { endpoints } = buildLoadAssignment({
      cluster: 'c',
      endpoints: [endpoint('10.0.0.1', { health: 'unhealthy' }), endpoint('10.0.0.2', { health: 'draining' })],
    });
    expect(endpoints.flatMap(({ lbEndpoints }) => lbEndpoints.map(({ healthStatus }) => healthStatus))).toEqual([HealthStatus.UNHEALTHY]);
  });

  it('leaves out DNS names unless they are allowed', () => {
    const mixed = ['a.example', '10.0.0.1', '::1', 'unix:///run/app.sock', '10.0.0.999'].map((address) => endpoint(address));
    const count = (names: boolean) => buildLoadAssignment({ cluster: 'c', endpoints: mixed, names }).endpoints[0]?.lbEndpoints.length;
    expect([count(false), count(true)]).toEqual([3, 5]);
  });

  it('says who answers, and whether it speaks mutual TLS', () => {
    const metadata = (one: Endpoint) =>
      buildLoadAssignment({ cluster: 'c', endpoints: [one] }).endpoints[0]?.lbEndpoints[0]?.metadata?.filterMetadata;
    expect(metadata(near)).toEqual({
      'envoy.transport_socket_match': { tlsMode: 'istio' },
      istio: { workload: 'reviews-v1;default;reviews;v1;Kubernetes' },
      mizzen: { name: 'reviews-v1', namespace: 'default', service: 'reviews', revision: 'v1' },
    });
    const latest = { 'service.istio.io/canonical-name': 'r', 'service.istio.io/canonical-revision': 'latest' };
    expect(metadata(endpoint('10.0.0.1', { tlsMode: 'disabled', labels: latest }))).toEqual({
      istio: { workload: 'reviews-v1;default;r;;Kubernetes' },
      mizzen: { name: 'reviews-v1', namespace: 'default', service: 'r', revision: 'latest' },
    });
  });
});

describe('failover', () => {
  const failover = (over: Partial<Extract<LocalityBalancing, { kind: 'failover' }>>): LocalityBalancing => ({
    kind: 'failover',
    failover: [],
    failoverPriority: [],
    ...over,
  });

  it('by distance', () => {
    expect(summary(all, failover({}))).toEqual([
      '3:3 asia/a/1 10.0.0.5',
      '0:1 eu/a/1 10.0.0.1',
      '1:1 eu/a/2 10.0.0.2',
      '2:1 eu/b/1 10.0.0.3',
      '3:1 us/a/1 10.0.0.4',
    ]);
  });

  it('to the region that is named, without gaps between priorities', () => {
    expect(summary([near, us, asia], failover({ failover: [{ from: 'eu', to: 'us' }] }))).toEqual([
      '2:3 asia/a/1 10.0.0.5',
      '0:1 eu/a/1 10.0.0.1',
      '1:1 us/a/1 10.0.0.4',
    ]);
  });

  it('by labels shared with the proxy, or equal to a value', () => {
    const old = endpoint('10.0.0.6', { labels: { version: 'v0' }, locality: near.locality });
    expect(summary([near, old], failover({ failoverPriority: ['version'] }))).toEqual(['0:1 eu/a/1 10.0.0.1', '1:1 eu/a/1 10.0.0.6']);
    expect(summary([near, old], failover({ failoverPriority: ['version=v0'] }))).toEqual(['0:1 eu/a/1 10.0.0.6', '1:1 eu/a/1 10.0.0.1']);
  });

  it('to foreign networks last, among themselves by the other labels', () => {
    const in_ = (address: string, network: string, version: string) =>
      endpoint(address, { labels: { 'topology.istio.io/network': network, version }, locality: near.locality });
    const endpoints = [in_('10.0.0.1', 'n2', 'v2'), in_('10.0.0.2', 'n2', 'v1'), in_('10.0.0.3', 'n1', 'v2'), in_('10.0.0.4', 'n1', 'v1')];
    expect(summary(endpoints, failover({ failoverPriority: ['topology.istio.io/network', 'version'] }))).toEqual([
      '0:1 eu/a/1 10.0.0.4',
      '1:1 eu/a/1 10.0.0.3',
      '2:1 eu/a/1 10.0.0.2',
      '3:1 eu/a/1 10.0.0.1',
    ]);
  });
});

it('compares by where things are, which needs no labels of theirs', () => {
  const failoverPriority = ['topology.kubernetes.io/region', 'topology.kubernetes.io/zone', 'topology.istio.io/subzone'];
  expect(summary(all, { kind: 'failover', failover: [], failoverPriority })).toEqual([
    '3:3 asia/a/1 10.0.0.5',
    '0:1 eu/a/1 10.0.0.1',
    '1:1 eu/a/2 10.0.0.2',
    '2:1 eu/b/1 10.0.0.3',
    '3:1 us/a/1 10.0.0.4',
  ]);
});

describe('distribute', () => {
  it('divides the weight of a target by the weights of its localities, the most specific target first, and drops the rest', () => {
    const distribute = [{ from: 'eu/*', to: { 'eu/*': 20, 'eu/a/1': 70, 'asia/*': 10 } }];
    expect(summary(all, { kind: 'distribute', distribute })).toEqual([
      '0:10 asia/a/1 10.0.0.5',
      '0:70 eu/a/1 10.0.0.1',
      '0:10 eu/a/2 10.0.0.2',
      '0:10 eu/b/1 10.0.0.3',
    ]);
  });

  it('changes nothing for proxies elsewhere', () => {
    expect(summary([near, us], { kind: 'distribute', distribute: [{ from: 'us/*', to: { 'us/*': 100 } }] })).toEqual(summary([near, us]));
  });
});

it('is off for the cluster as a whole where only a subset switches it on', () => {
  const localityLbSetting = { failoverPriority: ['version', 'tier=1', 'app'] };
  const trafficPolicy = { outlierDetection: { consecutive5xxErrors: 1 }, loadBalancer: { localityLbSetting } };
  const switchedOff = { loadBalancer: { localityLbSetting: { enabled: false } } };
  const subset = rule('a', { trafficPolicy: switchedOff, subsets: [{ name: 's', trafficPolicy }] });
  expect(localityBalancing(effectivePolicy(subset, 80), defaultMeshConfig, {})).toBeUndefined();
  expect(localityBalancing(effectivePolicy(subset, 80, 's'), defaultMeshConfig, {})?.kind).toBe('failover');
});
