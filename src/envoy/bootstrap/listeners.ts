import { create } from '@bufbuild/protobuf';
import { type Cluster, ClusterSchema, Cluster_DiscoveryType } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { type Listener, ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.js';
import { TrafficDirection } from '#gen/envoy/config/core/v3/base_pb.js';
import { RouterSchema } from '#gen/envoy/extensions/filters/http/router/v3/router_pb.js';
import { HttpConnectionManagerSchema } from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { packAny } from '../../wire/encode.ts';
import type { SocketOptions } from './options.ts';

/** Istio's name for the cluster that is Envoy's own admin. */
export const adminCluster = 'prometheus_stats';

export function adminClusterConfig(admin: SocketOptions): Cluster {
  return create(ClusterSchema, {
    name: adminCluster,
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
    connectTimeout: { nanos: 250_000_000 },
    loadAssignment: {
      clusterName: adminCluster,
      endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: 'endpoint', value: { address: socketAddress(admin) } } }] }],
    },
  });
}

export function socketAddress({ address, port }: SocketOptions): {
  address: { case: 'socketAddress'; value: { address: string; portSpecifier: { case: 'portValue'; value: number } } };
} {
  return { address: { case: 'socketAddress', value: { address, portSpecifier: { case: 'portValue', value: port } } } };
}

/** A static listener that passes one path of the admin on, and nothing else of it: the admin can stop Envoy. */
export function adminPathListener(name: string, socket: SocketOptions, path: string, adminPath: string): Listener {
  const manager = create(HttpConnectionManagerSchema, {
    statPrefix: name,
    routeSpecifier: {
      case: 'routeConfig',
      value: {
        virtualHosts: [
          {
            name: 'backend',
            domains: ['*'],
            routes: [
              {
                match: { pathSpecifier: { case: 'path', value: path } },
                action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: adminCluster }, prefixRewrite: adminPath } },
              },
            ],
          },
        ],
      },
    },
    httpFilters: [
      { name: 'envoy.filters.http.router', configType: { case: 'typedConfig', value: packAny(RouterSchema, create(RouterSchema)) } },
    ],
  });
  return create(ListenerSchema, {
    name,
    address: socketAddress(socket),
    trafficDirection: TrafficDirection.INBOUND,
    // Probes and scrapes must be answered while the proxy drains.
    ignoreGlobalConnLimit: true,
    filterChains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            configType: { case: 'typedConfig', value: packAny(HttpConnectionManagerSchema, manager) },
          },
        ],
      },
    ],
  });
}
