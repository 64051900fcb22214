import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type TransportSocket, TransportSocketSchema } from '#gen/envoy/config/core/v3/base_pb.js';
import { Cluster_TransportSocketMatchSchema, type Cluster_TransportSocketMatch } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { RawBufferSchema } from '#gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js';
import {
  type CertificateValidationContextSchema,
  SubjectAltNameMatcher_SanType,
  type SubjectAltNameMatcherSchema,
  TlsParameters_TlsProtocol,
} from '#gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import { type CommonTlsContextSchema, UpstreamTlsContextSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import type { ClientTLSSettings } from '../../apis/traffic-policy.ts';
import { packAny } from '../../wire/encode.ts';
import { meshRoots, meshSecret, ownCertificate, type MeshSecrets } from '../config-source.ts';

type Common = MessageInitShape<typeof CommonTlsContextSchema>;
type Validation = MessageInitShape<typeof CertificateValidationContextSchema>;

/** Istio's window of TLS versions towards endpoints. */
const tlsParams: NonNullable<Common['tlsParams']> = {
  tlsMinimumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_2,
  tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3,
};

export interface MeshTlsInput {
  /** Who may answer, SPIFFE ids or names; empty: everybody whom the mesh's roots vouch for. */
  readonly identities: readonly string[];
  readonly sni: string;
  readonly http2: boolean;
  readonly secrets?: MeshSecrets;
}

/**
 * Mutual TLS between sidecars. `istio` in ALPN tells the other side that this is a sidecar; Istio's own proxies also offer `istio-peer-exchange`,
 * which stock Envoy could not keep.
 */
export function meshTls({ identities, sni, http2, secrets }: MeshTlsInput): TransportSocket {
  return tlsSocket(sni, {
    tlsParams,
    alpnProtocols: http2 ? ['istio', 'h2'] : ['istio'],
    tlsCertificateSdsSecretConfigs: [meshSecret(ownCertificate, secrets)],
    validationContextType: {
      case: 'combinedValidationContext',
      value: {
        defaultValidationContext: { matchTypedSubjectAltNames: sanMatchers(identities) },
        validationContextSdsSecretConfig: meshSecret(meshRoots, secrets),
      },
    },
  });
}

/** The bundle of roots in the images of Envoy, Debian's and distroless ones. */
const systemRoots = '/etc/ssl/certs/ca-certificates.crt';

/**
 * SIMPLE and MUTUAL with files of the proxy's own. `names` are who may answer; empty: any name with `insecureSkipVerify`, else the one that
 * auto_san_validation asks for.
 */
export function originatedTls(tls: ClientTLSSettings, names: readonly string[], http2: boolean): TransportSocket {
  const validation: Validation = {
    trustedCa: file(tls.caCertificates || systemRoots),
    matchTypedSubjectAltNames: sanMatchers(names),
    ...(tls.caCrl && { crl: file(tls.caCrl) }),
  };
  return tlsSocket(tls.sni ?? '', {
    tlsParams,
    ...(http2 && { alpnProtocols: ['h2'] }),
    ...(tls.mode === 'MUTUAL' && {
      tlsCertificates: [{ certificateChain: file(tls.clientCertificate ?? ''), privateKey: file(tls.privateKey ?? '') }],
    }),
    ...(tls.insecureSkipVerify !== true && { validationContextType: { case: 'validationContext', value: validation } }),
  });
}

function tlsSocket(sni: string, commonTlsContext: Common): TransportSocket {
  return create(TransportSocketSchema, {
    name: 'envoy.transport_sockets.tls',
    configType: {
      case: 'typedConfig',
      value: packAny(UpstreamTlsContextSchema, create(UpstreamTlsContextSchema, { sni, commonTlsContext })),
    },
  });
}

export function plaintext(): TransportSocket {
  return create(TransportSocketSchema, {
    name: 'envoy.transport_sockets.raw_buffer',
    configType: { case: 'typedConfig', value: packAny(RawBufferSchema, create(RawBufferSchema)) },
  });
}

/** By endpoint: mutual TLS where its metadata says that it has a sidecar, plaintext elsewhere. The first match is taken. */
export function byEndpoint(mutual: TransportSocket): Cluster_TransportSocketMatch[] {
  return [
    create(Cluster_TransportSocketMatchSchema, { name: 'tlsMode-istio', match: { tlsMode: 'istio' }, transportSocket: mutual }),
    create(Cluster_TransportSocketMatchSchema, { name: 'tlsMode-disabled', match: {}, transportSocket: plaintext() }),
  ];
}

function sanMatchers(names: readonly string[]): MessageInitShape<typeof SubjectAltNameMatcherSchema>[] {
  return [...new Set(names)].sort().map((name) => ({
    sanType: sanType(name),
    matcher: { matchPattern: { case: 'exact', value: name } },
  }));
}

/** A name says itself what kind it is: `spiffe://...`, an address, a mailbox, or else a DNS name. */
function sanType(name: string): SubjectAltNameMatcher_SanType {
  if (name.includes('://')) return SubjectAltNameMatcher_SanType.URI;
  if (/^[\d.]+$/.test(name) || name.includes(':')) return SubjectAltNameMatcher_SanType.IP_ADDRESS;
  return name.includes('@') ? SubjectAltNameMatcher_SanType.EMAIL : SubjectAltNameMatcher_SanType.DNS;
}

function file(filename: string) {
  return { specifier: { case: 'filename' as const, value: filename } };
}
