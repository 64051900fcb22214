/** The metrics that stock Envoy prints with the stats access logger, on both sides of one request. */
import { create, createFileRegistry, fromBinary, toJson } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BootstrapSchema } from '#gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import { Cluster_DiscoveryType, ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.js';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.js';
import { registerMetricsNamespace } from '../../src/envoy/bootstrap/metrics-namespace.ts';
import { buildStatsConfig } from '../../src/envoy/bootstrap/stats.ts';
import { buildAddress } from '../../src/envoy/address.ts';
import { buildConnectionManagerFilter } from '../../src/envoy/filters/hcm.ts';
import { buildStatsLogger } from '../../src/envoy/filters/stats-logger.ts';
import { Envoy, needsEnvoy } from './harness/envoy.ts';
import { http } from './harness/http.ts';
import { freePorts } from './harness/ports.ts';
import { eventually } from './harness/wait.ts';

const registry = createFileRegistry(
  fromBinary(FileDescriptorSetSchema, readFileSync(new URL('../../generated/descriptors.binpb', import.meta.url))),
);

const listener = (name: string, port: number, reporter: 'source' | 'destination', action: object) =>
  create(ListenerSchema, {
    name,
    address: buildAddress('127.0.0.1', port),
    filterChains: [
      {
        filters: [
          buildConnectionManagerFilter({
            statPrefix: name,
            direction: reporter === 'source' ? 'outbound' : 'inbound',
            route: {
              inline: create(RouteConfigurationSchema, {
                virtualHosts: [
                  { name: 'all', domains: ['*'], routes: [{ match: { pathSpecifier: { case: 'prefix', value: '/' } }, ...action }] },
                ],
              }),
            },
            accessLogs: [buildStatsLogger({ reporter, protocol: 'http' })],
          }),
        ],
      },
    ],
  });

function lines(prometheus: string, metric: string): string[] {
  return prometheus.split('\n').filter((line) => line.startsWith(`${metric}{`));
}

function labels(line: string | undefined): Record<string, string> {
  return Object.fromEntries([...(line ?? '').matchAll(/(\w+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]));
}

describe('stats access logger', () => {
  needsEnvoy();

  it("gives istio_requests_total under Istio's name, with the facts of the node, cluster and endpoint", async () => {
    const [admin = 0, client = 0, server = 0] = await freePorts(3);
    const bootstrap = create(BootstrapSchema, {
      node: {
        id: 'sidecar~127.0.0.1~page-1.shop~shop.svc.cluster.local',
        metadata: { NAMESPACE: 'shop', WORKLOAD_NAME: 'page-v1', LABELS: { app: 'page', version: 'v1' } },
      },
      admin: { address: buildAddress('127.0.0.1', admin) },
      bootstrapExtensions: [registerMetricsNamespace()],
      statsConfig: buildStatsConfig({ prefixes: [], suffixes: [], regexes: [] }),
      staticResources: {
        listeners: [
          listener('client', client, 'source', {
            action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: 'reviews' } } },
          }),
          listener('server', server, 'destination', { action: { case: 'directResponse', value: { status: 418 } } }),
        ],
        clusters: [
          create(ClusterSchema, {
            name: 'reviews',
            clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
            metadata: {
              filterMetadata: { istio: { services: [{ host: 'reviews.shop.svc.cluster.local', name: 'reviews', namespace: 'shop' }] } },
            },
            loadAssignment: {
              clusterName: 'reviews',
              endpoints: [
                {
                  lbEndpoints: [
                    {
                      hostIdentifier: { case: 'endpoint', value: { address: buildAddress('127.0.0.1', server) } },
                      metadata: {
                        filterMetadata: { mizzen: { name: 'reviews-v2', namespace: 'shop', service: 'reviews', revision: 'v2' } },
                      },
                    },
                  ],
                },
              ],
            },
          }),
        ],
      },
    });
    await using envoy = await Envoy.start({
      bootstrap: toJson(BootstrapSchema, bootstrap, { registry }),
      admin: { address: '127.0.0.1', port: admin },
    });
    expect((await http({ port: client, path: '/' })).status).toBe(418);
    let found: string[] = [];
    await eventually('both sides have counted', async () => {
      found = lines((await envoy.admin('/stats/prometheus')).body, 'istio_requests_total');
      return found.length === 2;
    });
    const common = { response_code: '418', request_protocol: 'http', response_flags: '-', grpc_response_status: '' };
    const unknown = (side: string, ...names: string[]) => Object.fromEntries(names.map((name) => [`${side}_${name}`, 'unknown']));
    const page = (side: string) => ({
      [`${side}_workload`]: 'page-v1',
      [`${side}_workload_namespace`]: 'shop',
      [`${side}_canonical_service`]: 'page',
      [`${side}_canonical_revision`]: 'v1',
      [`${side}_app`]: 'page',
      [`${side}_version`]: 'v1',
      [`${side}_cluster`]: '',
      [`${side}_principal`]: '',
    });
    expect(labels(found.find((line) => line.includes('reporter="source"')))).toEqual({
      ...common,
      ...page('source'),
      reporter: 'source',
      connection_security_policy: 'unknown',
      destination_workload: 'reviews-v2',
      destination_workload_namespace: 'shop',
      destination_canonical_service: 'reviews',
      destination_canonical_revision: 'v2',
      destination_app: 'reviews',
      destination_version: 'v2',
      destination_service: 'reviews.shop.svc.cluster.local',
      destination_service_name: 'reviews',
      destination_service_namespace: 'shop',
      destination_cluster: 'unknown',
      destination_principal: '',
    });
    expect(labels(found.find((line) => line.includes('reporter="destination"')))).toMatchObject({
      ...common,
      ...page('destination'),
      connection_security_policy: 'none',
      source_principal: '',
      ...unknown('source', 'workload', 'workload_namespace', 'app', 'version'),
    });
    const all = (await envoy.admin('/stats/prometheus')).body;
    // They are filled in only at the next flush of stats, 5 s later.
    const reporters = (metric: string) =>
      lines(all, `${metric}_count`)
        .map((line) => labels(line)['reporter'])
        .sort();
    expect(reporters('istio_request_duration_milliseconds')).toEqual(['destination', 'source']);
    expect(reporters('istio_request_bytes')).toEqual(['destination']);
    expect(reporters('istio_response_bytes')).toEqual(['destination']);
  });
});
