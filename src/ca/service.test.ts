import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import {
  Metadata,
  Server,
  ServerCredentials,
  credentials,
  makeGenericClientConstructor,
  status,
  type Client,
  type ServiceError,
} from '@grpc/grpc-js';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { IstioCertificateRequestSchema, type IstioCertificateResponse } from '#gen/istio/v1/auth/ca_pb.js';
import { Authenticator } from '../identity/authenticator.ts';
import { CertificateVerifier } from '../identity/certificate.ts';
import { LocalTokenReviewer, signToken } from '../identity/localtoken.ts';
import { refusal } from '../identity/proof.ts';
import { testFolder } from '../identity/testing/folder.ts';
import { openssl } from '../identity/testing/openssl.ts';
import { loadServices } from '../wire/services.ts';
import { generateKey, parsePrivateKey, privateKeyPem } from './keys.ts';
import { readCertificates } from './pem.ts';
import { CertificateService, expiryGauges, type CertificateServiceOptions } from './service.ts';
import { ServingCertificate, type ServingMaterial } from './serving.ts';
import { testAuthority, testCa, testIdentity } from './testing/authority.ts';

const { certificates: definition } = loadServices(readFileSync(new URL('../../generated/services.binpb', import.meta.url)));
const tokenKey = generateKey('ec-p256').privateKey;
const serverName = 'istiod.istio-system.svc';
let csr = '';
let key = '';
beforeEach(() => {
  const folder = testFolder();
  writeFileSync(join(folder, 'empty.cnf'), '[req]\ndistinguished_name=dn\n[dn]\n');
  key = openssl(['ecparam', '-name', 'prime256v1', '-genkey', '-noout']);
  writeFileSync(join(folder, 'key.pem'), key);
  csr = openssl([
    'req',
    '-new',
    '-config',
    join(folder, 'empty.cnf'),
    '-key',
    join(folder, 'key.pem'),
    '-subj',
    '/',
    '-addext',
    'subjectAltName=URI:spiffe://cluster.local/ns/kube-system/sa/admin',
  ]);
});

/** grpc-js can demand a client certificate or ask for none; the port of the daemon leaves the choice to the client. */
function tlsCredentials(
  { certificateChain, privateKey, clientRoots }: ServingMaterial,
  demandClientCertificate: boolean,
): ServerCredentials {
  const pair = { cert_chain: Buffer.from(certificateChain), private_key: Buffer.from(privateKey) };
  return ServerCredentials.createSsl(Buffer.from(clientRoots), [pair], demandClientCertificate);
}

interface Call {
  readonly csr?: string;
  readonly validityDuration?: bigint;
  readonly metadata?: Record<string, string>;
}

async function setUp(options: Partial<CertificateServiceOptions> = {}, transport: 'tls' | 'mtls' | 'plaintext' = 'tls') {
  const ca = options.ca ?? testCa();
  const counts: Record<string, number> = {};
  const refused: string[] = [];
  const service = new CertificateService({
    authenticator: new Authenticator({
      trustDomain: 'cluster.local',
      reviewers: [new LocalTokenReviewer(tokenKey, { now: Date.now })],
      certificates: new CertificateVerifier({ roots: () => ca.bundle.roots, trustDomains: () => ca.bundle.trustDomains, now: Date.now }),
    }),
    now: Date.now,
    count: (counter) => (counts[counter] = (counts[counter] ?? 0) + 1),
    onRefused: (_, code, reason) => refused.push(`${status[code]}: ${reason}`),
    ...options,
    ca,
  });
  const serving = new ServingCertificate({ ca, names: [serverName] });
  serving.stop();
  const plaintext = transport === 'plaintext';
  const server = new Server();
  server.addService({ ...definition }, { ...service.implementation(!plaintext) });
  const serverCredentials = plaintext ? ServerCredentials.createInsecure() : tlsCredentials(serving.current, transport === 'mtls');
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', serverCredentials, (error, bound) => (error === null ? resolve(bound) : reject(error)));
  });
  onTestFinished(() => server.forceShutdown());
  const CertificateClient = makeGenericClientConstructor({ ...definition }, 'istio.v1.auth.IstioCertificateService');
  const call = async (
    authorization: string | undefined,
    request: Call = {},
    own?: { key: string; certificate: string },
  ): Promise<string[]> => {
    const channel = plaintext
      ? credentials.createInsecure()
      : credentials.createSsl(Buffer.from(ca.bundle.pem), own ? Buffer.from(own.key) : null, own ? Buffer.from(own.certificate) : null);
    const client: Client = new CertificateClient(`127.0.0.1:${port}`, channel, { 'grpc.ssl_target_name_override': serverName });
    const metadata = new Metadata();
    if (authorization !== undefined) metadata.set('authorization', authorization);
    const message = create(IstioCertificateRequestSchema, { csr, ...request });
    const { path, requestSerialize, responseDeserialize } = definition.CreateCertificate;
    try {
      return await new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          message,
          metadata,
          { deadline: Date.now() + 10_000 },
          (error: ServiceError | null, value?: IstioCertificateResponse) =>
            error === null ? resolve(value?.certChain ?? []) : reject(error),
        );
      });
    } finally {
      client.close();
    }
  };
  return { ca, call, counts, refused };
}

