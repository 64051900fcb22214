/** Listeners for what a workload sends. Each is translated on its own, so that a change costs the listener that it is in. */
import { create } from '@bufbuild/protobuf';
import type { AccessLog } from '#gen/envoy/config/accesslog/v3/accesslog_pb.js';
import { TrafficDirection } from '#gen/envoy/config/core/v3/base_pb.js';
import { type Listener, ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.js';
import {
  type Filter,
  type FilterChain,
  FilterChainMatchSchema,
  FilterChainSchema,
} from '#gen/envoy/config/listener/v3/listener_components_pb.js';
import type { MeshConfig } from '../../apis/mesh-config.ts';
import type { InterceptionMode } from '../../mesh/model.ts';
import { blackHoleCluster, passthroughCluster } from '../../mesh/names.ts';
import { buildAddress } from '../address.ts';
import { configPath, istioMetadata } from '../config-metadata.ts';
import { durationOf, noDuration } from '../duration.ts';
import { buildConnectionManagerFilter, type ConnectionManagerInput } from '../filters/hcm.ts';
import { buildTcpProxyFilter } from '../filters/tcp-proxy.ts';
import { httpProxyTable } from '../routes/table.ts';
import { distinctMatches } from './distinct-matches.ts';
import type { OutboundTcpChain } from './outbound-chain.ts';
import { httpInspector, tlsInspector } from './sniffing.ts';

/** What all outbound listeners of a proxy have in common. */
export interface OutboundListenerContext {
  readonly mesh: MeshConfig;
  /** For requests and for connections, the stats access logger among them. */
  readonly httpAccessLogs: readonly AccessLog[];
  readonly tcpAccessLogs: readonly AccessLog[];
}

/** See ConnectionManagerInput. */
type OnDemand = NonNullable<ConnectionManagerInput['onDemand']>;

export interface OutboundListener {
  /** `0.0.0.0` or `::` for HTTP of a port and services without an address; a service's virtual address; or `127.0.0.1` where it is bound. */
  readonly address: string;
  readonly port: number;
  /** Really listens (INTERCEPTION_MODE or captureMode NONE), instead of getting its connections from port 15001. */
  readonly bindToPort: boolean;
  /** The route table of HTTP requests. Absent: all is TCP, nothing is looked at, and a server may speak first. */
  readonly http?: { readonly route: string; readonly onDemand?: OnDemand };
  /** In order of precedence; what an earlier chain takes, a later one does not get. */
  readonly tcp: readonly OutboundTcpChain[];
}

export function listenerName(address: string, port: number): string {
  return `${address}_${port}`;
}

/** Envoy's names of plaintext HTTP as the http_inspector finds it. */
const plaintextHttp = ['http/1.0', 'http/1.1', 'h2c'];

/**
 * A listener with an HTTP chain, TCP chains, or both. Where HTTP shares it, HTTP is recognized by its first bytes: on the wildcard address always,
 * because whatever else is sent to that port must still get out. What no chain takes goes where unknown traffic goes.
 */
export function buildOutboundListener(context: OutboundListenerContext, input: OutboundListener): Listener {
  const { mesh } = context;
  const name = listenerName(input.address, input.port);
  const sniffs = input.http !== undefined && (isWildcard(input.address) || input.tcp.length > 0);
  const tcp = distinctMatches(input.tcp);
  const chains = [
    ...tcp.filter((chain) => !takesAll(chain)).map((chain) => buildTcpChain(context, chain)),
    ...(input.http !== undefined && sniffs ? [buildHttpChain(context, name, input.http, true)] : []),
  ];
  const all = tcp.find(takesAll);
  const rest = all !== undefined ? buildTcpChain(context, all) : unsniffedHttp(context, name, input, sniffs);
  const inspectsTls = tcp.some((chain) => !takesAll(chain) && (chain.sniHosts ?? []).length > 0);
  return create(ListenerSchema, {
    name,
    address: buildAddress(input.address, input.port),
    trafficDirection: TrafficDirection.OUTBOUND,
    listenerFilters: [...(inspectsTls ? [tlsInspector()] : []), ...(sniffs ? [httpInspector()] : [])],
    listenerFiltersTimeout: sniffs ? (durationOf(mesh.protocolDetectionTimeout) ?? noDuration()) : noDuration(),
    continueOnListenerFiltersTimeout: true,
    ...(input.bindToPort ? { maxConnectionsToAcceptPerSocketEvent: 1 } : { bindToPort: false }),
    ...placeChains(chains, rest, () => buildPassthroughChain(context)),
  });
}

function unsniffedHttp(context: OutboundListenerContext, name: string, input: OutboundListener, sniffs: boolean): FilterChain | undefined {
  return input.http === undefined || sniffs ? undefined : buildHttpChain(context, name, input.http, false);
}

/** A chain that takes all is the default one; alone it is an ordinary one, because a listener needs one of those. */
function placeChains(chains: FilterChain[], rest: FilterChain | undefined, unknown: () => FilterChain) {
  if (chains.length === 0 && rest !== undefined) return { filterChains: [rest] };
  return { filterChains: chains, defaultFilterChain: rest ?? unknown() };
}

function buildHttpChain(
  context: OutboundListenerContext,
  name: string,
  { route, onDemand }: NonNullable<OutboundListener['http']>,
  sniffed: boolean,
): FilterChain {
  const filter = buildConnectionManagerFilter({
    statPrefix: `outbound_${name}`,
    route: { rds: route },
    direction: 'outbound',
    accessLogs: context.httpAccessLogs,
    ...(onDemand !== undefined && { onDemand }),
  });
  if (!sniffed) return create(FilterChainSchema, { filters: [filter] });
  return create(FilterChainSchema, {
    filterChainMatch: { transportProtocol: 'raw_buffer', applicationProtocols: plaintextHttp },
    filters: [filter],
  });
}

function buildTcpChain(context: OutboundListenerContext, chain: OutboundTcpChain): FilterChain {
  const { sniHosts, cidrs, config, ...proxy } = chain;
  const serverNames = sniHosts === undefined || sniHosts.includes('*') ? [] : [...sniHosts];
  const match = create(FilterChainMatchSchema, { serverNames, prefixRanges: (cidrs ?? []).map(cidrRange) });
  return create(FilterChainSchema, {
    ...(!takesAll(chain) && { filterChainMatch: match }),
    filters: [buildTcpProxyFilter({ ...proxy, accessLogs: context.tcpAccessLogs })],
    ...(config !== undefined && { metadata: { filterMetadata: { [istioMetadata]: { config: configPath(config) } } } }),
  });
}

function takesAll({ sniHosts, cidrs = [] }: OutboundTcpChain): boolean {
  return (sniHosts === undefined || sniHosts.length === 0 || sniHosts.includes('*')) && cidrs.length === 0;
}

function cidrRange(cidr: string) {
  const [address = '', bits] = cidr.split('/');
  return { addressPrefix: address, prefixLen: bits === undefined ? (address.includes(':') ? 128 : 32) : Number(bits) };
}

const isWildcard = (address: string) => address === '0.0.0.0' || address === '::';

/** Traffic to what the mesh does not know: on to where it was headed, or nowhere. */
function buildUnknownFilter({ mesh, tcpAccessLogs }: OutboundListenerContext): Filter {
  const cluster = mesh.outboundTrafficPolicy.mode === 'ALLOW_ANY' ? passthroughCluster : blackHoleCluster;
  return buildTcpProxyFilter({ statPrefix: cluster, destination: { cluster }, accessLogs: tcpAccessLogs });
}

function buildPassthroughChain(context: OutboundListenerContext): FilterChain {
  return create(FilterChainSchema, { name: 'PassthroughFilterChain', filterChainMatch: {}, filters: [buildUnknownFilter(context)] });
}

export interface VirtualOutbound {
  readonly interceptionMode: Exclude<InterceptionMode, 'NONE'>;
  /** `0.0.0.0`, or `::` for a proxy without IPv4. */
  readonly address: string;
  /** Of the listener itself: connections that nothing took. */
  readonly listenerAccessLogs: readonly AccessLog[];
}

/**
 * Port 15001, to which interception redirects all that is sent: hands each connection to the listener of its original destination, and keeps those
 * that none has.
 */
export function buildVirtualOutbound(context: OutboundListenerContext, input: VirtualOutbound): Listener {
  const port = context.mesh.proxyListenPort;
  return create(ListenerSchema, {
    name: 'virtualOutbound',
    address: buildAddress(input.address, port),
    trafficDirection: TrafficDirection.OUTBOUND,
    useOriginalDst: true,
    maxConnectionsToAcceptPerSocketEvent: 1,
    accessLog: [...input.listenerAccessLogs],
    ...(input.interceptionMode === 'TPROXY' && { transparent: true }),
    filterChains: [
      {
        // Whoever connects to 15001 itself would, passed through, come back for ever.
        name: 'virtualOutbound-blackhole',
        filterChainMatch: { destinationPort: port },
        filters: [
          buildTcpProxyFilter({
            statPrefix: blackHoleCluster,
            destination: { cluster: blackHoleCluster },
            accessLogs: context.tcpAccessLogs,
          }),
        ],
      },
      { name: 'virtualOutbound-catchall-tcp', filters: [buildUnknownFilter(context)] },
    ],
  });
}

/** An explicit HTTP proxy for the workload, for all hosts and ports of the mesh. */
export function buildHttpProxyListener(context: OutboundListenerContext, port: number, onDemand = false, address = '127.0.0.1'): Listener {
  const name = listenerName(address, port);
  const filter = buildConnectionManagerFilter({
    statPrefix: `outbound_${name}`,
    route: { rds: httpProxyTable },
    direction: 'outbound',
    accessLogs: context.httpAccessLogs,
    absoluteUrls: true,
    ...(onDemand && { onDemand: 'hosts' }),
  });
  return create(ListenerSchema, {
    name,
    address: buildAddress(address, port),
    trafficDirection: TrafficDirection.OUTBOUND,
    listenerFiltersTimeout: noDuration(),
    maxConnectionsToAcceptPerSocketEvent: 1,
    filterChains: [{ filters: [filter] }],
  });
}
