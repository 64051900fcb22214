import { describe, expect, it } from 'vitest';
import type { Endpoint } from '../../mesh/model.ts';
import type { NetworkGateways } from '../../mesh/networks.ts';
import { endpoint, locality } from '../testing/model.ts';
import { reachableEndpoints, type Reach } from './reach.ts';

const gateway = (network: string, address: string, cluster = '') => ({ network, cluster, address, port: 15443 });

function gatewaysOf(...list: ReturnType<typeof gateway>[]): NetworkGateways {
  const by = (keyOf: (g: ReturnType<typeof gateway>) => string) =>
    Object.fromEntries(list.map((g) => [keyOf(g), list.filter((other) => keyOf(other) === keyOf(g))]));
  return { byNetwork: by((g) => g.network), byCluster: by((g) => `${g.network}|${g.cluster}`), scale: list.length };
}

const on = (network: string, address: string, rest: Partial<Endpoint> = {}): Endpoint =>
  endpoint(address, { network, tlsMode: 'istio', ...rest });

/** `address:port*weight`. */
function reached(endpoints: readonly Endpoint[], reach: Partial<Reach>): string[] {
  return reachableEndpoints(endpoints, { network: 'n1', mutualTls: true, ...reach }).map((e) => `${e.address}:${e.port}*${e.weight}`);
}

describe('endpoints of other networks', () => {
  const gateways = gatewaysOf(gateway('n2', '192.0.2.1'), gateway('n2', '192.0.2.2'));
  const all = [on('n1', '10.0.0.1'), on('n2', '10.0.0.2'), on('n2', '10.0.0.3', { weight: 3 }), on('n3', '10.0.0.4'), on('', '10.0.0.5')];

  it('are the gateways of these, with the weights of those behind them', () => {
    expect(reached(all, { gateways })).toEqual([
      '10.0.0.1:9080*2',
      '10.0.0.4:9080*2',
      '10.0.0.5:9080*2',
      '192.0.2.1:15443*4',
      '192.0.2.2:15443*4',
    ]);
  });

  it('keep their locality', () => {
    const two = [on('n2', '10.0.0.2', { locality: locality('eu/a/1') }), on('n2', '10.0.0.3', { locality: locality('us/a/1') })];
    const found = reachableEndpoints(two, { network: 'n1', mutualTls: true, gateways: gatewaysOf(gateway('n2', '192.0.2.1')) });
    expect(found.map((e) => [e.address, e.locality.region, e.tlsMode])).toEqual([
      ['192.0.2.1', 'eu', 'istio'],
      ['192.0.2.1', 'us', 'istio'],
    ]);
  });

  it('are left out where they do not speak mutual TLS, or the client does not', () => {
    const plain = [on('n2', '10.0.0.2', { tlsMode: 'disabled' }), on('n2', '10.0.0.3', { health: 'unhealthy' })];
    expect(reached(plain, { gateways })).toEqual([]);
    expect(reached(all, { gateways, mutualTls: false })).toEqual(['10.0.0.1:9080*2', '10.0.0.4:9080*2', '10.0.0.5:9080*2']);
  });

  it('are behind gateways also for a client whose network nobody knows', () => {
    expect(reached([on('n2', '10.0.0.2'), on('n3', '10.0.0.4')], { network: '', gateways })).toEqual([
      '10.0.0.4:9080*2',
      '192.0.2.1:15443*1',
      '192.0.2.2:15443*1',
    ]);
  });

  it('need no address of their own', () => {
    expect(reached([on('n2', ''), on('n1', ''), on('n3', '')], { gateways })).toEqual(['192.0.2.1:15443*1', '192.0.2.2:15443*1']);
    expect(reached([on('n2', '')], {})).toEqual([]);
  });

  it('are left out of a view that does not have them', () => {
    expect(reached(all, { view: ['n1'] })).toEqual(['10.0.0.1:9080*1', '10.0.0.5:9080*1']);
  });
});

describe('a proxy of one address family', () => {
  const both = [on('n1', '10.0.0.1'), on('n1', 'fd00::1')];

  it('has no address of the other', () => {
    expect(reached(both, { family: 'ipv4' })).toEqual(['10.0.0.1:9080*1']);
    expect(reached(both, { family: 'ipv6' })).toEqual(['fd00::1:9080*1']);
    expect(reached(both, {})).toHaveLength(2);
  });

  it('has no gateway of the other, and nothing of what is only behind it', () => {
    const gateways = gatewaysOf(gateway('n2', 'fd00::9'));
    expect(reached([on('n2', '10.0.0.2')], { gateways, family: 'ipv4' })).toEqual([]);
    expect(reached([on('n2', '10.0.0.2')], { gateways, family: 'ipv6' })).toEqual(['fd00::9:15443*1']);
  });
});
