import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import type { FilterChain } from '#gen/envoy/config/listener/v3/listener_components_pb.js';
import { HttpConnectionManagerSchema } from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { TcpProxySchema } from '#gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js';
import { defaultMeshConfig, type MeshConfig } from '../../apis/mesh-config.ts';
import {
  buildHttpProxyListener,
  buildOutboundListener,
  buildVirtualOutbound,
  type OutboundListener,
  type OutboundListenerContext,
} from './outbound.ts';

const context = (over: Partial<MeshConfig> = {}): OutboundListenerContext => ({
  mesh: { ...defaultMeshConfig, ...over },
  httpAccessLogs: [],
  tcpAccessLogs: [],
});
const chain = (cluster: string) => ({ statPrefix: cluster, destination: { cluster } });

/** What a chain does: `rds:<table>` or the cluster, and what it takes. */
function describeChain(given: FilterChain | undefined): string {
  const [filter] = given?.filters ?? [];
  if (filter?.configType.case !== 'typedConfig') return 'nothing';
  const { value } = filter.configType.value;
  const match = given?.filterChainMatch;
  const what = filter.name.endsWith('tcp_proxy')
    ? String(fromBinary(TcpProxySchema, value).clusterSpecifier.value)
    : `rds:${tableOf(fromBinary(HttpConnectionManagerSchema, value).routeSpecifier)}`;
  const takes = [
    ...(match?.serverNames ?? []),
    ...(match?.prefixRanges ?? []).map(({ addressPrefix, prefixLen }) => `${addressPrefix}/${prefixLen}`),
    ...(match?.applicationProtocols ?? []),
  ];
  return takes.length === 0 ? what : `${what} for ${takes.join(' ')}`;
}

function tableOf(specifier: { case: string | undefined; value?: unknown }): string {
  return specifier.case === 'rds' ? (specifier.value as { routeConfigName: string }).routeConfigName : '';
}

function summary(input: Omit<OutboundListener, 'bindToPort'> & { readonly bindToPort?: boolean }, over: Partial<MeshConfig> = {}) {
  const built = buildOutboundListener(context(over), { bindToPort: false, ...input });
  return {
    name: built.name,
    inspectors: built.listenerFilters.map(({ name }) => name.replace('envoy.filters.listener.', '')),
    chains: built.filterChains.map(describeChain),
    rest: built.defaultFilterChain && describeChain(built.defaultFilterChain),
  };
}

const plaintext = 'http/1.0 http/1.1 h2c';

describe('a listener', () => {
  it('of HTTP on the wildcard address looks for HTTP and passes the rest on', () => {
    expect(summary({ address: '0.0.0.0', port: 80, http: { route: '80' }, tcp: [] })).toEqual({
      name: '0.0.0.0_80',
      inspectors: ['http_inspector'],
      chains: [`rds:80 for ${plaintext}`],
      rest: 'PassthroughCluster',
    });
  });

  it('sends the rest nowhere under REGISTRY_ONLY', () => {
    const registryOnly: Partial<MeshConfig> = { outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' } };
    expect(summary({ address: '0.0.0.0', port: 80, http: { route: '80' }, tcp: [] }, registryOnly).rest).toBe('BlackHoleCluster');
  });

  it('of TCP waits for nothing, so that a server may speak first', () => {
    expect(summary({ address: '10.0.0.1', port: 3306, tcp: [chain('mysql')] })).toEqual({
      name: '10.0.0.1_3306',
      inspectors: [],
      chains: ['mysql'],
      rest: undefined,
    });
  });

  it('of a port without protocol tries HTTP, then TCP', () => {
    expect(summary({ address: '10.0.0.1', port: 90, http: { route: 'a:90' }, tcp: [chain('a')] })).toEqual({
      name: '10.0.0.1_90',
      inspectors: ['http_inspector'],
      chains: [`rds:a:90 for ${plaintext}`],
      rest: 'a',
    });
  });

  it('of HTTP alone on an address of its own is all HTTP', () => {
    expect(summary({ address: '127.0.0.1', port: 9080, http: { route: '9080' }, tcp: [], bindToPort: true })).toEqual({
      name: '127.0.0.1_9080',
      inspectors: [],
      chains: ['rds:9080'],
      rest: undefined,
    });
  });

  it('of TLS chooses by server name; what one chain has, another does not get', () => {
    const tcp = [
      { ...chain('a'), sniHosts: ['a.example', '*.example'] },
      { ...chain('b'), sniHosts: ['A.example', 'b.test'] },
      { ...chain('gone'), sniHosts: ['b.test'] },
      { ...chain('unmatchable'), sniHosts: ['*-x.test'] },
      { ...chain('c'), sniHosts: ['a.example'], cidrs: ['10.1.0.0/16', '::1'] },
    ];
    expect(summary({ address: '0.0.0.0', port: 443, tcp })).toEqual({
      name: '0.0.0.0_443',
      inspectors: ['tls_inspector'],
      chains: ['a for a.example *.example', 'b for b.test', 'c for a.example 10.1.0.0/16 ::1/128'],
      rest: 'PassthroughCluster',
    });
  });

  it('binds only when asked', () => {
    const built = (bindToPort: boolean) =>
      buildOutboundListener(context(), { address: '127.0.0.1', port: 1, bindToPort, tcp: [chain('a')] });
    expect([built(false).bindToPort, built(true).bindToPort]).toEqual([false, undefined]);
  });

  it('waits as long as the mesh says', () => {
    const built = buildOutboundListener(context({ protocolDetectionTimeout: '2s' }), {
      address: '0.0.0.0',
      port: 80,
      bindToPort: false,
      http: { route: '80' },
      tcp: [],
    });
    expect(built.listenerFiltersTimeout).toMatchObject({ seconds: 2n });
    expect(built.continueOnListenerFiltersTimeout).toBe(true);
  });
});

describe('port 15001', () => {
  it('keeps connections to itself from coming back, and passes on what no listener has', () => {
    const built = buildVirtualOutbound(context(), { interceptionMode: 'TPROXY', address: '0.0.0.0', listenerAccessLogs: [] });
    expect(built).toMatchObject({ name: 'virtualOutbound', useOriginalDst: true, transparent: true });
    expect(built.filterChains.map((given) => [given.name, given.filterChainMatch?.destinationPort, describeChain(given)])).toEqual([
      ['virtualOutbound-blackhole', 15001, 'BlackHoleCluster'],
      ['virtualOutbound-catchall-tcp', undefined, 'PassthroughCluster'],
    ]);
  });
});

describe('the HTTP proxy', () => {
  it('takes absolute URLs and has a table of its own', () => {
    const built = buildHttpProxyListener(context(), 15002);
    expect([built.name, built.bindToPort, built.filterChains.map(describeChain)]).toEqual([
      '127.0.0.1_15002',
      undefined,
      ['rds:http_proxy'],
    ]);
  });
});
