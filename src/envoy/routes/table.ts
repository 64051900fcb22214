import { create } from '@bufbuild/protobuf';
import { type RouteConfiguration, RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.js';
import { type VirtualHost, VirtualHostSchema } from '#gen/envoy/config/route/v3/route_components_pb.js';
import type { MeshConfig } from '../../apis/mesh-config.ts';
import { passthroughCluster } from '../../mesh/names.ts';
import { noDuration } from '../duration.ts';
import { buildRouteMatch } from './match.ts';

/** The table of the explicit HTTP proxy, for all ports. */
export const httpProxyTable = 'http_proxy';

const maxDirectResponseBytes = 1024 * 1024;

/**
 * The table of a port, or `http_proxy`: its hosts are resources of their own (VHDS), or joined to it on sending. Only the host for everything that
 * the mesh does not know is inside.
 */
export function buildPortTable(name: string, mesh: MeshConfig): RouteConfiguration {
  return routeConfiguration(name, [buildCatchAllHost(mesh)]);
}

/** The same for a proxy in lazy mode: a host for everything would keep Envoy from asking for any other. */
export function buildOnDemandTable(name: string): RouteConfiguration {
  return routeConfiguration(name, []);
}

/** The table of one sniffed service port, `host:port`: all hosts are inside, and the one service takes every Host header. */
export function buildSniffedTable(name: string, host: VirtualHost): RouteConfiguration {
  return routeConfiguration(name, [{ ...host, name, domains: ['*'] }]);
}

/** The table of a gateway's server. Its hosts come with their names; a request for any other host gets 404. */
export function buildGatewayTable(name: string, hosts: readonly VirtualHost[] = []): RouteConfiguration {
  return routeConfiguration(name, hosts.length > 0 ? [...hosts] : [blackHole(404)]);
}

function routeConfiguration(name: string, virtualHosts: VirtualHost[]): RouteConfiguration {
  return create(RouteConfigurationSchema, {
    name,
    virtualHosts,
    // Clusters and routes travel apart: a route may name a cluster that is still to come.
    validateClusters: false,
    maxDirectResponseBodySizeBytes: maxDirectResponseBytes,
    // The HTTP proxy finds the port of a service in the Host header. (Istio ignores it there too, and finds port 80 alone.)
    ignorePortInHostMatching: name !== httpProxyTable,
  });
}

/** Hosts that the mesh does not know: on to where the connection was headed, or 502. */
export function buildCatchAllHost(mesh: MeshConfig): VirtualHost {
  return mesh.outboundTrafficPolicy.mode === 'ALLOW_ANY' ? allowAny() : blackHole(502);
}

function allowAny(): VirtualHost {
  return create(VirtualHostSchema, {
    name: 'allow_any',
    domains: ['*'],
    includeRequestAttemptCount: true,
    routes: [
      {
        name: 'allow_any',
        match: buildRouteMatch(undefined),
        action: {
          case: 'route',
          value: {
            clusterSpecifier: { case: 'cluster', value: passthroughCluster },
            timeout: noDuration(),
            maxGrpcTimeout: noDuration(),
          },
        },
      },
    ],
  });
}

function blackHole(status: number): VirtualHost {
  const name = status === 404 ? 'blackhole' : 'block_all';
  return create(VirtualHostSchema, {
    name: `${name}`,
    domains: ['*'],
    includeRequestAttemptCount: true,
    routes: [{ name, match: buildRouteMatch(undefined), action: { case: 'directResponse', value: { status } } }],
  });
}
