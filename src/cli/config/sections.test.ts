import { expect, test } from 'vitest';
import { dumpText } from './sections.ts';

const istioConfig = { filter_metadata: { istio: { config: '/apis/networking.istio.io/v1/namespaces/shop/virtual-service/reviews' } } };
const dump = {
  configs: [
    {
      '@type': 'type.googleapis.com/envoy.admin.v3.ClustersConfigDump',
      dynamic_active_clusters: [
        { cluster: { name: 'outbound|9080|v1|reviews.shop', type: 'EDS', transport_socket_matches: [{}], metadata: istioConfig } },
        { cluster: { name: 'BlackHoleCluster' } },
      ],
    },
    {
      '@type': 'type.googleapis.com/envoy.admin.v3.ListenersConfigDump',
      dynamic_listeners: [
        {
          active_state: {
            listener: {
              name: '10.0.0.1_9080',
              address: { socket_address: { address: '10.0.0.1', port_value: 9080 } },
              filter_chains: [
                {
                  filter_chain_match: { transport_protocol: 'tls', application_protocols: ['istio', 'h2'] },
                  filters: [
                    { name: 'envoy.filters.network.http_connection_manager', typed_config: { rds: { route_config_name: '9080' } } },
                  ],
                },
              ],
              default_filter_chain: {
                filters: [{ name: 'envoy.filters.network.tcp_proxy', typed_config: { cluster: 'PassthroughCluster' } }],
              },
            },
          },
        },
      ],
    },
    {
      '@type': 'type.googleapis.com/envoy.admin.v3.RoutesConfigDump',
      dynamic_route_configs: [
        {
          route_config: {
            name: '9080',
            virtual_hosts: [
              {
                name: 'reviews:9080',
                domains: ['reviews', 'reviews.shop', 'reviews.shop.svc'],
                routes: [
                  {
                    match: { prefix: '/', headers: [{ name: 'end-user' }] },
                    route: { weighted_clusters: { clusters: [{ name: 'a', weight: 80 }, { name: 'b', weight: 20 }, { name: 'c' }] } },
                    metadata: istioConfig,
                  },
                  { match: { path: '/x' }, direct_response: { status: 404 } },
                ],
              },
            ],
          },
        },
      ],
    },
    {
      '@type': 'type.googleapis.com/envoy.admin.v3.EndpointsConfigDump',
      dynamic_endpoint_configs: [
        {
          endpoint_config: {
            cluster_name: 'a',
            endpoints: [
              {
                locality: { region: 'r', zone: 'z' },
                priority: 1,
                lb_endpoints: [
                  {
                    endpoint: { address: { socket_address: { address: 'fd00::1', port_value: 9080 } } },
                    metadata: { filter_metadata: { 'envoy.transport_socket_match': { tlsMode: 'istio' } } },
                  },
                ],
              },
            ],
          },
        },
        { endpoint_config: { cluster_name: 'empty' } },
      ],
    },
  ],
};

test('clusters are split into the parts of their names', () => {
  expect(dumpText(dump, 'clusters', 'table')).toBe(
    [
      'HOST              PORT  SUBSET  DIRECTION  TYPE    TLS   DESTINATION RULE',
      'reviews.shop      9080  v1      outbound   EDS     auto  reviews.shop',
      'BlackHoleCluster  -     -       -          STATIC  -     -',
      '',
    ].join('\n'),
  );
});

test('listeners have a row for each chain, the default one last', () => {
  expect(dumpText(dump, 'listeners', 'table').split('\n').slice(1)).toEqual([
    '10.0.0.1_9080  10.0.0.1:9080  tls istio h2  http_connection_manager  routes 9080',
    '10.0.0.1_9080  10.0.0.1:9080  else          tcp_proxy                PassthroughCluster',
    '',
  ]);
});

test('routes have a row for each match, with weights and the object that made it', () => {
  expect(dumpText(dump, 'routes', 'table').split('\n').slice(1)).toEqual([
    '9080   reviews:9080  reviews, reviews.shop + 1  /* [end-user]  a 80%, b 20%, c 0%  reviews.shop',
    '9080   reviews:9080  reviews, reviews.shop + 1  /x             answer 404          -',
    '',
  ]);
});

test('endpoints have a row each, and a cluster without any is not silent', () => {
  expect(dumpText(dump, 'endpoints', 'table').split('\n').slice(1)).toEqual([
    '[fd00::1]:9080  HEALTHY  istio  r/z       1         a',
    '(none)          -        -      -         -         empty',
    '',
  ]);
});

test('JSON holds the sections that were asked for, as they are', () => {
  expect(JSON.parse(dumpText(dump, 'routes', 'json'))).toEqual({ configs: [dump.configs[2]] });
  expect(dumpText(dump, 'all', 'table')).toMatch(/^LISTENERS\n[^]*\nROUTES\n[^]*\nCLUSTERS\n[^]*\nENDPOINTS\n[^]*\nSECRETS\n/);
});
