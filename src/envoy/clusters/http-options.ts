import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import {
  type HttpProtocolOptions,
  type HttpProtocolOptions_OutlierDetectionSchema,
  HttpProtocolOptionsSchema,
} from '#gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import type { HttpProtocolOptionsSchema as CommonHttpProtocolOptionsSchema } from '#gen/envoy/config/core/v3/protocol_pb.js';
import type { MeshConfig } from '../../apis/mesh-config.ts';
import type { ConnectionPoolSettings } from '../../apis/traffic-policy.ts';
import { isHttp, type ServicePort } from '../../mesh/model.ts';
import { packAny } from '../../wire/encode.ts';
import { durationOf, seconds } from '../duration.ts';
import { positive } from './connection-pool.ts';
import type { EffectivePolicy } from './effective-policy.ts';

/** Key of HttpProtocolOptions among a cluster's typed_extension_protocol_options. */
const optionsKey = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** HTTP version towards the endpoints: one that is fixed, or that of the request. */
export type UpstreamProtocol = 'http1' | 'http2' | 'downstream';

/**
 * A declared protocol decides; an upgrade by the rule wins over it. A sniffed port speaks what the request spoke, but at a gateway, which would
 * offer h2 to clients of a server that may not have it.
 */
export function upstreamProtocol(port: ServicePort, policy: EffectivePolicy, mesh: MeshConfig, atGateway: boolean): UpstreamProtocol {
  const http = policy.connectionPool?.http;
  if (http?.useClientProtocol === true) return 'downstream';
  if (port.protocol === 'http2' || port.protocol === 'grpc' || port.protocol === 'grpc-web') return 'http2';
  if (http?.h2UpgradePolicy === 'UPGRADE') return 'http2';
  if (http?.h2UpgradePolicy !== 'DO_NOT_UPGRADE' && isHttp(port.protocol) && mesh.h2UpgradePolicy === 'UPGRADE') return 'http2';
  return port.protocol === 'auto' && !atGateway ? 'downstream' : 'http1';
}

export interface HttpOptionsInput {
  readonly protocol: UpstreamProtocol;
  readonly policy: EffectivePolicy;
  /** Take SNI from the Host header, and check the server's certificate against it. */
  readonly autoSni: boolean;
  readonly autoSanValidation: boolean;
}

/** Undefined where everything is at Envoy's default, HTTP/1.1. */
export function buildHttpOptions(input: HttpOptionsInput): Record<string, Any> | undefined {
  const { protocol, policy, autoSni, autoSanValidation } = input;
  const common = commonOptions(policy.connectionPool);
  const errorCodes = policy.outlierDetection?.outlierDetectionHttpErrorCodes ?? [];
  if (protocol === 'http1' && common === undefined && !autoSni && !autoSanValidation && errorCodes.length === 0) return undefined;
  return packHttpOptions(
    create(HttpProtocolOptionsSchema, {
      ...(common && { commonHttpProtocolOptions: common }),
      ...((autoSni || autoSanValidation) && { upstreamHttpProtocolOptions: { autoSni, autoSanValidation } }),
      upstreamProtocolOptions: protocolOptions(protocol, policy.connectionPool),
      ...(errorCodes.length > 0 && { outlierDetection: errorMatcher(errorCodes) }),
    }),
  );
}

/** The options of the passthrough clusters: what the request spoke, connections closed after 5 idle minutes, as in Istio. */
export function passthroughHttpOptions(): Record<string, Any> {
  return packHttpOptions(
    create(HttpProtocolOptionsSchema, {
      commonHttpProtocolOptions: { idleTimeout: seconds(300) },
      upstreamProtocolOptions: protocolOptions('downstream', undefined),
    }),
  );
}

function packHttpOptions(options: HttpProtocolOptions): Record<string, Any> {
  return { [optionsKey]: packAny(HttpProtocolOptionsSchema, options) };
}

type CommonOptions = MessageInitShape<typeof CommonHttpProtocolOptionsSchema>;

function commonOptions(pool: ConnectionPoolSettings | undefined): CommonOptions | undefined {
  const idleTimeout = durationOf(pool?.http?.idleTimeout) ?? durationOf(pool?.tcp?.idleTimeout);
  const maxRequestsPerConnection = positive(pool?.http?.maxRequestsPerConnection);
  const maxConnectionDuration = durationOf(pool?.tcp?.maxConnectionDuration);
  const set = { ...(idleTimeout && { idleTimeout }), ...(maxConnectionDuration && { maxConnectionDuration }) };
  if (maxRequestsPerConnection !== undefined) return { ...set, maxRequestsPerConnection };
  return Object.keys(set).length === 0 ? undefined : set;
}

type ProtocolOptions = NonNullable<MessageInitShape<typeof HttpProtocolOptionsSchema>['upstreamProtocolOptions']>;

function protocolOptions(protocol: UpstreamProtocol, pool: ConnectionPoolSettings | undefined): ProtocolOptions {
  switch (protocol) {
    case 'downstream':
      return { case: 'useDownstreamProtocolConfig', value: { httpProtocolOptions: {}, http2ProtocolOptions: {} } };
    case 'http1':
      return { case: 'explicitHttpConfig', value: { protocolConfig: { case: 'httpProtocolOptions', value: {} } } };
    case 'http2': {
      const maxConcurrentStreams = positive(pool?.http?.maxConcurrentStreams);
      const keepalive = pool?.http?.http2KeepAlive;
      const interval = durationOf(keepalive?.interval);
      const timeout = durationOf(keepalive?.timeout);
      return {
        case: 'explicitHttpConfig',
        value: {
          protocolConfig: {
            case: 'http2ProtocolOptions',
            value: {
              ...(maxConcurrentStreams !== undefined && { maxConcurrentStreams }),
              ...(keepalive && { connectionKeepalive: { ...(interval && { interval }), ...(timeout && { timeout }) } }),
            },
          },
        },
      };
    }
  }
}

/** Counts responses of these codes as failures of the host. */
function errorMatcher(codes: readonly number[]): MessageInitShape<typeof HttpProtocolOptions_OutlierDetectionSchema> {
  const rules = codes.map((code) => ({
    rule: {
      case: 'httpResponseHeadersMatch' as const,
      value: {
        headers: [
          {
            name: ':status',
            headerMatchSpecifier: {
              case: 'stringMatch' as const,
              value: { matchPattern: { case: 'exact' as const, value: String(code) } },
            },
          },
        ],
      },
    },
  }));
  const [only] = rules;
  return { errorMatcher: rules.length === 1 && only !== undefined ? only : { rule: { case: 'orMatch', value: { rules } } } };
}
