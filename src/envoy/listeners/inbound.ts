import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { AccessLog } from '#gen/envoy/config/accesslog/v3/accesslog_pb.js';
import { TrafficDirection } from '#gen/envoy/config/core/v3/base_pb.js';
import { AdditionalAddressSchema, type Listener, ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.js';
import {
  type Filter,
  type FilterChain,
  FilterChainSchema,
  type ListenerFilter,
  ListenerFilterSchema,
} from '#gen/envoy/config/listener/v3/listener_components_pb.js';
import { OriginalDstSchema } from '#gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.js';
import { OriginalSrcSchema } from '#gen/envoy/extensions/filters/listener/original_src/v3/original_src_pb.js';
import type { MtlsMode, Protocol } from '../../mesh/model.ts';
import { blackHoleCluster, clusterName, inboundPassthroughCluster } from '../../mesh/names.ts';
import { packAny } from '../../wire/encode.ts';
import { buildAddress } from '../address.ts';
import { configPath, istioMetadata } from '../config-metadata.ts';
import { durationOf } from '../duration.ts';
import { accessLogs, listenerAccessLogs } from '../filters/access-log.ts';
import { buildConnectionManagerFilter } from '../filters/hcm.ts';
import { type Authorization, buildAuthorization } from '../filters/rbac.ts';
import { buildStatsLogger } from '../filters/stats-logger.ts';
import { buildTcpProxyFilter } from '../filters/tcp-proxy.ts';
import type { Translated } from '../problems.ts';
import { buildInboundRoute } from '../routes/inbound.ts';
import { alpnHttp, downstreamMutual, downstreamSocket } from '../tls.ts';
import { type ChainMatch, chainMatches } from './inbound-match.ts';
import { type InboundPort, type InboundWorkload, trustDomains } from './inbound-workload.ts';
import { inspectors } from './inspectors.ts';

/**
 * What receives a workload's traffic: `virtualInbound`, which the interception rules lead to, and a listener for each port with an address of its
 * own. Every chain, also those of ports that nothing names, has the workload's mutual TLS mode and authorization.
 */
export function buildInboundListeners(workload: InboundWorkload): Translated<Listener> {
  const authorization = buildAuthorization({ policies: workload.policies, trustDomains: trustDomains(workload.mesh) });
  const builder = new InboundBuilder(workload, authorization);
  const ports = [...workload.ports].sort((a, b) => a.number - b.number);
  const own = ports.filter(({ bind }) => bind !== undefined);
  const captured = ports.filter(({ bind }) => bind === undefined);
  const virtual = workload.interceptionMode === 'NONE' ? [] : [builder.virtualInbound(captured)];
  return { resources: [...virtual, ...own.map((port) => builder.ownListener(port))], problems: authorization.problems };
}

/** What a filter chain serves. */
interface Chain {
  readonly name: { readonly http: string; readonly tcp: string };
  /** 0: ports that nothing names. */
  readonly port: number;
  readonly protocol: Protocol;
  readonly mtls: MtlsMode;
  readonly cluster: string;
  readonly statPrefix: string;
  readonly origin?: InboundPort;
}

class InboundBuilder {
  readonly #workload: InboundWorkload;
  readonly #authorization: Authorization;
  readonly #logs: { readonly http: readonly AccessLog[]; readonly tcp: readonly AccessLog[] };
  readonly #wildcard: string;

  constructor(workload: InboundWorkload, authorization: Authorization) {
    this.#workload = workload;
    this.#authorization = authorization;
    const lines = accessLogs(workload.mesh);
    this.#logs = {
      http: [...lines, buildStatsLogger({ reporter: 'destination', protocol: 'http' })],
      tcp: [...lines, buildStatsLogger({ reporter: 'destination', protocol: 'tcp' })],
    };
    this.#wildcard = workload.family === 'ipv6' ? '::' : '0.0.0.0';
  }

  virtualInbound(ports: readonly InboundPort[]): Listener {
    const { mesh, interceptionMode, family } = this.#workload;
    const filterChains = [this.#blackhole(), ...this.#passthrough(ports), ...ports.flatMap((port) => this.#chains(this.#ofPort(port)))];
    const transparent = interceptionMode === 'TPROXY';
    return create(ListenerSchema, {
      ...this.#common(filterChains),
      name: 'virtualInbound',
      address: buildAddress(this.#wildcard, mesh.proxyInboundListenPort),
      additionalAddresses:
        family === 'both' ? [create(AdditionalAddressSchema, { address: buildAddress('::', mesh.proxyInboundListenPort) })] : [],
      ...(transparent && { transparent }),
      listenerFilters: [originalDestination(), ...(transparent ? [originalSource()] : []), ...inspectors(filterChains)],
    });
  }

  /** Where nothing intercepts: the socket itself is at the port. */
  ownListener(port: InboundPort): Listener {
    const filterChains = this.#chains(this.#ofPort(port));
    const bind = port.bind ?? this.#wildcard;
    return create(ListenerSchema, {
      ...this.#common(filterChains),
      name: `${bind}_${port.number}`,
      address: buildAddress(bind, port.number),
      listenerFilters: inspectors(filterChains),
    });
  }

  #common(filterChains: FilterChain[]): MessageInitShape<typeof ListenerSchema> {
    const timeout = durationOf(this.#workload.mesh.protocolDetectionTimeout);
    return {
      trafficDirection: TrafficDirection.INBOUND,
      filterChains,
      // Zero means no limit; past it a silent connection is taken for plain TCP.
      ...(timeout && { listenerFiltersTimeout: timeout }),
      continueOnListenerFiltersTimeout: true,
      maxConnectionsToAcceptPerSocketEvent: 1,
      accessLog: listenerAccessLogs(this.#workload.mesh),
    };
  }

  /** Connections to the listener's own port would reach it again and again. */
  #blackhole(): FilterChain {
    return create(FilterChainSchema, {
      name: 'virtualInbound-blackhole',
      filterChainMatch: { destinationPort: this.#workload.mesh.proxyInboundListenPort },
      filters: [buildTcpProxyFilter({ statPrefix: blackHoleCluster, destination: { cluster: blackHoleCluster }, accessLogs: [] })],
    });
  }

  /** Ports that nothing names, in general and where a PeerAuthentication sets their mode. */
  #passthrough(ports: readonly InboundPort[]): FilterChain[] {
    const { mtls, byNumber } = this.#workload.otherPorts;
    const named = new Set(ports.map(({ number }) => number));
    const special = Object.entries(byNumber)
      .map(([number, mode]): [number, MtlsMode] => [Number(number), mode])
      .filter(([number]) => !named.has(number))
      .sort(([a], [b]) => a - b);
    return [[0, mtls] as const, ...special].flatMap(([port, mode]) =>
      this.#chains({
        name: { http: 'virtualInbound-catchall-http', tcp: 'virtualInbound' },
        port,
        protocol: 'auto',
        mtls: mode,
        cluster: inboundPassthroughCluster,
        statPrefix: inboundPassthroughCluster,
      }),
    );
  }

  #ofPort(port: InboundPort): Chain {
    const name = `${port.bind ?? this.#wildcard}_${port.number}`;
    return {
      name: { http: name, tcp: name },
      port: port.number,
      protocol: port.protocol,
      mtls: port.mtls,
      cluster: clusterName('inbound', port.number, '', ''),
      statPrefix: `inbound_${name}`,
      origin: port,
    };
  }

  #chains(chain: Chain): FilterChain[] {
    return chainMatches(chain.protocol, chain.mtls).map((match) =>
      create(FilterChainSchema, {
        name: chain.name[match.filter],
        filterChainMatch: {
          ...(chain.port > 0 && { destinationPort: chain.port }),
          transportProtocol: match.transport,
          applicationProtocols: [...match.alpn],
        },
        filters: match.filter === 'http' ? this.#http(chain) : this.#tcp(chain),
        ...this.#transportSocket(match),
        ...(chain.origin?.object !== undefined && {
          metadata: { filterMetadata: { [istioMetadata]: { config: configPath(chain.origin.object) } } },
        }),
      }),
    );
  }

  #transportSocket({ mutual }: ChainMatch): Pick<MessageInitShape<typeof FilterChainSchema>, 'transportSocket'> {
    if (!mutual) return {};
    const { mesh, secrets } = this.#workload;
    const minVersion = mesh.meshMTLS?.minProtocolVersion === 'TLSV1_3' ? 'TLSV1_3' : 'TLSV1_2';
    const context = downstreamMutual({ alpn: alpnHttp, trustDomains: trustDomains(mesh), minVersion, secrets });
    return { transportSocket: downstreamSocket(context) };
  }

  #http(chain: Chain): Filter[] {
    const host = chain.origin?.hosts[0];
    const route = buildInboundRoute({
      cluster: chain.cluster,
      port: chain.origin === undefined ? 0 : (chain.origin.service?.port ?? chain.port),
      ...(host !== undefined && { host }),
      protocol: chain.protocol,
    });
    const filters = { authorization: this.#authorization.http };
    return [
      buildConnectionManagerFilter({
        statPrefix: chain.statPrefix,
        route: { inline: route },
        direction: 'inbound',
        filters,
        accessLogs: this.#logs.http,
      }),
    ];
  }

  #tcp(chain: Chain): Filter[] {
    const proxy = buildTcpProxyFilter({
      statPrefix: chain.cluster,
      destination: { cluster: chain.cluster },
      accessLogs: this.#logs.tcp,
    });
    return [...this.#authorization.tcp, proxy];
  }
}

function originalDestination(): ListenerFilter {
  return create(ListenerFilterSchema, {
    name: 'envoy.filters.listener.original_dst',
    configType: { case: 'typedConfig', value: packAny(OriginalDstSchema, create(OriginalDstSchema)) },
  });
}

/** The mark by which TPROXY's interception rules tell the proxy's own packets. */
const tproxyMark = 1337;

/** The workload sees the client's address. */
function originalSource(): ListenerFilter {
  return create(ListenerFilterSchema, {
    name: 'envoy.filters.listener.original_src',
    configType: { case: 'typedConfig', value: packAny(OriginalSrcSchema, create(OriginalSrcSchema, { mark: tproxyMark })) },
  });
}
