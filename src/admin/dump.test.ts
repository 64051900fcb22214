import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.js';
import { VirtualHostSchema } from '#gen/envoy/config/route/v3/route_components_pb.js';
import { SecretSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { encode } from '../wire/encode.ts';
import { fullRegistry } from '../wire/registry.ts';
import type { EncodedResource } from '../wire/resource.ts';
import { clusterType, routeType, secretType, virtualHostType } from '../wire/types.ts';
import { fixedPart } from './testing/part.ts';
import { configDump } from './dump.ts';

const registry = fullRegistry(readFileSync(join(import.meta.dirname, '../../generated/descriptors.binpb')));

function cluster(name: string, altStatName: string): EncodedResource {
  return { name, version: altStatName, bytes: encode(ClusterSchema, create(ClusterSchema, { name, altStatName })) };
}

function explain(_type: string, name: string): { part: string; objects: string[] } {
  return { part: 'test', objects: [`Service/shop/${name} (a.yaml:1)`] };
}

test('a later part covers and hides what an earlier one has', () => {
  const parts = [
    fixedPart({ [clusterType]: [cluster('b', 'lower'), cluster('a', 'lower'), cluster('c', 'lower')] }),
    fixedPart({ [clusterType]: [cluster('b', 'upper')] }, ['c']),
  ];
  expect(configDump({ parts, explain }, { registry }).configs[0]).toEqual({
    '@type': 'type.googleapis.com/envoy.admin.v3.ClustersConfigDump',
    dynamic_active_clusters: [
      { version_info: 'lower', cluster: { '@type': clusterType, name: 'a', alt_stat_name: 'lower' } },
      { version_info: 'upper', cluster: { '@type': clusterType, name: 'b', alt_stat_name: 'upper' } },
    ],
  });
});

test('a route table is whole, its own virtual hosts first, and names the objects on request', () => {
  const table = create(RouteConfigurationSchema, { name: '9080', virtualHosts: [{ name: 'allow_any', domains: ['*'] }] });
  const host = create(VirtualHostSchema, { domains: ['reviews'] });
  const parts = [
    fixedPart({
      [routeType]: [{ name: '9080', version: '1', bytes: encode(RouteConfigurationSchema, table), vhds: true }],
      [virtualHostType]: [{ name: '9080/reviews:9080', version: '1', bytes: encode(VirtualHostSchema, host) }],
    }),
  ];
  expect(configDump({ parts, explain }, { registry, explain: true }).configs[2]).toMatchObject({
    dynamic_route_configs: [
      {
        route_config: {
          name: '9080',
          virtual_hosts: [
            { name: 'reviews:9080', domains: ['reviews'], made_from: ['Service/shop/9080/reviews:9080 (a.yaml:1)'] },
            { name: 'allow_any', domains: ['*'] },
          ],
        },
        made_from: ['Service/shop/9080 (a.yaml:1)'],
      },
    ],
  });
});

test('private keys are left out', () => {
  const secret = create(SecretSchema, {
    name: 'default',
    type: {
      case: 'tlsCertificate',
      value: {
        certificateChain: { specifier: { case: 'inlineString', value: 'CHAIN' } },
        privateKey: { specifier: { case: 'inlineString', value: 'KEY' } },
      },
    },
  });
  const text = JSON.stringify(
    configDump(
      { parts: [fixedPart({ [secretType]: [{ name: 'default', version: '1', bytes: encode(SecretSchema, secret) }] })], explain },
      { registry },
    ),
  );
  expect(text).toContain('CHAIN');
  expect(text).not.toContain('KEY');
  expect(text).toContain('"private_key":{"inline_bytes":"W3JlZGFjdGVkXQ=="}');
});
