import { X509Certificate, createHash, generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { testFolder } from '../identity/testing/folder.ts';
import { openssl } from '../identity/testing/openssl.ts';
import { selfSignedRoot, type Authority } from './authority.ts';
import { issuerFields } from './certificate.ts';
import { generateKey } from './keys.ts';
import { certificatePem, toPem } from './pem.ts';
import { newSerial } from './serial.ts';
import { FakeClock } from './testing/clock.ts';
import { testAuthority, testCa, testIdentity } from './testing/authority.ts';

const { publicKey } = generateKey('ec-p256');
const uri = 'spiffe://cluster.local/ns/shop/sa/reviews';
const hour = 3600_000;

/** openssl's own verdict over the whole chain, by the strict rules of RFC 5280. */
function opensslVerify(authority: Authority, leaf: string, ...options: string[]): string {
  const folder = testFolder();
  writeFileSync(join(folder, 'roots.pem'), authority.roots.map(certificatePem).join(''));
  writeFileSync(join(folder, 'leaf.pem'), leaf);
  return openssl(['verify', '-x509_strict', '-check_ss_sig', '-CAfile', join(folder, 'roots.pem'), ...options, join(folder, 'leaf.pem')]);
}

describe('workload certificates', () => {
  it('are what openssl accepts for clients and servers, and hold what Envoy needs', () => {
    const ca = testCa();
    const { leaf } = ca.signWorkload(testIdentity, publicKey);
    for (const purpose of ['sslclient', 'sslserver'])
      expect(opensslVerify(ca.authority, leaf, '-purpose', purpose)).toContain('leaf.pem: OK');
    const text = openssl(['x509', '-noout', '-text'], leaf);
    expect(text).toMatch(/X509v3 Subject Alternative Name: critical\s+URI:spiffe:\/\/cluster\.local\/ns\/shop\/sa\/reviews\n/);
    expect(text).toMatch(/Subject: \n/);
    expect(text).toMatch(/X509v3 Key Usage: critical\s+Digital Signature\n/);
    expect(text).toMatch(/X509v3 Extended Key Usage: \s+TLS Web Server Authentication, TLS Web Client Authentication\n/);
    expect(text).toMatch(/X509v3 Basic Constraints: critical\s+CA:FALSE\n/);
    expect(text).toContain('Version: 3 (0x2)');
    const key = /Subject Key Identifier: \s+([0-9A-F:]+)/.exec(
      openssl(['x509', '-noout', '-text'], certificatePem(ca.authority.certificate)),
    )?.[1];
    expect(key).toMatch(/^[0-9A-F:]{59}$/);
    expect(/Authority Key Identifier: \s+([0-9A-F:]+)/.exec(text)?.[1]).toBe(key);
    expect(text).toMatch(/X509v3 Subject Key Identifier: \s+[0-9A-F:]{59}\n/);
  });

  it('are for RSA keys too, which may encipher keys', () => {
    const ca = testCa();
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const { leaf } = ca.signWorkload(testIdentity, rsa.publicKey);
    expect(opensslVerify(ca.authority, leaf, '-purpose', 'sslserver')).toContain('OK');
    expect(openssl(['x509', '-noout', '-text'], leaf)).toMatch(/X509v3 Key Usage: critical\s+Digital Signature, Key Encipherment\n/);
  });

  it('have the id as common name only when asked for and at most 64 characters long', () => {
    const ca = testCa();
    const subject = (serviceAccount: string, commonName: boolean): string =>
      new X509Certificate(ca.signWorkload({ ...testIdentity, serviceAccount }, publicKey, { commonName }).leaf).subject ?? '';
    expect(subject('reviews', true)).toBe(`CN=${uri}`);
    expect(subject('reviews', false)).toBe('');
    const longest = 64 - 'spiffe://cluster.local/ns/shop/sa/'.length;
    expect(subject('a'.repeat(longest), true)).toHaveLength('CN='.length + 64);
    expect(subject('a'.repeat(longest + 1), true)).toBe('');
  });

  it('begin two minutes back, and end with their life or with the signer', () => {
    const clock = new FakeClock();
    const ca = testCa({ now: () => clock.now() });
    const day = new X509Certificate(ca.signWorkload(testIdentity, publicKey).leaf);
    expect(day.validFromDate).toEqual(new Date('2025-12-31T23:58:00Z'));
    expect(day.validToDate).toEqual(new Date('2026-01-02T00:00:00Z'));
    expect(ca.signWorkload(testIdentity, publicKey, { ttlMs: 20_000 }).notAfter).toEqual(new Date('2026-01-01T00:00:20Z'));
    clock.advance(ca.authority.notAfter.getTime() - clock.now() - hour);
    const signed = ca.signWorkload(testIdentity, publicKey);
    expect(signed.notAfter).toEqual(ca.authority.notAfter);
    expect(new X509Certificate(signed.leaf).validToDate).toEqual(ca.authority.certificate.validToDate);
    clock.advance(hour);
    expect(() => ca.signWorkload(testIdentity, publicKey)).toThrow(/root-cert\.pem expired at/);
  });

  it('are refused for a life above the maximum rather than shortened', () => {
    const ca = testCa({ maxTtlMs: 48 * hour });
    expect(ca.signWorkload(testIdentity, publicKey, { ttlMs: 48 * hour }).leaf).toContain('BEGIN CERTIFICATE');
    for (const ttlMs of [48 * hour + 1, 999, 0, -1, Number.NaN]) {
      expect(() => ca.signWorkload(testIdentity, publicKey, { ttlMs })).toThrow(/certificate life of .* s is (above|below)/);
    }
    expect(() => testCa({ defaultTtlMs: 2 * hour, maxTtlMs: hour })).toThrow(/default certificate life/);
  });

  it('are refused for weak keys and impossible names', () => {
    const ca = testCa();
    expect(() => ca.signWorkload(testIdentity, generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey)).toThrow(
      /RSA key of 1024 bits/,
    );
    expect(() => ca.signWorkload(testIdentity, generateKeyPairSync('ed25519').publicKey)).toThrow(/ed25519/);
    expect(() => ca.signWorkload({ ...testIdentity, namespace: 'a/b' }, publicKey)).toThrow(/namespace "a\/b"/);
  });

  it('have serial numbers that are positive and without padding, all different', () => {
    const ca = testCa();
    const serials = new Set<string>();
    for (let i = 0; i < 3_000; i++) {
      const { leaf, serial } = ca.signWorkload(testIdentity, publicKey);
      const der = new X509Certificate(leaf).raw;
      // SEQUENCE, SEQUENCE, [0] version: the INTEGER of the serial number stands at a fixed place behind them.
      const at = der.indexOf(Buffer.from('a003020102', 'hex')) + 5;
      expect([der[at], der[at + 1]]).toEqual([0x02, 16]);
      const first = der[at + 2] ?? 0;
      expect(first).toBeGreaterThanOrEqual(0x40);
      expect(first).toBeLessThanOrEqual(0x7f);
      expect(serial).toBe(
        der
          .subarray(at + 2, at + 18)
          .toString('hex')
          .toUpperCase(),
      );
      serials.add(serial);
    }
    expect(serials.size).toBe(3_000);
    const [example = ''] = serials;
    expect(BigInt(`0x${example}`) > 0n).toBe(true);
  });

  it('keep the form of serial numbers for all random bytes', () => {
    for (let byte = 0; byte < 256; byte++) {
      const [first = 0] = newSerial((size) => new Uint8Array(size).fill(byte));
      expect(first >= 0x40 && first <= 0x7f).toBe(true);
    }
  });
});

describe('serving certificates', () => {
  it('are valid for each name and address, and for no other', () => {
    const ca = testCa();
    const { leaf } = ca.signServing(['istiod.istio-system.svc', '127.0.0.1', '::1'], publicKey);
    expect(opensslVerify(ca.authority, leaf, '-purpose', 'sslserver', '-verify_hostname', 'istiod.istio-system.svc')).toContain('OK');
    expect(opensslVerify(ca.authority, leaf, '-verify_ip', '127.0.0.1')).toContain('OK');
    expect(opensslVerify(ca.authority, leaf, '-verify_ip', '::1')).toContain('OK');
    expect(() => opensslVerify(ca.authority, leaf, '-verify_hostname', 'other.svc')).toThrow(/hostname mismatch/i);
    expect(() => ca.signServing([], publicKey)).toThrow(/at least one name/);
    expect(() => ca.signServing(['a b'], publicKey)).toThrow('"a b" is neither a DNS name nor an IP address');
  });
});

describe('two roots', () => {
  it('of one subject are told apart by their key identifiers', () => {
    const [a, b] = [generateKey('ec-p256').privateKey, generateKey('ec-p256').privateKey].map((key) =>
      selfSignedRoot(key, 'cluster.local', Date.now()),
    );
    const fields = [a, b].map((der) => issuerFields(new X509Certificate(der ?? Buffer.alloc(0))));
    expect(fields[0]?.keyIdentifier).not.toEqual(fields[1]?.keyIdentifier);
    expect(fields[0]?.name).not.toEqual(fields[1]?.name);
  });

  it('change hands only after the new one is trusted', () => {
    const ca = testCa();
    const next = testAuthority();
    const changes: string[] = [];
    const end = ca.onAuthorityChange(() => changes.push(ca.authority.generation));
    expect(() => ca.use(next)).toThrow(/its root is not in the trust bundle yet/);
    const old = ca.authority.roots;
    ca.bundle.update(old, next.roots);
    ca.use(next);
    ca.use(next);
    expect(changes).toEqual([createHash('sha256').update(next.certificate.raw).digest('hex').slice(0, 12)]);
    expect(opensslVerify(next, ca.signWorkload(testIdentity, publicKey).leaf)).toContain('OK');
    end();
  });
});

describe('signing keys', () => {
  it.each(['rsa-2048', 'ec-p384'] as const)('may be %s', async (type) => {
    const { privateKey } = await generateKey(type);
    const root = toPem('CERTIFICATE', selfSignedRoot(privateKey, 'cluster.local', Date.now()));
    const certificate = new X509Certificate(root);
    const authority: Authority = {
      ...testAuthority(),
      certificate,
      roots: [certificate],
      issuer: {
        name: issuerFields(certificate).name,
        keyIdentifier: issuerFields(certificate).keyIdentifier ?? Buffer.alloc(0),
        key: privateKey,
      },
    };
    expect(opensslVerify(authority, testCa({ authority }).signWorkload(testIdentity, publicKey).leaf)).toContain('OK');
  });
});
