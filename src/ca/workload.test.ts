import { createPrivateKey, type X509Certificate } from 'node:crypto';
import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it, vi } from 'vitest';
import { SecretSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import type { EncodedResource } from '../wire/resource.ts';
import { readCertificates } from './pem.ts';
import { FakeClock } from './testing/clock.ts';
import { testAuthority, testCa, testIdentity } from './testing/authority.ts';
import { signerOfVersion, WorkloadCertificates, type WorkloadCertificatesOptions } from './workload.ts';

const second = 1_000;

function setUp(options: Partial<WorkloadCertificatesOptions> = {}) {
  const clock = new FakeClock();
  const ca = testCa({ now: () => clock.now() });
  const issued: string[] = [];
  const certificates = new WorkloadCertificates({
    ca,
    clock,
    random: () => 0,
    ttlMs: 20 * second,
    onIssued: (spiffeId) => issued.push(spiffeId),
    ...options,
  });
  return { clock, ca, certificates, issued };
}

function decodeOwn(resource: EncodedResource | undefined): { certificate: X509Certificate; key: string; name: string } {
  const secret = fromBinary(SecretSchema, resource?.bytes ?? new Uint8Array(0));
  if (secret.type.case !== 'tlsCertificate') throw new Error(`not a tls_certificate: ${secret.type.case}`);
  const text = (value: unknown): string => Buffer.from(value as Uint8Array).toString();
  const { certificateChain, privateKey } = secret.type.value;
  return {
    name: secret.name,
    certificate: readCertificates(text(certificateChain?.specifier.value), 'x')[0],
    key: text(privateKey?.specifier.value),
  };
}

describe('the secret "default"', () => {
  it('is a certificate of the identity with its key', () => {
    const { certificates, ca } = setUp();
    const handle = certificates.acquire(testIdentity, () => {});
    const resource = handle.secret();
    const { name, certificate, key } = decodeOwn(resource);
    expect([name, resource?.name]).toEqual(['default', 'default']);
    expect(certificate.subjectAltName).toBe('URI:spiffe://cluster.local/ns/shop/sa/reviews');
    expect(certificate.checkPrivateKey(createPrivateKey(key))).toBe(true);
    expect(certificate.verify(ca.authority.certificate.publicKey)).toBe(true);
    expect(resource?.version).toBe(`${certificate.serialNumber}.${certificate.validToDate.getTime() / 1000}.${ca.authority.generation}`);
  });

  it('is one for all streams of an identity, and another for another identity', () => {
    const { certificates, issued } = setUp();
    const one = certificates.acquire(testIdentity, () => {});
    const two = certificates.acquire({ ...testIdentity }, () => {});
    const other = certificates.acquire({ ...testIdentity, serviceAccount: 'ratings' }, () => {});
    expect(two.secret()).toBe(one.secret());
    expect(other.secret()?.version).not.toBe(one.secret()?.version);
    expect(issued).toEqual(['spiffe://cluster.local/ns/shop/sa/reviews', 'spiffe://cluster.local/ns/shop/sa/ratings']);
  });

  it('is renewed at half of its life, and every stream is told', () => {
    const { certificates, clock } = setUp();
    const changes: string[] = [];
    const one = certificates.acquire(testIdentity, () => changes.push('one'));
    certificates.acquire(testIdentity, () => changes.push('two'));
    const before = one.secret()?.version;
    clock.advance(10 * second);
    expect(changes).toEqual(['one', 'two']);
    expect(one.secret()?.version).not.toBe(before);
    one.release();
    one.release();
    clock.advance(10 * second);
    expect(changes).toEqual(['one', 'two', 'two']);
  });

  it('outlives its last stream a little, so that a reconnect issues nothing', () => {
    const { certificates, clock, issued } = setUp({ lingerMs: 5 * second });
    const first = certificates.acquire(testIdentity, () => {});
    const version = first.secret()?.version;
    first.release();
    clock.advance(4 * second);
    const again = certificates.acquire(testIdentity, () => {});
    expect(again.secret()?.version).toBe(version);
    expect(issued).toHaveLength(1);
    clock.advance(4 * second);
    expect(certificates.size).toBe(1);
    again.release();
    clock.advance(5 * second);
    expect(certificates.size).toBe(0);
    expect(clock.timers).toBe(0);
  });

  it('stays while the authority cannot sign, and the failure is told with the identity', () => {
    const errors: string[] = [];
    const { certificates, clock, ca } = setUp({ onError: (spiffeId, error) => errors.push(`${spiffeId}: ${(error as Error).message}`) });
    const handle = certificates.acquire(testIdentity, () => {});
    const version = handle.secret()?.version;
    const broken = vi.spyOn(ca, 'signWorkload').mockImplementation(() => {
      throw new Error('no signer');
    });
    clock.advance(12 * second);
    expect(handle.secret()?.version).toBe(version);
    expect(errors[0]).toBe('spiffe://cluster.local/ns/shop/sa/reviews: no signer');
    broken.mockRestore();
    clock.advance(5 * second);
    expect(handle.secret()?.version).not.toBe(version);
  });

  it('may have an RSA key, which comes a little later', async () => {
    const { certificates } = setUp({ keyType: 'rsa-2048' });
    const changed = Promise.withResolvers<void>();
    const handle = certificates.acquire(testIdentity, changed.resolve);
    expect(handle.secret()).toBeUndefined();
    await changed.promise;
    expect(decodeOwn(handle.secret()).certificate.publicKey.asymmetricKeyType).toBe('rsa');
    certificates.stop();
  });

  it('names its signer in the version, and nothing else is taken for one', () => {
    const { certificates, ca } = setUp();
    const version = certificates.acquire(testIdentity, () => {}).secret()?.version ?? '';
    expect(signerOfVersion(version)).toBe(ca.authority.generation);
    for (const nonsense of ['', '1.2', `${version}x`, `x${version}`]) expect(signerOfVersion(nonsense)).toBeUndefined();
  });

  it('is issued anew on another replica: a private key stays where it was made', () => {
    const { certificates, clock, ca, issued } = setUp();
    const version = certificates.acquire(testIdentity, () => {}).secret()?.version;
    const replica = new WorkloadCertificates({ ca, clock, ttlMs: 20 * second, onIssued: (spiffeId) => issued.push(spiffeId) });
    expect(replica.acquire(testIdentity, () => {}).secret()?.version).not.toBe(version);
    expect(issued).toHaveLength(2);
    replica.stop();
  });
});

describe('the secret "ROOTCA"', () => {
  const rootsOf = (resource: EncodedResource): string[] => {
    const secret = fromBinary(SecretSchema, resource.bytes);
    if (secret.type.case !== 'validationContext') throw new Error(`not a validation_context: ${secret.type.case}`);
    const pem = Buffer.from(secret.type.value.trustedCa?.specifier.value as Uint8Array).toString();
    return readCertificates(pem, 'x').map((certificate) => certificate.fingerprint256);
  };

  it('holds all roots; a staged one changes it and issues nothing, a new signer renews every certificate', () => {
    const { certificates, ca, clock, issued } = setUp({ ttlMs: 24 * 3600 * second });
    const handle = certificates.acquire(testIdentity, () => {});
    const next = testAuthority(clock.now());
    const old = ca.authority;
    const seen: string[] = [];
    certificates.onRootsChange(() => seen.push(certificates.roots().version));
    const before = certificates.roots();
    expect(before.name).toBe('ROOTCA');
    expect(rootsOf(before)).toEqual([old.certificate.fingerprint256]);
    ca.bundle.update(old.roots, next.roots);
    ca.bundle.update(old.roots, next.roots);
    expect(seen).toEqual([certificates.roots().version]);
    expect(rootsOf(certificates.roots()).sort()).toEqual([old.certificate.fingerprint256, next.certificate.fingerprint256].sort());
    clock.advance(60 * second);
    expect(issued).toHaveLength(1);
    ca.use(next);
    clock.advance(30 * second);
    expect(issued).toHaveLength(2);
    expect(decodeOwn(handle.secret()).certificate.verify(next.certificate.publicKey)).toBe(true);
    expect(handle.secret()?.version).toMatch(new RegExp(`\\.${next.generation}$`));
  });
});
