import { create } from '@bufbuild/protobuf';
import type { AccessLog } from '#gen/envoy/config/accesslog/v3/accesslog_pb.js';
import { TrafficDirection } from '#gen/envoy/config/core/v3/base_pb.js';
import { type Listener, ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.js';
import {
  type Filter,
  type FilterChain,
  FilterChainSchema,
  type ListenerFilter,
  ListenerFilterSchema,
} from '#gen/envoy/config/listener/v3/listener_components_pb.js';
import { TlsInspectorSchema } from '#gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js';
import type { MeshConfig } from '../../apis/mesh-config.ts';
import type { MeshAuthorizationPolicy } from '../../mesh/model.ts';
import { packAny } from '../../wire/encode.ts';
import { buildAddress } from '../address.ts';
import { configPath, istioMetadata } from '../config-metadata.ts';
import { seconds } from '../duration.ts';
import type { MeshSecrets } from '../config-source.ts';
import { accessLogs, listenerAccessLogs } from '../filters/access-log.ts';
import { buildConnectionManagerFilter } from '../filters/hcm.ts';
import { type Authorization, buildAuthorization } from '../filters/rbac.ts';
import { buildStatsLogger } from '../filters/stats-logger.ts';
import type { Translated } from '../problems.ts';
import { downstreamSocket, gatewayTls } from '../tls.ts';
import type { GatewayPort, MergedGateways, TlsServer } from './gateway-servers.ts';
import { trustDomains } from './inbound-workload.ts';

export interface GatewayListenersInput {
  readonly merged: MergedGateways;
  /** Those that apply to the gateway's own workload. */
  readonly policies: readonly MeshAuthorizationPolicy[];
  readonly mesh: MeshConfig;
  readonly secrets?: MeshSecrets;
}

/** A client that opens a connection and never finishes its handshake is cut off. */
const handshakeTimeoutSeconds = 15;

/** One listener per address and port, in order of the ports. Problems are those of policies; of servers, see `mergeGateways`. */
export function buildGatewayListeners({ merged, policies, mesh, secrets }: GatewayListenersInput): Translated<Listener> {
  const authorization = buildAuthorization({ policies, trustDomains: trustDomains(mesh) });
  const logs = [...accessLogs(mesh), buildStatsLogger({ reporter: 'source', protocol: 'http' })];
  return {
    resources: merged.ports.map((port) => listener(port, { mesh, authorization, logs, secrets })),
    problems: authorization.problems,
  };
}

interface Shared {
  readonly mesh: MeshConfig;
  readonly authorization: Authorization;
  readonly logs: readonly AccessLog[];
  readonly secrets: MeshSecrets;
}

function listener(port: GatewayPort, shared: Shared): Listener {
  const name = `${port.bind}_${port.port}`;
  return create(ListenerSchema, {
    name,
    address: buildAddress(port.bind, port.port),
    // Istio's choice: to metrics and EnvoyFilters a gateway is a client of the mesh.
    trafficDirection: TrafficDirection.OUTBOUND,
    listenerFilters: port.kind === 'https' ? [tlsInspector()] : [],
    filterChains:
      port.kind === 'https'
        ? port.servers.map((server) => tlsChain(server, name, shared))
        : [create(FilterChainSchema, { filters: [manager(`outbound_${name}`, port.routeName, shared)] })],
    maxConnectionsToAcceptPerSocketEvent: 1,
    accessLog: listenerAccessLogs(shared.mesh),
  });
}

function tlsChain(tls: TlsServer, listenerName: string, shared: Shared): FilterChain {
  const { server, gateway } = tls;
  return create(FilterChainSchema, {
    ...(tls.serverNames.length > 0 && { filterChainMatch: { serverNames: [...tls.serverNames] } }),
    filters: [manager(server.name ? server.name : `outbound_${listenerName}`, tls.routeName, shared)],
    transportSocket: downstreamSocket(gatewayTls(server.tls ?? {}, shared.secrets)),
    transportSocketConnectTimeout: seconds(handshakeTimeoutSeconds),
    metadata: { filterMetadata: { [istioMetadata]: { config: configPath(gateway.object) } } },
  });
}

function manager(statPrefix: string, routeName: string, { mesh, authorization, logs }: Shared): Filter {
  const trustedHops = mesh.defaultConfig.gatewayTopology?.numTrustedProxies;
  return buildConnectionManagerFilter({
    statPrefix,
    route: { rds: routeName },
    direction: 'gateway',
    filters: { authorization: authorization.http },
    accessLogs: logs,
    ...(trustedHops !== undefined && { trustedHops }),
  });
}

function tlsInspector(): ListenerFilter {
  return create(ListenerFilterSchema, {
    name: 'envoy.filters.listener.tls_inspector',
    configType: { case: 'typedConfig', value: packAny(TlsInspectorSchema, create(TlsInspectorSchema)) },
  });
}
