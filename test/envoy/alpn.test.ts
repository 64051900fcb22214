/** What ALPN a stock Envoy offers the sidecar at the other end of mutual TLS, by the protocol of the port. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createServer, type Server } from 'node:tls';
import { create, toBinary } from '@bufbuild/protobuf';
import { afterEach, expect, it } from 'vitest';
import { BootstrapSchema } from '#gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import { Cluster_DiscoveryType, ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { type UpstreamTlsContext, UpstreamTlsContextSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { buildAddress } from '../../src/envoy/address.ts';
import { buildHttpOptions } from '../../src/envoy/clusters/http-options.ts';
import { buildConnectionManagerFilter } from '../../src/envoy/filters/hcm.ts';
import { buildSniffedTable } from '../../src/envoy/routes/table.ts';
import { buildVirtualHost } from '../../src/envoy/routes/virtual-host.ts';
import { endpoint, http as httpPort, routeContext, rule, service } from '../../src/envoy/testing/model.ts';
import { buildLoadAssignment } from '../../src/envoy/endpoints/load-assignment.ts';
import type { ServicePort } from '../../src/mesh/model.ts';
import type { ClientTLSSettings } from '../../src/apis/traffic-policy.ts';
import { fullRegistry } from '../../src/wire/registry.ts';
import { bytesToJson } from '../../src/wire/json.ts';
import { bootstrapType } from '../../src/wire/types.ts';
import { packAny } from '../../src/wire/encode.ts';
import { TestRoot } from './harness/certificates.ts';
import { Envoy } from './harness/envoy.ts';
import { http } from './harness/http.ts';
import { freePorts } from './harness/ports.ts';
import { eventually } from './harness/wait.ts';

const registry = fullRegistry(readFileSync(join(import.meta.dirname, '../../generated/descriptors.binpb')));
const host = 'reviews.default.svc.cluster.local';
const cluster = `outbound|9080||${host}`;

let server: Server | undefined;
afterEach(() => new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve()))));

interface Case {
  readonly protocol: ServicePort['protocol'];
  readonly tls: ClientTLSSettings['mode'];
  readonly offered: readonly string[];
}

it.each<Case>([
  // A sidecar that has to guess reads HTTP from `istio-http/...`; without h2 and http/1.1 among them it agrees to none.
  { protocol: 'auto', tls: undefined, offered: ['istio-http/1.1', 'istio-http/1.0', 'istio-h2', 'istio'] },
  { protocol: 'http', tls: undefined, offered: ['istio'] },
  { protocol: 'auto', tls: 'SIMPLE', offered: ['istio'] },
])('a port $protocol with TLS mode $tls is offered $offered', async ({ protocol, tls, offered }) => {
  const [listenerPort = 0, adminPort = 0, serverPort = 0] = await freePorts(3);
  const { certificate, key } = new TestRoot().leaf([host]);
  let seen: readonly string[] | undefined;
  server = createServer({
    cert: certificate,
    key,
    ALPNCallback: ({ protocols }) => {
      seen = protocols;
      return undefined;
    },
  });
  server.listen(serverPort, '127.0.0.1');
  await once(server, 'listening');
  const rules = tls === undefined ? [] : [rule('reviews', { trafficPolicy: { tls: { mode: tls } } })];
  const context = routeContext([service('reviews', { ports: [{ ...httpPort, protocol }] })], rules);
  const virtualHost = buildVirtualHost({ context, domains: [host], service: { host, port: 9080 } });
  if (virtualHost === undefined) throw new Error('no virtual host');
  await using _envoy = await Envoy.start({
    admin: { address: '127.0.0.1', port: adminPort },
    bootstrap: bootstrap(adminPort, listenerPort, serverPort, buildSniffedTable(`${host}:9080`, virtualHost)),
  });
  // Where no protocol is agreed on, Node's server ends the handshake: what it has seen by then is what counts here.
  const { status } = await eventually('an answer of the listener', () => http({ port: listenerPort, host }).catch(() => undefined));
  expect({ status, seen }).toEqual({ status: 503, seen: offered });
});

/** The route and the filters are ours; the cluster's TLS is only its ALPN, because certificates by SDS would need a server. */
function bootstrap(adminPort: number, listenerPort: number, serverPort: number, table: ReturnType<typeof buildSniffedTable>): unknown {
  const tls: UpstreamTlsContext = create(UpstreamTlsContextSchema, { commonTlsContext: { alpnProtocols: ['istio'] } });
  const message = create(BootstrapSchema, {
    admin: { address: buildAddress('127.0.0.1', adminPort) },
    staticResources: {
      listeners: [
        {
          name: 'l',
          address: buildAddress('127.0.0.1', listenerPort),
          filterChains: [
            {
              filters: [buildConnectionManagerFilter({ statPrefix: 'l', route: { inline: table }, direction: 'outbound', accessLogs: [] })],
            },
          ],
        },
      ],
      clusters: [
        create(ClusterSchema, {
          name: cluster,
          clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
          loadAssignment: buildLoadAssignment({ cluster, endpoints: [endpoint('127.0.0.1', { port: serverPort })] }),
          typedExtensionProtocolOptions:
            buildHttpOptions({ protocol: 'downstream', policy: {}, autoSni: false, autoSanValidation: false }) ?? {},
          transportSocket: {
            name: 'envoy.transport_sockets.tls',
            configType: { case: 'typedConfig', value: packAny(UpstreamTlsContextSchema, tls) },
          },
        }),
      ],
    },
  });
  return bytesToJson(bootstrapType, toBinary(BootstrapSchema, message), registry);
}
