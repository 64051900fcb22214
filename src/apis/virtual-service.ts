import type { ConfigObject } from './object.ts';
import { networkingKind } from './kind.ts';
import {
  atMostOneOf,
  bool,
  double,
  duration,
  int32,
  list,
  map,
  message,
  nullable,
  oneOfWords,
  type Spec,
  string,
  uint32,
} from './schema.ts';

export const stringMatch = message({ exact: string(), prefix: string(), regex: string() }, [], atMostOneOf('exact', 'prefix', 'regex'));
export type StringMatch = Spec<typeof stringMatch>;

export const headerOperations = message({ add: map(string()), remove: list(string()), set: map(string()) });
export type HeaderOperations = Spec<typeof headerOperations>;

export const headers = message({ request: headerOperations, response: headerOperations });
export type Headers = Spec<typeof headers>;

export const destination = message({ host: string(), port: message({ number: uint32() }), subset: string() }, ['host']);
export type Destination = Spec<typeof destination>;

export const percent = message({ value: double() });
export type Percent = Spec<typeof percent>;

export const routeDestination = message({ destination, weight: int32() }, ['destination']);
export type RouteDestination = Spec<typeof routeDestination>;

export const httpRouteDestination = message({ destination, headers, weight: int32() }, ['destination']);
export type HTTPRouteDestination = Spec<typeof httpRouteDestination>;

export const httpMatchRequest = message({
  authority: stringMatch,
  gateways: list(string()),
  headers: map(stringMatch),
  ignoreUriCase: bool(),
  method: stringMatch,
  name: string(),
  port: uint32(),
  queryParams: map(stringMatch),
  scheme: stringMatch,
  sourceLabels: map(string()),
  sourceNamespace: string(),
  statPrefix: string(),
  uri: stringMatch,
  withoutHeaders: map(stringMatch),
});
export type HTTPMatchRequest = Spec<typeof httpMatchRequest>;

export const corsPolicy = message({
  allowCredentials: nullable(bool()),
  allowHeaders: list(string()),
  allowMethods: list(string()),
  allowOrigin: list(string()),
  allowOrigins: list(stringMatch),
  exposeHeaders: list(string()),
  maxAge: duration(),
  unmatchedPreflights: oneOfWords(['UNSPECIFIED', 'FORWARD', 'IGNORE']),
});
export type CorsPolicy = Spec<typeof corsPolicy>;

export const httpFaultInjection = message({
  abort: message(
    { grpcStatus: string(), http2Error: string(), httpStatus: int32(), percentage: percent },
    [],
    atMostOneOf('httpStatus', 'grpcStatus', 'http2Error'),
  ),
  delay: message(
    { exponentialDelay: duration(), fixedDelay: duration(), percent: int32(), percentage: percent },
    [],
    atMostOneOf('fixedDelay', 'exponentialDelay'),
  ),
});
export type HTTPFaultInjection = Spec<typeof httpFaultInjection>;

export const httpRedirect = message(
  {
    authority: string(),
    derivePort: oneOfWords(['FROM_PROTOCOL_DEFAULT', 'FROM_REQUEST_PORT']),
    port: uint32(),
    prefixRewrite: string(),
    redirectCode: uint32(),
    scheme: string(),
    uri: string(),
  },
  [],
  atMostOneOf('port', 'derivePort'),
);
export type HTTPRedirect = Spec<typeof httpRedirect>;

export const httpRewrite = message({
  authority: string(),
  uri: string(),
  uriRegexRewrite: message({ match: string(), rewrite: string() }),
});
export type HTTPRewrite = Spec<typeof httpRewrite>;

export const httpRetry = message({
  attempts: int32(),
  backoff: duration(),
  perTryTimeout: duration(),
  retryIgnorePreviousHosts: nullable(bool()),
  retryOn: string(),
  retryRemoteLocalities: nullable(bool()),
});
export type HTTPRetry = Spec<typeof httpRetry>;

export const httpDirectResponse = message(
  { body: message({ bytes: string({ format: 'byte' }), string: string() }, [], atMostOneOf('string', 'bytes')), status: uint32() },
  ['status'],
);
export type HTTPDirectResponse = Spec<typeof httpDirectResponse>;

export const httpRoute = message({
  corsPolicy,
  delegate: message({ name: string(), namespace: string() }),
  directResponse: httpDirectResponse,
  fault: httpFaultInjection,
  headers,
  match: list(httpMatchRequest),
  mirror: destination,
  mirror_percent: nullable(uint32()),
  mirrorPercent: nullable(uint32()),
  mirrorPercentage: percent,
  mirrors: list(message({ destination, percentage: percent }, ['destination'])),
  name: string(),
  redirect: httpRedirect,
  retries: httpRetry,
  rewrite: httpRewrite,
  route: list(httpRouteDestination),
  timeout: duration(),
});
export type HTTPRoute = Spec<typeof httpRoute>;

export const tlsMatchAttributes = message(
  {
    destinationSubnets: list(string()),
    gateways: list(string()),
    port: uint32(),
    sniHosts: list(string()),
    sourceLabels: map(string()),
    sourceNamespace: string(),
  },
  ['sniHosts'],
);
export type TLSMatchAttributes = Spec<typeof tlsMatchAttributes>;

export const tlsRoute = message({ match: list(tlsMatchAttributes), route: list(routeDestination) }, ['match']);
export type TLSRoute = Spec<typeof tlsRoute>;

export const l4MatchAttributes = message({
  destinationSubnets: list(string()),
  gateways: list(string()),
  port: uint32(),
  sourceLabels: map(string()),
  sourceNamespace: string(),
  sourceSubnet: string(),
});
export type L4MatchAttributes = Spec<typeof l4MatchAttributes>;

export const tcpRoute = message({ match: list(l4MatchAttributes), route: list(routeDestination) });
export type TCPRoute = Spec<typeof tcpRoute>;

export const virtualServiceSpec = message({
  exportTo: list(string()),
  gateways: list(string()),
  hosts: list(string()),
  http: list(httpRoute),
  tcp: list(tcpRoute),
  tls: list(tlsRoute),
});
export type VirtualServiceSpec = Spec<typeof virtualServiceSpec>;
export type VirtualService = ConfigObject<'VirtualService', VirtualServiceSpec>;

export const virtualService = networkingKind({
  kind: 'VirtualService',
  plural: 'virtualservices',
  shortNames: ['vs'],
  schema: virtualServiceSpec,
  columns: [
    {
      name: 'Gateways',
      type: 'string',
      jsonPath: '.spec.gateways',
      description: 'The names of gateways and sidecars that should apply these routes',
    },
    { name: 'Hosts', type: 'string', jsonPath: '.spec.hosts', description: 'The destination hosts to which traffic is being sent' },
  ],
});