const token = async (request: { audience?: string } = {}): Promise<string> =>
  (await signToken(tokenKey, { namespace: 'shop', serviceAccount: 'reviews', ...request }, Date.now())).token;

describe('CreateCertificate', () => {
  it('answers with the leaf for what was proven, and all roots in the last element', async () => {
    const ca = testCa();
    ca.bundle.update(ca.authority.roots, testAuthority().roots);
    const { call, counts } = await setUp({ ca });
    for (const scheme of ['Bearer', 'Istio']) {
      const [leaf = '', roots = '', ...more] = await call(`${scheme} ${await token()}`, {
        validityDuration: 3600n,
        metadata: { CertSigner: '' },
      });
      expect(more).toEqual([]);
      const certificate = new X509Certificate(leaf);
      expect(certificate.subjectAltName).toBe('URI:spiffe://cluster.local/ns/shop/sa/reviews');
      expect(certificate.checkPrivateKey(parsePrivateKey(key, 'x'))).toBe(true);
      expect(Math.round((certificate.validToDate.getTime() - Date.now()) / 60_000)).toBe(60);
      expect(readCertificates(roots, 'x').map((root) => root.fingerprint256)).toEqual(ca.bundle.roots.map((root) => root.fingerprint256));
    }
    expect(counts).toEqual({ citadel_server_csr_count: 2, citadel_server_success_cert_issuance_count: 2 });
  });

  it('takes a certificate of ours in place of a token', async () => {
    const { ca, call } = await setUp({}, 'mtls');
    const { publicKey, privateKey } = generateKey('ec-p256');
    const certificate = ca.signWorkload({ ...testIdentity, serviceAccount: 'ratings' }, publicKey).leaf;
    const [leaf = ''] = await call(undefined, {}, { key: privateKeyPem(privateKey), certificate });
    expect(new X509Certificate(leaf).subjectAltName).toBe('URI:spiffe://cluster.local/ns/shop/sa/ratings');
  });

  it('refuses callers who prove nothing, tells them little and the log why', async () => {
    const { call, counts, refused } = await setUp();
    const failure = { code: status.UNAUTHENTICATED, details: 'request authentication failure' };
    await expect(call(undefined)).rejects.toMatchObject(failure);
    await expect(call('Basic x')).rejects.toMatchObject(failure);
    await expect(call(`Bearer ${await token({ audience: 'other' })}`)).rejects.toMatchObject(failure);
    expect(refused).toEqual([
      expect.stringMatching(/^UNAUTHENTICATED: 127\.0\.0\.1:\d+: neither a client certificate nor a bearer token/),
      expect.stringMatching(/neither a client certificate nor a bearer token/),
      expect.stringMatching(/its audience is not istio-ca$/),
    ]);
    expect(counts['citadel_server_authentication_failure_count']).toBe(3);
  });

  it('proves nothing over plaintext', async () => {
    const { call, refused } = await setUp({}, 'plaintext');
    await expect(call(`Bearer ${await token()}`)).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
    expect(refused).toEqual([expect.stringContaining('a plaintext connection proves no identity')]);
  });

  it.each([
    [
      'a life above the maximum',
      { validityDuration: 7_776_001n },
      status.INVALID_ARGUMENT,
      'validity_duration of 7776001 s is not between 1 s and the maximum of 7776000 s',
    ],
    ['a negative life', { validityDuration: -1n }, status.INVALID_ARGUMENT, 'validity_duration of -1 s'],
    ['no request', { csr: '' }, status.INVALID_ARGUMENT, 'certificate request must be exactly one PEM block'],
    ['a giant request', { csr: 'x'.repeat(20_000) }, status.INVALID_ARGUMENT, 'certificate request of 20000 bytes'],
    [
      'the identity of another',
      { metadata: { ImpersonatedIdentity: 'spiffe://cluster.local/ns/a/sa/b' } },
      status.PERMISSION_DENIED,
      'ImpersonatedIdentity',
    ],
    ['another signer', { metadata: { CertSigner: 'acme' } }, status.INVALID_ARGUMENT, 'there is no signer "acme" here'],
  ])('refuses %s', async (_, request, code, details) => {
    const { call } = await setUp();
    await expect(call(`Bearer ${await token()}`, request)).rejects.toMatchObject({ code, details: expect.stringContaining(details) });
  });

  it('limits the rate of a caller', async () => {
    const { call } = await setUp({ callerLimit: { burst: 1, perSecond: 0 } });
    const authorization = `Bearer ${await token()}`;
    await call(authorization);
    await expect(call(authorization)).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringContaining('sa/reviews'),
    });
  });

  it('limits the rate of an address that proves nothing', async () => {
    let asked = 0;
    const authenticator = {
      authenticate: () => {
        asked++;
        return Promise.resolve(refusal('signature', 'no'));
      },
    };
    const service = new CertificateService({ authenticator, ca: testCa(), now: () => 0 });
    const request = create(IstioCertificateRequestSchema, { csr });
    const codes = new Map<status, number>();
    for (let port = 1; port <= 600; port++) {
      const { code } = (await service
        .createCertificate(request, { peer: `10.0.0.1:${port}`, secure: true })
        .catch((error: ServiceError) => error)) as ServiceError;
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    expect([...codes]).toEqual([
      [status.UNAUTHENTICATED, 500],
      [status.RESOURCE_EXHAUSTED, 100],
    ]);
    expect(asked).toBe(500);
    await expect(service.createCertificate(request, { peer: '10.0.0.2:1', secure: true })).rejects.toMatchObject({
      code: status.UNAUTHENTICATED,
    });
  });

  it('hides the reason when signing fails', async () => {
    const ca = testCa({ now: () => Date.now() + 11 * 365 * 24 * 3600_000, authority: testAuthority() });
    const service = new CertificateService({
      authenticator: { authenticate: () => Promise.resolve({ ...testIdentity, spiffeId: 'x', via: 'token', expiresAt: new Date() }) },
      ca,
      now: Date.now,
    });
    const request = create(IstioCertificateRequestSchema, { csr });
    await expect(service.createCertificate(request, { peer: 'x', secure: true })).rejects.toMatchObject({
      code: status.INTERNAL,
      message: 'the certificate could not be signed',
      logged: expect.stringContaining('root-cert.pem expired at'),
    });
  });
});

describe('expiry gauges', () => {
  it('tell when root and chain end', () => {
    const ca = testCa();
    const end = ca.authority.notAfter.getTime();
    expect(expiryGauges(ca, end - 5_000)).toEqual({
      citadel_server_root_cert_expiry_timestamp: end / 1000,
      citadel_server_root_cert_expiry_seconds: 5,
      citadel_server_cert_chain_expiry_timestamp: end / 1000,
      citadel_server_cert_chain_expiry_seconds: 5,
    });
  });
});
