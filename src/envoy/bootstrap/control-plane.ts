import { create } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { type Cluster, ClusterSchema, Cluster_DiscoveryType, Cluster_DnsLookupFamily } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { RoutingPriority } from '#gen/envoy/config/core/v3/base_pb.js';
import { CredentialInjectorSchema } from '#gen/envoy/extensions/filters/http/credential_injector/v3/credential_injector_pb.js';
import { UpstreamCodecSchema } from '#gen/envoy/extensions/filters/http/upstream_codec/v3/upstream_codec_pb.js';
import { GenericSchema } from '#gen/envoy/extensions/http/injected_credentials/generic/v3/generic_pb.js';
import { SubjectAltNameMatcher_SanType } from '#gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import { UpstreamTlsContextSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { HttpProtocolOptionsSchema } from '#gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import { packAny } from '../../wire/encode.ts';
import { certificateSecret, fileSds, type FileSecret, rootSecret, tokenSecret } from './files.ts';
import type { ControlPlaneOptions, TlsSecurity } from './options.ts';

/** Istio's name, so that `cluster.xds-grpc.*` stats and dashboards on them work. */
export const controlPlaneCluster = 'xds-grpc';

const isAddress = (host: string): boolean => /^[\d.]+$/.test(host) || host.includes(':');

/** The files that the control plane's cluster refers to. */
export function controlPlaneFiles(security: ControlPlaneOptions['security']): FileSecret[] {
  if (security.kind === 'plaintext') return [];
  const { credential } = security;
  return [rootSecret(security.rootFile), credential.kind === 'token' ? tokenSecret(credential.file) : certificateSecret(credential)];
}

/** The cluster of the ADS stream. */
export function controlPlaneClusterConfig(options: ControlPlaneOptions, directory: string): Cluster {
  const { host, port, security } = options;
  const unlimited = { maxConnections: 100_000, maxPendingRequests: 100_000, maxRequests: 100_000 };
  return create(ClusterSchema, {
    name: controlPlaneCluster,
    clusterDiscoveryType: { case: 'type', value: isAddress(host) ? Cluster_DiscoveryType.STATIC : Cluster_DiscoveryType.STRICT_DNS },
    ...(isAddress(host) ? {} : { dnsLookupFamily: Cluster_DnsLookupFamily.ALL, respectDnsTtl: true }),
    connectTimeout: { seconds: 5n },
    loadAssignment: {
      clusterName: controlPlaneCluster,
      endpoints: [
        {
          lbEndpoints: [
            {
              hostIdentifier: {
                case: 'endpoint',
                value: {
                  address: {
                    address: { case: 'socketAddress', value: { address: host, portSpecifier: { case: 'portValue', value: port } } },
                  },
                },
              },
            },
          ],
        },
      ],
    },
    circuitBreakers: { thresholds: [unlimited, { ...unlimited, priority: RoutingPriority.HIGH }] },
    upstreamConnectionOptions: { tcpKeepalive: { keepaliveTime: 300 } },
    typedExtensionProtocolOptions: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': httpOptions(security, directory),
    },
    ...(security.kind === 'tls' ? { transportSocket: tlsSocket(security, directory) } : {}),
  });
}

function tlsSocket(security: TlsSecurity, directory: string): NonNullable<Cluster['transportSocket']> {
  const { serverName, credential } = security;
  const context = create(UpstreamTlsContextSchema, {
    sni: serverName,
    commonTlsContext: {
      alpnProtocols: ['h2'],
      validationContextType: {
        case: 'combinedValidationContext',
        value: {
          defaultValidationContext: {
            matchTypedSubjectAltNames: [
              { sanType: SubjectAltNameMatcher_SanType.DNS, matcher: { matchPattern: { case: 'exact', value: serverName } } },
            ],
          },
          validationContextSdsSecretConfig: fileSds(directory, rootSecret(security.rootFile)),
        },
      },
      ...(credential.kind === 'certificate' ? { tlsCertificateSdsSecretConfigs: [fileSds(directory, certificateSecret(credential))] } : {}),
    },
  });
  return {
    $typeName: 'envoy.config.core.v3.TransportSocket',
    name: 'envoy.transport_sockets.tls',
    configType: { case: 'typedConfig', value: packAny(UpstreamTlsContextSchema, context) },
  };
}

/**
 * HTTP/2 with pings, so that a control plane that vanished without closing is noticed, and the token as `authorization` on each new
 * stream by an upstream HTTP filter: `initial_metadata` of the gRPC service cannot read a file again.
 */
function httpOptions(security: ControlPlaneOptions['security'], directory: string): Any {
  const token = security.kind === 'tls' && security.credential.kind === 'token' ? tokenSecret(security.credential.file) : undefined;
  const filters =
    token === undefined
      ? []
      : [
          {
            name: 'envoy.filters.http.credential_injector',
            configType: { case: 'typedConfig' as const, value: tokenInjector(fileSds(directory, token)) },
          },
          {
            name: 'envoy.filters.http.upstream_codec',
            configType: { case: 'typedConfig' as const, value: packAny(UpstreamCodecSchema, create(UpstreamCodecSchema)) },
          },
        ];
  return packAny(
    HttpProtocolOptionsSchema,
    create(HttpProtocolOptionsSchema, {
      upstreamProtocolOptions: {
        case: 'explicitHttpConfig',
        value: {
          protocolConfig: {
            case: 'http2ProtocolOptions',
            value: { connectionKeepalive: { interval: { seconds: 30n }, timeout: { seconds: 10n } } },
          },
        },
      },
      httpFilters: filters,
    }),
  );
}

function tokenInjector(credential: ReturnType<typeof fileSds>): Any {
  const generic = create(GenericSchema, { credential, header: 'authorization', headerValuePrefix: 'Bearer ' });
  return packAny(
    CredentialInjectorSchema,
    create(CredentialInjectorSchema, {
      overwrite: true,
      credential: { name: 'envoy.http.injected_credentials.generic', typedConfig: packAny(GenericSchema, generic) },
    }),
  );
}
