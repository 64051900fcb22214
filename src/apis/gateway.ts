import type { ConfigObject } from './object.ts';
import { networkingKind } from './kind.ts';
import { bool, list, map, message, nullable, oneOfWords, rules, type Spec, string, uint32 } from './schema.ts';
import { credentialNameOrCertificates, credentialNameOrNames, credentialNamesOrCertificates } from './rules.ts';

export const port = message({ name: string(), number: uint32(), protocol: string(), targetPort: uint32() }, ['number', 'protocol', 'name']);
export type Port = Spec<typeof port>;

export const serverTlsSettings = message(
  {
    caCertCredentialName: string(),
    caCertificates: string(),
    caCrl: string(),
    cipherSuites: list(string()),
    credentialName: string(),
    credentialNames: list(string(), { maxItems: 2, minItems: 1 }),
    ecdhCurves: list(string()),
    httpsRedirect: bool(),
    insecureSkipVerify: nullable(bool()),
    maxProtocolVersion: oneOfWords(['TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3']),
    minProtocolVersion: oneOfWords(['TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3']),
    mode: oneOfWords(['PASSTHROUGH', 'SIMPLE', 'MUTUAL', 'AUTO_PASSTHROUGH', 'ISTIO_MUTUAL', 'OPTIONAL_MUTUAL']),
    privateKey: string(),
    serverCertificate: string(),
    subjectAltNames: list(string()),
    tlsCertificates: list(message({ caCertificates: string(), privateKey: string(), serverCertificate: string() }), {
      maxItems: 2,
      minItems: 1,
    }),
    verifyCertificateHash: list(string()),
    verifyCertificateSpki: list(string()),
  },
  [],
  rules(credentialNamesOrCertificates, credentialNameOrNames, credentialNameOrCertificates),
);
export type ServerTLSSettings = Spec<typeof serverTlsSettings>;

export const server = message(
  { bind: string(), defaultEndpoint: string(), hosts: list(string()), name: string(), port, tls: serverTlsSettings },
  ['port', 'hosts'],
);
export type Server = Spec<typeof server>;

export const gatewaySpec = message({ selector: map(string()), servers: list(server) });
export type GatewaySpec = Spec<typeof gatewaySpec>;
export type Gateway = ConfigObject<'Gateway', GatewaySpec>;

export const gateway = networkingKind({ kind: 'Gateway', plural: 'gateways', shortNames: ['gw'], schema: gatewaySpec });
