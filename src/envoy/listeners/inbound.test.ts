import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import type { Filter, FilterChain } from '#gen/envoy/config/listener/v3/listener_components_pb.js';
import type { Listener } from '#gen/envoy/config/listener/v3/listener_pb.js';
import { RBACSchema as HttpRbacSchema } from '#gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import {
  HttpConnectionManagerSchema,
  HttpConnectionManager_ForwardClientCertDetails as ForwardClientCertDetails,
} from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { RBACSchema as TcpRbacSchema } from '#gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js';
import { DownstreamTlsContextSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { defaultMeshConfig } from '../../apis/mesh-config.ts';
import { objectKey } from '../../apis/object.ts';
import type { MeshAuthorizationPolicy, MtlsMode, Protocol } from '../../mesh/model.ts';
import { buildInboundListeners } from './inbound.ts';
import type { InboundPort, InboundWorkload } from './inbound-workload.ts';

const port = (number: number, protocol: Protocol, mtls: MtlsMode, over: Partial<InboundPort> = {}): InboundPort => ({
  number,
  protocol,
  mtls,
  hosts: ['reviews.default.svc.cluster.local'],
  service: { name: 'reviews', namespace: 'default', port: 80 },
  endpoint: { kind: 'original-destination' },
  ...over,
});

const workload = (over: Partial<InboundWorkload>): InboundWorkload => ({
  interceptionMode: 'REDIRECT',
  family: 'ipv4',
  ports: [],
  otherPorts: { mtls: 'DISABLE', byNumber: {} },
  policies: [],
  mesh: { ...defaultMeshConfig, trustDomainAliases: ['old.example'] },
  ...over,
});

const policy = (over: Partial<MeshAuthorizationPolicy>): MeshAuthorizationPolicy => ({
  object: objectKey('AuthorizationPolicy', 'default', 'p'),
  name: 'p',
  namespace: 'default',
  spec: { action: 'DENY', rules: [{ from: [{ source: { namespaces: ['evil'] } }] }] },
  untranslated: [],
  ...over,
});

const only = (input: InboundWorkload): Listener => {
  const { resources } = buildInboundListeners(input);
  expect(resources).toHaveLength(1);
  return resources[0]!;
};

const short = (filter: Filter): string => filter.name.replace('envoy.filters.network.', '');

/** `transport [alpn] -> filters (tls)`. */
function brief({ filterChainMatch: match, filters, transportSocket }: FilterChain): string {
  const alpn = match?.applicationProtocols.length ? ` [${match.applicationProtocols.join(' ')}]` : '';
  return `${match?.transportProtocol}${alpn} -> ${filters.map(short).join(' ')}${transportSocket === undefined ? '' : ' (tls)'}`;
}

const chainsOf = (listener: Listener, number: number): FilterChain[] =>
  listener.filterChains.filter(({ filterChainMatch }) => filterChainMatch?.destinationPort === number);

function managerOf(chain: FilterChain | undefined) {
  const config = chain?.filters.at(-1)?.configType;
  if (config?.case !== 'typedConfig') throw new Error('no filter');
  return fromBinary(HttpConnectionManagerSchema, config.value.value);
}

const all = 'istio istio-peer-exchange istio-http/1.0 istio-http/1.1 istio-h2';

describe('filter chains of a port', () => {
  it.each([
    ['http', 'STRICT', ['tls -> http_connection_manager (tls)']],
    ['http', 'PERMISSIVE', [`tls [${all}] -> http_connection_manager (tls)`, 'raw_buffer -> http_connection_manager']],
    ['http', 'DISABLE', ['raw_buffer -> http_connection_manager']],
    ['tcp', 'STRICT', ['tls -> tcp_proxy (tls)']],
    ['tcp', 'PERMISSIVE', [`tls [${all}] -> tcp_proxy (tls)`, 'tls -> tcp_proxy', 'raw_buffer -> tcp_proxy']],
    ['tcp', 'DISABLE', ['raw_buffer -> tcp_proxy']],
    ['auto', 'STRICT', ['tls [istio-http/1.0 istio-http/1.1 istio-h2] -> http_connection_manager (tls)', 'tls -> tcp_proxy (tls)']],
    [
      'auto',
      'PERMISSIVE',
      [
        'tls [istio-http/1.0 istio-http/1.1 istio-h2] -> http_connection_manager (tls)',
        'raw_buffer [http/1.1 h2c] -> http_connection_manager',
        'tls [istio-peer-exchange istio] -> tcp_proxy (tls)',
        'raw_buffer -> tcp_proxy',
        'tls -> tcp_proxy',
      ],
    ],
    ['auto', 'DISABLE', ['raw_buffer [http/1.1 h2c] -> http_connection_manager', 'raw_buffer -> tcp_proxy']],
  ] as const)('%s, %s', (protocol, mtls, expected) => {
    const listener = only(workload({ ports: [port(9080, protocol, mtls)] }));
    expect(chainsOf(listener, 9080).map(brief)).toEqual(expected);
    expect(chainsOf(listener, 9080).every(({ name }) => name === '0.0.0.0_9080')).toBe(true);
  });
});

describe('virtualInbound', () => {
  it('has chains for ports that nothing names, and for those whose mode is set', () => {
    const input = workload({
      ports: [port(9080, 'http', 'STRICT')],
      otherPorts: { mtls: 'STRICT', byNumber: { 9080: 'DISABLE', 7000: 'DISABLE' } },
    });
    const listener = only(input);
    expect([listener.name, listener.address?.address.value]).toMatchObject(['virtualInbound', { address: '0.0.0.0' }]);
    expect(listener.filterChains.map(({ name, filterChainMatch }) => [name, filterChainMatch?.destinationPort])).toEqual([
      ['virtualInbound-blackhole', 15006],
      ['virtualInbound-catchall-http', undefined],
      ['virtualInbound', undefined],
      ['virtualInbound-catchall-http', 7000],
      ['virtualInbound', 7000],
      ['0.0.0.0_9080', 9080],
    ]);
  });

  it('does not wait for a client at a port where the server may speak first', () => {
    const listener = only(workload({ ports: [port(3306, 'mysql', 'DISABLE'), port(9080, 'auto', 'PERMISSIVE')] }));
    const filters = Object.fromEntries(
      listener.listenerFilters.map((f) => [f.name.replace('envoy.filters.listener.', ''), f.filterDisabled]),
    );
    expect(Object.keys(filters)).toEqual(['original_dst', 'tls_inspector', 'http_inspector']);
    const range = (number: number) => ({ case: 'destinationPortRange', value: { start: number, end: number + 1 } });
    // Needed at 9080 alone.
    expect(filters['tls_inspector']?.rule).toMatchObject({ case: 'notMatch', value: { rule: range(9080) } });
    // Needed wherever ports are not declared, so off by name: the blackhole chain's port and the declared one.
    expect(filters['http_inspector']?.rule).toMatchObject({
      case: 'orMatch',
      value: { rules: [{ rule: range(3306) }, { rule: range(15006) }] },
    });
  });

  it('takes identities of its own trust domain and the aliases', () => {
    const socket = chainsOf(only(workload({ ports: [port(9080, 'http', 'STRICT')] })), 9080)[0]?.transportSocket?.configType;
    const context = fromBinary(DownstreamTlsContextSchema, socket!.value!.value);
    expect(context.requireClientCertificate).toBe(true);
    expect(context.commonTlsContext?.alpnProtocols).toEqual(['h2', 'http/1.1']);
    expect(context.commonTlsContext?.tlsCertificateSdsSecretConfigs.map(({ name }) => name)).toEqual(['default']);
    expect(context.commonTlsContext?.validationContextType).toMatchObject({
      case: 'combinedValidationContext',
      value: {
        validationContextSdsSecretConfig: { name: 'ROOTCA', sdsConfig: { initialFetchTimeout: { seconds: 0n } } },
        defaultValidationContext: {
          matchTypedSubjectAltNames: [
            { matcher: { matchPattern: { case: 'prefix', value: 'spiffe://cluster.local/' } } },
            { matcher: { matchPattern: { case: 'prefix', value: 'spiffe://old.example/' } } },
          ],
        },
      },
    });
  });

  it('routes to the workload and says who called', () => {
    const manager = managerOf(chainsOf(only(workload({ ports: [port(9080, 'http', 'DISABLE')] })), 9080)[0]);
    expect(manager.statPrefix).toBe('inbound_0.0.0.0_9080;');
    expect(manager.forwardClientCertDetails).toBe(ForwardClientCertDetails.APPEND_FORWARD);
    expect(manager.upgradeConfigs.map(({ upgradeType }) => upgradeType)).toEqual(['websocket']);
    expect(manager.routeSpecifier).toMatchObject({
      case: 'routeConfig',
      value: {
        name: 'inbound|9080||',
        virtualHosts: [
          {
            name: 'inbound|http|80',
            domains: ['*'],
            routes: [
              {
                name: 'default',
                decorator: { operation: 'reviews.default.svc.cluster.local:80/*' },
                action: { value: { clusterSpecifier: { value: 'inbound|9080||' }, timeout: { seconds: 0n } } },
              },
            ],
          },
        ],
      },
    });
  });

  it('makes TPROXY transparent and keeps the client address', () => {
    const listener = only(workload({ interceptionMode: 'TPROXY' }));
    expect([listener.transparent, listener.listenerFilters.map(({ name }) => name)]).toEqual([
      true,
      expect.arrayContaining(['envoy.filters.listener.original_dst', 'envoy.filters.listener.original_src']),
    ]);
  });
});

it('binds ports itself where nothing intercepts', () => {
  const input = workload({ interceptionMode: 'NONE', ports: [port(9080, 'http', 'PERMISSIVE', { bind: '127.0.0.5' })] });
  const listener = only(input);
  expect(listener.name).toBe('127.0.0.5_9080');
  expect(listener.listenerFilters.map(({ name, filterDisabled }) => [name, filterDisabled])).toEqual([
    ['envoy.filters.listener.tls_inspector', undefined],
  ]);
});

describe('authorization', () => {
  const ports = [port(9080, 'http', 'DISABLE'), port(3306, 'tcp', 'DISABLE')];

  it('is in every chain but the blackhole', () => {
    const listener = only(workload({ ports, policies: [policy({})] }));
    const first = listener.filterChains
      .slice(1)
      .map((chain) =>
        short(chain.filters[0]!) === 'http_connection_manager' ? managerOf(chain).httpFilters[0]?.name : chain.filters[0]?.name,
      );
    // HTTP and TCP of ports that nothing names, TCP of 3306, HTTP of 9080.
    const [http, tcp] = ['envoy.filters.http.rbac', 'envoy.filters.network.rbac'];
    expect(first).toEqual([http, tcp, tcp, http]);
  });

  it('refuses everything while a policy cannot be translated, and says which field is to blame', () => {
    const input = workload({ ports, policies: [policy({}), policy({ name: 'x', untranslated: ['spec.targetRefs'] })] });
    const { resources, problems } = buildInboundListeners(input);
    expect(problems).toEqual([
      {
        object: 'AuthorizationPolicy/default/p',
        path: 'spec.targetRefs',
        reason: 'Held',
        severity: 'error',
        message:
          'not translated yet, so the workloads that it selects refuse all inbound traffic; remove spec.targetRefs or the object to let traffic in',
      },
    ]);
    const listener = resources[0]!;
    const http = managerOf(chainsOf(listener, 9080)[0]).httpFilters.filter(({ name }) => name.endsWith('rbac'));
    expect(http.map(({ configType }) => fromBinary(HttpRbacSchema, (configType.value as { value: Uint8Array }).value).rules)).toMatchObject(
      [{ action: 0, policies: {} }],
    );
    const tcp = chainsOf(listener, 3306)[0]!.filters[0]!;
    expect(fromBinary(TcpRbacSchema, (tcp.configType.value as { value: Uint8Array }).value).rules).toMatchObject({
      action: 0,
      policies: {},
    });
  });

  it('holds back CUSTOM, of which no provider is translated', () => {
    const { problems } = buildInboundListeners(workload({ policies: [policy({ spec: { action: 'CUSTOM', rules: [{}] } })] }));
    expect(problems.map(({ path, reason }) => [path, reason])).toEqual([['spec.action', 'Held']]);
  });

  it('reports what a rule cannot mean, where it stands', () => {
    const rules = [{ to: [{ operation: { ports: ['x'] } }], when: [{ key: 'source.user', values: ['a'] }] }];
    const { problems } = buildInboundListeners(workload({ policies: [policy({ spec: { action: 'DENY', rules } })] }));
    expect(problems.map(({ path, message }) => [path, message])).toEqual([
      ['spec.rules[0].when[0].key', '"source.user" is not an attribute that a condition can name'],
      ['spec.rules[0].to[0].operation.ports', '"x" is not a port'],
    ]);
  });
});
