/** TLS contexts of listeners. Keys and roots always come by SDS, so that no listener holds one. */
import { create } from '@bufbuild/protobuf';
import { ApiVersion } from '#gen/envoy/config/core/v3/config_source_pb.js';
import { type TransportSocket, TransportSocketSchema } from '#gen/envoy/config/core/v3/base_pb.js';
import {
  type CertificateValidationContext,
  CertificateValidationContextSchema,
  type SubjectAltNameMatcher,
  SubjectAltNameMatcherSchema,
  SubjectAltNameMatcher_SanType,
  type TlsParameters,
  TlsParametersSchema,
  TlsParameters_TlsProtocol,
} from '#gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import { type SdsSecretConfig, SdsSecretConfigSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import {
  type CommonTlsContext,
  CommonTlsContext_CombinedCertificateValidationContextSchema,
  type DownstreamTlsContext,
  DownstreamTlsContextSchema,
} from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import type { ServerTLSSettings } from '../apis/gateway.ts';
import { packAny } from '../wire/encode.ts';
import { meshRoots, meshSecret, ownCertificate, type MeshSecrets } from './config-source.ts';
import { caSecretName, secretName } from './secret-names.ts';

/**
 * What servers offer. Not `istio-peer-exchange`, which Istio's proxies do on TCP: a client that gets it begins with a message about itself, which
 * stock Envoy would pass on to the workload.
 */
export const alpnHttp = ['h2', 'http/1.1'] as const;
/** Istio's list for mutual TLS; TLS 1.3 has its own three. */
const meshCiphers = [
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'AES256-GCM-SHA384',
  'AES128-GCM-SHA256',
];

export type MinTlsVersion = 'TLSV1_2' | 'TLSV1_3';

/**
 * A Secret that a user names: Envoy's default limit of 15 s stays, after which the listener or cluster works without it
 * (and refuses handshakes), so that a missing Secret does not hold back everything else.
 */
function namedSecret(name: string, secrets: MeshSecrets): SdsSecretConfig {
  if (name === ownCertificate || name === meshRoots) return meshSecret(name, secrets);
  return create(SdsSecretConfigSchema, {
    name,
    sdsConfig: { configSourceSpecifier: { case: 'ads', value: {} }, resourceApiVersion: ApiVersion.V3 },
  });
}

const san = (sanType: SubjectAltNameMatcher_SanType, exact: string): SubjectAltNameMatcher =>
  create(SubjectAltNameMatcherSchema, { sanType, matcher: { matchPattern: { case: 'exact', value: exact } } });

/** Exact names as users write them. What may be of several types is tried as each: the API has no place for the type. */
function exactSans(names: readonly string[]): SubjectAltNameMatcher[] {
  return names.flatMap((name) => {
    if (name.includes('://')) return [san(SubjectAltNameMatcher_SanType.URI, name)];
    if (/^[0-9.]+$|:/.test(name)) return [san(SubjectAltNameMatcher_SanType.IP_ADDRESS, name)];
    return [san(SubjectAltNameMatcher_SanType.DNS, name), san(SubjectAltNameMatcher_SanType.URI, name)];
  });
}

/** A peer of any of these trust domains: the root alone does not say it, because meshes may share one. */
function trustDomainSans(trustDomains: readonly string[]): SubjectAltNameMatcher[] {
  return trustDomains.map((domain) =>
    create(SubjectAltNameMatcherSchema, {
      sanType: SubjectAltNameMatcher_SanType.URI,
      matcher: { matchPattern: { case: 'prefix', value: `spiffe://${domain}/` } },
    }),
  );
}

function combined(root: SdsSecretConfig, context: CertificateValidationContext): CommonTlsContext['validationContextType'] {
  return {
    case: 'combinedValidationContext',
    value: create(CommonTlsContext_CombinedCertificateValidationContextSchema, {
      defaultValidationContext: context,
      validationContextSdsSecretConfig: root,
    }),
  };
}

const withSans = (matchTypedSubjectAltNames: SubjectAltNameMatcher[]): CertificateValidationContext =>
  create(CertificateValidationContextSchema, { matchTypedSubjectAltNames });

