import { create } from '@bufbuild/protobuf';
import type { AccessLog } from '#gen/envoy/config/accesslog/v3/accesslog_pb.js';
import { type Filter, FilterSchema } from '#gen/envoy/config/listener/v3/listener_components_pb.js';
import type { RouteConfiguration } from '#gen/envoy/config/route/v3/route_pb.js';
import { RouterSchema } from '#gen/envoy/extensions/filters/http/router/v3/router_pb.js';
import {
  type HttpFilter,
  HttpConnectionManager_ForwardClientCertDetails as ForwardClientCertDetails,
  HttpConnectionManager_ServerHeaderTransformation as ServerHeaderTransformation,
  HttpConnectionManagerSchema,
} from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { Protocol } from '../../mesh/model.ts';
import { packAny } from '../../wire/encode.ts';

export interface InboundManager {
  readonly statPrefix: string;
  readonly routeConfig: RouteConfiguration;
  readonly protocol: Protocol;
  readonly authorization: readonly HttpFilter[];
  readonly accessLog: readonly AccessLog[];
}

/** The connection manager in front of a workload. The client's identity reaches it in x-forwarded-client-cert. */
export function inboundManager(options: InboundManager): Filter {
  const http2 = options.protocol === 'http2' || options.protocol === 'grpc' || options.protocol === 'grpc-web';
  const manager = create(HttpConnectionManagerSchema, {
    statPrefix: options.statPrefix,
    routeSpecifier: { case: 'routeConfig', value: options.routeConfig },
    httpFilters: [
      ...options.authorization,
      { name: 'envoy.filters.http.router', configType: { case: 'typedConfig', value: packAny(RouterSchema, create(RouterSchema)) } },
    ],
    serverName: 'istio-envoy',
    serverHeaderTransformation: ServerHeaderTransformation.PASS_THROUGH,
    useRemoteAddress: false,
    normalizePath: true,
    streamIdleTimeout: { seconds: 0n },
    forwardClientCertDetails: ForwardClientCertDetails.APPEND_FORWARD,
    setCurrentClientCertDetails: { subject: true, dns: true, uri: true },
    upgradeConfigs: [{ upgradeType: 'websocket' }],
    ...(http2 && { http2ProtocolOptions: {} }),
    accessLog: [...options.accessLog],
  });
  return create(FilterSchema, {
    name: 'envoy.filters.network.http_connection_manager',
    configType: { case: 'typedConfig', value: packAny(HttpConnectionManagerSchema, manager) },
  });
}
