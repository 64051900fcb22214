import { create } from '@bufbuild/protobuf';
import { DurationSchema } from '@bufbuild/protobuf/wkt';
import type { AccessLog } from '#gen/envoy/config/accesslog/v3/accesslog_pb.js';
import { type Filter, FilterSchema } from '#gen/envoy/config/listener/v3/listener_components_pb.js';
import type { RouteConfiguration } from '#gen/envoy/config/route/v3/route_pb.js';
import { CorsSchema } from '#gen/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import { HTTPFaultSchema } from '#gen/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import { FilterConfigSchema as GrpcStatsSchema } from '#gen/envoy/extensions/filters/http/grpc_stats/v3/config_pb.js';
import { OnDemandSchema } from '#gen/envoy/extensions/filters/http/on_demand/v3/on_demand_pb.js';
import { RouterSchema } from '#gen/envoy/extensions/filters/http/router/v3/router_pb.js';
import {
  type HttpConnectionManager,
  HttpConnectionManager_ForwardClientCertDetails as ForwardClientCertDetails,
  HttpConnectionManager_ServerHeaderTransformation as ServerHeaderTransformation,
  HttpConnectionManagerSchema,
  type HttpFilter,
  HttpFilterSchema,
} from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { packAny } from '../../wire/encode.ts';
import { adsSource } from '../config-source.ts';
import { noDuration } from '../duration.ts';
import { buildAlpnFilter } from './alpn.ts';

/** Filters that somebody else built, by the place that they take in the chain. */
export interface HttpFilterSlots {
  /** Decisions of an external provider: AuthorizationPolicy CUSTOM. */
  readonly externalAuthorization?: readonly HttpFilter[];
  /** JWT. */
  readonly authentication?: readonly HttpFilter[];
  /** AuthorizationPolicy DENY and ALLOW, and the filter that refuses everything where a policy cannot be translated. */
  readonly authorization?: readonly HttpFilter[];
}

export interface ConnectionManagerInput {
  /** Of the manager's stats; the delimiter of Istio's tag expressions is put behind it. */
  readonly statPrefix: string;
  /** A table by its name over RDS, or the table itself. */
  readonly route: { readonly rds: string } | { readonly inline: RouteConfiguration };
  readonly direction: 'outbound' | 'inbound' | 'gateway';
  readonly filters?: HttpFilterSlots;
  /** Access logs, the stats access logger among them. */
  readonly accessLogs: readonly AccessLog[];
  /** Trust the address of the connection and not x-forwarded-for. Default: at gateways. */
  readonly useRemoteAddress?: boolean;
  /** Proxies in front of a gateway whose x-forwarded-for is believed. */
  readonly trustedHops?: number;
  /** Lazy mode. `hosts`: of the table over RDS, virtual hosts are asked for with the first request for them; `clusters`: only clusters are. */
  readonly onDemand?: 'hosts' | 'clusters';
  /** Requests as to an HTTP proxy, `GET http://host/path`. */
  readonly absoluteUrls?: boolean;
  /** What happens to x-forwarded-client-cert. Default: inbound appends the client's identity, a gateway starts anew, outbound drops it. */
  readonly forwardClientCert?: ForwardClientCertDetails;
}

/** The network filter that speaks HTTP. */
export function buildConnectionManagerFilter(input: ConnectionManagerInput): Filter {
  return create(FilterSchema, {
    name: 'envoy.filters.network.http_connection_manager',
    configType: { case: 'typedConfig', value: packAny(HttpConnectionManagerSchema, buildConnectionManager(input)) },
  });
}