const meshTlsParams = (minVersion: MinTlsVersion): TlsParameters =>
  create(TlsParametersSchema, {
    tlsMinimumProtocolVersion: minVersion === 'TLSV1_3' ? TlsParameters_TlsProtocol.TLSv1_3 : TlsParameters_TlsProtocol.TLSv1_2,
    tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3,
    cipherSuites: meshCiphers,
  });

/** Mutual TLS of the mesh, server side. `trustDomains`: own first, then its aliases. */
export function downstreamMutual(options: {
  readonly alpn: readonly string[];
  readonly trustDomains: readonly string[];
  readonly minVersion?: MinTlsVersion;
  readonly secrets?: MeshSecrets;
}): DownstreamTlsContext {
  return create(DownstreamTlsContextSchema, {
    requireClientCertificate: true,
    commonTlsContext: {
      alpnProtocols: [...options.alpn],
      tlsParams: meshTlsParams(options.minVersion ?? 'TLSV1_2'),
      tlsCertificateSdsSecretConfigs: [meshSecret(ownCertificate, options.secrets)],
      validationContextType: combined(meshSecret(meshRoots, options.secrets), withSans(trustDomainSans(options.trustDomains))),
    },
  });
}

const versions: Record<NonNullable<ServerTLSSettings['minProtocolVersion']>, TlsParameters_TlsProtocol> = {
  TLS_AUTO: TlsParameters_TlsProtocol.TLS_AUTO,
  TLSV1_0: TlsParameters_TlsProtocol.TLSv1_0,
  TLSV1_1: TlsParameters_TlsProtocol.TLSv1_1,
  TLSV1_2: TlsParameters_TlsProtocol.TLSv1_2,
  TLSV1_3: TlsParameters_TlsProtocol.TLSv1_3,
};

/** A server of a Gateway that ends TLS: SIMPLE, MUTUAL, OPTIONAL_MUTUAL by `credentialName`, or ISTIO_MUTUAL. */
export function gatewayTls(tls: ServerTLSSettings, secrets?: MeshSecrets): DownstreamTlsContext {
  const validates = tls.mode === 'MUTUAL' || tls.mode === 'OPTIONAL_MUTUAL' || tls.mode === 'ISTIO_MUTUAL';
  const sans = exactSans(tls.subjectAltNames ?? []);
  if (tls.mode === 'ISTIO_MUTUAL') {
    return create(DownstreamTlsContextSchema, {
      requireClientCertificate: true,
      commonTlsContext: {
        alpnProtocols: [...alpnHttp],
        tlsParams: meshTlsParams('TLSV1_2'),
        tlsCertificateSdsSecretConfigs: [meshSecret(ownCertificate, secrets)],
        validationContextType: combined(meshSecret(meshRoots, secrets), withSans(sans)),
      },
    });
  }
  const names = tls.credentialNames ?? (tls.credentialName === undefined ? [] : [tls.credentialName]);
  const params = create(TlsParametersSchema, {
    tlsMinimumProtocolVersion: versions[tls.minProtocolVersion ?? 'TLS_AUTO'],
    tlsMaximumProtocolVersion: versions[tls.maxProtocolVersion ?? 'TLS_AUTO'],
    cipherSuites: [...(tls.cipherSuites ?? [])],
    ecdhCurves: [...(tls.ecdhCurves ?? [])],
  });
  const context = create(CertificateValidationContextSchema, {
    matchTypedSubjectAltNames: sans,
    verifyCertificateSpki: [...(tls.verifyCertificateSpki ?? [])],
    verifyCertificateHash: [...(tls.verifyCertificateHash ?? [])],
  });
  const root = tls.caCertCredentialName === undefined ? caSecretName(names[0] ?? '') : secretName(tls.caCertCredentialName);
  return create(DownstreamTlsContextSchema, {
    requireClientCertificate: tls.mode === 'MUTUAL',
    commonTlsContext: {
      alpnProtocols: [...alpnHttp],
      tlsParams: params,
      tlsCertificateSdsSecretConfigs: names.map((name) => namedSecret(secretName(name), secrets)),
      ...(validates && { validationContextType: combined(namedSecret(root, secrets), context) }),
    },
  });
}

export const tlsSocketName = 'envoy.transport_sockets.tls';

export function downstreamSocket(context: DownstreamTlsContext): TransportSocket {
  return create(TransportSocketSchema, {
    name: tlsSocketName,
    configType: { case: 'typedConfig', value: packAny(DownstreamTlsContextSchema, context) },
  });
}
