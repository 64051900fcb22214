import { describe, expect, it } from 'vitest';
import {
  SubjectAltNameMatcher_SanType as SanType,
  TlsParameters_TlsProtocol as Version,
} from '#gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import type { ServerTLSSettings } from '../apis/gateway.ts';
import { caSecretName, secretName } from './secret-names.ts';
import { downstreamMutual, gatewayTls } from './tls.ts';

function brief(tls: ServerTLSSettings) {
  const { requireClientCertificate, commonTlsContext: common } = gatewayTls(tls);
  const validation = common?.validationContextType;
  const combined = validation?.case === 'combinedValidationContext' ? validation.value : undefined;
  return {
    required: requireClientCertificate,
    certificates: common?.tlsCertificateSdsSecretConfigs.map(({ name }) => name),
    root: combined?.validationContextSdsSecretConfig?.name,
    // The proxy's own secrets are waited for as long as it takes, those of users for Envoy's 15 s.
    waits: common?.tlsCertificateSdsSecretConfigs.map(({ sdsConfig }) => sdsConfig?.initialFetchTimeout?.seconds),
  };
}

describe('gatewayTls', () => {
  it.each([
    [
      { mode: 'SIMPLE', credentialName: 'a' },
      { required: false, certificates: ['kubernetes://a'], root: undefined, waits: [undefined] },
    ],
    [
      { mode: 'MUTUAL', credentialName: 'a' },
      { required: true, certificates: ['kubernetes://a'], root: 'kubernetes://a-cacert', waits: [undefined] },
    ],
    [
      { mode: 'OPTIONAL_MUTUAL', credentialName: 'a', caCertCredentialName: 'roots' },
      { required: false, certificates: ['kubernetes://a'], root: 'kubernetes://roots', waits: [undefined] },
    ],
    [{ mode: 'ISTIO_MUTUAL' }, { required: true, certificates: ['default'], root: 'ROOTCA', waits: [0n] }],
    [
      { mode: 'MUTUAL', credentialName: 'builtin://' },
      { required: true, certificates: ['default'], root: 'ROOTCA', waits: [0n] },
    ],
  ] as const)('%o', (tls, expected) => {
    expect(brief(tls)).toEqual(expected);
  });

  it('compares names by the types that they may have', () => {
    const { commonTlsContext } = gatewayTls({
      mode: 'MUTUAL',
      credentialName: 'a',
      subjectAltNames: ['spiffe://x/y', 'a.example', '10.0.0.1'],
    });
    const validation = commonTlsContext?.validationContextType;
    if (validation?.case !== 'combinedValidationContext') throw new Error('no validation');
    const sans = validation.value.defaultValidationContext?.matchTypedSubjectAltNames.map(({ sanType, matcher }) => [
      sanType,
      matcher?.matchPattern.value,
    ]);
    expect(sans).toEqual([
      [SanType.URI, 'spiffe://x/y'],
      [SanType.DNS, 'a.example'],
      [SanType.URI, 'a.example'],
      [SanType.IP_ADDRESS, '10.0.0.1'],
    ]);
  });

  it('takes versions and ciphers from the server', () => {
    const { commonTlsContext } = gatewayTls({ mode: 'SIMPLE', credentialName: 'a', minProtocolVersion: 'TLSV1_3', cipherSuites: ['X'] });
    expect(commonTlsContext?.tlsParams).toMatchObject({ tlsMinimumProtocolVersion: Version.TLSv1_3, cipherSuites: ['X'] });
  });
});

it('asks the mesh for TLS 1.2 at least', () => {
  const params = (minVersion?: 'TLSV1_3') =>
    downstreamMutual({ alpn: [], trustDomains: ['td'], ...(minVersion && { minVersion }) }).commonTlsContext?.tlsParams;
  expect(params()).toMatchObject({
    tlsMinimumProtocolVersion: Version.TLSv1_2,
    tlsMaximumProtocolVersion: Version.TLSv1_3,
    cipherSuites: [
      'ECDHE-ECDSA-AES256-GCM-SHA384',
      'ECDHE-RSA-AES256-GCM-SHA384',
      'ECDHE-ECDSA-AES128-GCM-SHA256',
      'ECDHE-RSA-AES128-GCM-SHA256',
      'AES256-GCM-SHA384',
      'AES128-GCM-SHA256',
    ],
  });
  expect(params('TLSV1_3')?.tlsMinimumProtocolVersion).toBe(Version.TLSv1_3);
});

it('names secrets as Istio does', () => {
  expect(['a', 'ns/a', 'kubernetes-gateway://ns/a', 'configmap://ns/a', 'builtin://'].map(secretName)).toEqual([
    'kubernetes://a',
    'kubernetes://ns/a',
    'kubernetes-gateway://ns/a',
    'configmap://ns/a',
    'default',
  ]);
  expect(['a', 'builtin://'].map(caSecretName)).toEqual(['kubernetes://a-cacert', 'ROOTCA']);
});