export function buildConnectionManager(input: ConnectionManagerInput): HttpConnectionManager {
  const { direction, route } = input;
  return create(HttpConnectionManagerSchema, {
    statPrefix: `${input.statPrefix};`,
    routeSpecifier:
      'rds' in route
        ? { case: 'rds', value: { routeConfigName: route.rds, configSource: adsSource() } }
        : { case: 'routeConfig', value: route.inline },
    httpFilters: buildHttpFilters(direction, input.filters ?? {}, input.onDemand !== undefined),
    accessLog: [...input.accessLogs],
    // Istio's names: sidecars of clients say `envoy`, everything else `istio-envoy`.
    serverName: direction === 'outbound' ? '' : 'istio-envoy',
    // What the workload says of itself stays, as with Istio, and is overwritten only by the caller's own proxy.
    serverHeaderTransformation: direction === 'inbound' ? ServerHeaderTransformation.PASS_THROUGH : ServerHeaderTransformation.OVERWRITE,
    useRemoteAddress: input.useRemoteAddress ?? direction === 'gateway',
    xffNumTrustedHops: input.trustedHops ?? 0,
    normalizePath: true,
    // Without it a stream that is silent for 5 minutes is cut; routes have time limits of their own. On demand it limits the wait for a virtual host, for
    // which there is no other limit, and routes of such hosts lift it.
    streamIdleTimeout: input.onDemand === 'hosts' ? hostWait : noDuration(),
    upgradeConfigs: [{ upgradeType: 'websocket' }],
    ...(input.absoluteUrls === true && { httpProtocolOptions: { allowAbsoluteUrl: true } }),
    ...clientCert(direction, input.forwardClientCert),
  });
}

function clientCert(direction: ConnectionManagerInput['direction'], details: ForwardClientCertDetails | undefined) {
  if (direction === 'outbound') return {};
  const fallback = direction === 'inbound' ? ForwardClientCertDetails.APPEND_FORWARD : ForwardClientCertDetails.SANITIZE_SET;
  return {
    forwardClientCertDetails: details ?? fallback,
    setCurrentClientCertDetails: { subject: true, dns: true, uri: true, ...(direction === 'gateway' && { cert: true }) },
  };
}

/**
 * Every HTTP filter of a sidecar or gateway, in the one order that there is. Who may pass is decided first, from outside to inside; then come the
 * filters that routes configure, and at the end the router, which must be the last.
 */
function buildHttpFilters(direction: ConnectionManagerInput['direction'], slots: HttpFilterSlots, onDemand: boolean): HttpFilter[] {
  return [
    // Lazy mode, towards servers only. First, because it starts the request anew when the host is here: what stands before it would see the request twice,
    // and what comes behind it needs the route.
    ...(onDemand ? [onDemandFilter] : []),
    // External authorization before JWT, as in Istio: the provider may set the token that is then checked.
    ...(slots.externalAuthorization ?? []),
    // JWT before RBAC, whose rules speak of claims.
    ...(slots.authentication ?? []),
    ...(slots.authorization ?? []),
    // Counts messages and puts the status of gRPC into filter state, where the metrics find it. Changes nothing.
    grpcStats,
    // Towards servers only; before the router chooses a connection.
    ...(direction === 'inbound' ? [] : [buildAlpnFilter()]),
    // Do nothing but where a route configures them. A fault may come before CORS: a preflight that is to fail, fails.
    ...(direction === 'inbound' ? [] : [fault]),
    cors,
    router,
  ];
}

function httpFilter(name: string, typedConfig: ReturnType<typeof packAny>): HttpFilter {
  return create(HttpFilterSchema, { name, configType: { case: 'typedConfig', value: typedConfig } });
}

/** How long a request waits for a virtual host or cluster that it is the first to ask for: then it is answered with 504 or 503. */
const hostWait = create(DurationSchema, { seconds: 15n });
export const onDemandFilterName = 'envoy.filters.http.on_demand';
const onDemandFilter = httpFilter(
  onDemandFilterName,
  packAny(OnDemandSchema, create(OnDemandSchema, { odcds: { source: adsSource(), timeout: hostWait } })),
);
const grpcStats = httpFilter(
  'envoy.filters.http.grpc_stats',
  packAny(
    GrpcStatsSchema,
    create(GrpcStatsSchema, { emitFilterState: true, perMethodStatSpecifier: { case: 'statsForAllMethods', value: { value: false } } }),
  ),
);
export const faultFilterName = 'envoy.filters.http.fault';
export const corsFilterName = 'envoy.filters.http.cors';
const fault = httpFilter(faultFilterName, packAny(HTTPFaultSchema, create(HTTPFaultSchema)));
const cors = httpFilter(corsFilterName, packAny(CorsSchema, create(CorsSchema)));
const router = httpFilter('envoy.filters.http.router', packAny(RouterSchema, create(RouterSchema)));
