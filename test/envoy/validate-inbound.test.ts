/** Envoy itself reads what the inbound translators build: every combination of mode and protocol, authorization, own listeners. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { Cluster } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import type { Listener } from '#gen/envoy/config/listener/v3/listener_pb.js';
import { defaultMeshConfig } from '../../src/apis/mesh-config.ts';
import { objectKey } from '../../src/apis/object.ts';
import { envoyBinary } from '../../src/cli/download/envoy.ts';
import { buildInboundClusters } from '../../src/envoy/clusters/inbound.ts';
import { buildBlackHoleCluster, buildInboundPassthroughCluster } from '../../src/envoy/clusters/special.ts';
import { buildInboundListeners } from '../../src/envoy/listeners/inbound.ts';
import type { InboundPort, InboundWorkload } from '../../src/envoy/listeners/inbound-workload.ts';
import type { MeshAuthorizationPolicy, MtlsMode, Protocol } from '../../src/mesh/model.ts';
import { validateConfig } from './harness/validate.ts';

const mesh = { ...defaultMeshConfig, accessLogFile: '/dev/stdout', trustDomainAliases: ['old.example'] };

const port = (number: number, protocol: Protocol, mtls: MtlsMode): InboundPort => ({
  number,
  protocol,
  mtls,
  hosts: ['reviews.default.svc.cluster.local'],
  service: { name: 'reviews', namespace: 'default', port: 80 },
  endpoint: { kind: 'original-destination' },
});

const everyKind = (['http', 'http2', 'grpc', 'tcp', 'mysql', 'auto'] as const).flatMap((protocol, i) =>
  (['STRICT', 'PERMISSIVE', 'DISABLE'] as const).map((mtls, j) => port(8000 + 10 * i + j, protocol, mtls)),
);

const policy = (name: string, spec: MeshAuthorizationPolicy['spec']): MeshAuthorizationPolicy => ({
  object: objectKey('AuthorizationPolicy', 'default', name),
  name,
  namespace: 'default',
  spec,
  untranslated: [],
});

const policies = [
  policy('deny', { action: 'DENY', rules: [{ from: [{ source: { namespaces: ['evil*'], notPrincipals: ['*/sa/good'] } }] }] }),
  policy('allow', {
    rules: [
      {
        from: [
          {
            source: {
              principals: ['cluster.local/ns/default/sa/productpage', '*'],
              ipBlocks: ['10.0.0.0/8'],
              remoteIpBlocks: ['2001:db8::/32'],
            },
          },
        ],
        to: [{ operation: { methods: ['GET'], paths: ['/a*', '*b', '/c/{*}/d/{**}'], hosts: ['*.example'], notPorts: ['9'] } }],
        when: [
          { key: 'request.headers[x-a]', values: ['*'] },
          { key: 'request.auth.claims[groups][x]', values: ['a', 'b*'] },
          { key: 'connection.sni', notValues: ['*.bad'] },
          { key: 'destination.ip', values: ['1.2.3.4'] },
          { key: 'experimental.envoy.filters.a.b[c]', values: ['[v]'] },
        ],
      },
    ],
  }),
  policy('audit', { action: 'AUDIT', rules: [{}] }),
  { ...policy('dry', { action: 'DENY', rules: [{}] }), dryRun: true },
];

const workload = (over: Partial<InboundWorkload>): InboundWorkload => ({
  interceptionMode: 'REDIRECT',
  family: 'ipv4',
  ports: everyKind,
  otherPorts: { mtls: 'PERMISSIVE', byNumber: { 9999: 'STRICT', 8000: 'DISABLE' } },
  policies: [],
  mesh,
  ...over,
});

const cases: Record<string, InboundWorkload> = {
  'every mode and protocol': workload({}),
  'authorization of every kind': workload({ policies }),
  'a policy that is held back': workload({ policies: [{ ...policy('x', {}), untranslated: ['spec.targetRefs'] }] }),
  'TPROXY with both families': workload({ interceptionMode: 'TPROXY', family: 'both', otherPorts: { mtls: 'DISABLE', byNumber: {} } }),
  'no interception': workload({
    interceptionMode: 'NONE',
    ports: [
      { ...port(9080, 'http', 'PERMISSIVE'), bind: '127.0.0.5', endpoint: { kind: 'address', address: '127.0.0.1', port: 9081 } },
      { ...port(9082, 'auto', 'STRICT'), bind: '127.0.0.5', endpoint: { kind: 'unix', path: '/var/run/app.sock' } },
    ],
  }),
};

let envoy = '';
beforeAll(async () => {
  envoy = await envoyBinary();
});

describe('Envoy accepts', () => {
  it.each(Object.entries(cases))('%s', async (_, input) => {
    const listeners: readonly Listener[] = buildInboundListeners(input).resources;
    const clusters: readonly Cluster[] = [
      ...buildInboundClusters(input),
      buildInboundPassthroughCluster(mesh, input.family),
      buildBlackHoleCluster(mesh),
    ];
    expect(listeners.length).toBeGreaterThan(0);
    expect(await validateConfig(envoy, { listeners, clusters })).toEqual({ accepted: true, output: expect.stringContaining('OK') });
  });
});
