import { X509Certificate, createPublicKey } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CredentialFault } from '../identity/fault.ts';
import { testFolder } from '../identity/testing/folder.ts';
import { openssl } from '../identity/testing/openssl.ts';
import { maxRequestBytes, parseSigningRequest } from './csr.ts';
import { pemBlocks, toPem } from './pem.ts';

function request(key: string, subject: string, ...options: string[]): string {
  const folder = testFolder();
  writeFileSync(join(folder, 'empty.cnf'), '[req]\ndistinguished_name=dn\n[dn]\n');
  writeFileSync(join(folder, 'key.pem'), key);
  return openssl(['req', '-new', '-config', join(folder, 'empty.cnf'), '-key', join(folder, 'key.pem'), '-subj', subject, ...options]);
}
const ecKey = (curve = 'prime256v1'): string => openssl(['ecparam', '-name', curve, '-genkey', '-noout']);
const rsaKey = (bits: number): string => openssl(['genrsa', String(bits)]).replace(/^[^-]*(?=-----BEGIN)/, '');

describe('certificate signing requests', () => {
  it('give their key and nothing of their names', () => {
    const key = ecKey();
    const parsed = parseSigningRequest(request(key, '/', '-addext', 'subjectAltName=URI:spiffe://cluster.local/ns/kube-system/sa/admin'));
    expect(Object.keys(parsed).sort()).toEqual(['hasCommonName', 'publicKey']);
    expect(parsed.publicKey.equals(createPublicKey(key))).toBe(true);
    expect(parsed.hasCommonName).toBe(false);
    expect(parseSigningRequest(request(key, '/O=a/CN=b')).hasCommonName).toBe(true);
    expect(parseSigningRequest(request(key, '/O=a/OU=b')).hasCommonName).toBe(false);
  });

  it.each([
    ['RSA 2048', rsaKey(2048), []],
    ['RSA 3072 with SHA-512', rsaKey(3072), ['-sha512']],
    ['P-384', ecKey('secp384r1'), ['-sha384']],
    ['P-521', ecKey('secp521r1'), ['-sha512']],
  ])('are taken with %s', (_, key, options) => {
    expect(parseSigningRequest(request(key, '/', ...options)).publicKey.equals(createPublicKey(key))).toBe(true);
  });

  it.each([
    ['RSA 1024', rsaKey(1024), [], 'RSA key of 1024 bits, at least 2048 are needed'],
    ['secp256k1', ecKey('secp256k1'), [], 'EC key on secp256k1, only P-256, P-384, P-521 are taken'],
    ['Ed25519', openssl(['genpkey', '-algorithm', 'ed25519']), [], 'key of type ed25519, only RSA and EC are taken'],
    ['SHA-1', ecKey(), ['-sha1'], 'signature algorithm 1.2.840.10045.4.1 is not taken'],
    ['RSA-PSS', rsaKey(2048), ['-sigopt', 'rsa_padding_mode:pss'], 'signature algorithm 1.2.840.113549.1.1.10 is not taken'],
  ])('are refused with %s', (_, key, options, message) => {
    expect(() => parseSigningRequest(request(key, '/', ...options))).toThrow(message);
  });

  it('are refused when another key has signed them', () => {
    const [mine = Buffer.alloc(0)] = pemBlocks(request(ecKey(), '/'), 'CERTIFICATE REQUEST');
    const stolen = createPublicKey(ecKey()).export({ type: 'spki', format: 'der' });
    const own = parseSigningRequest(toPem('CERTIFICATE REQUEST', mine)).publicKey.export({ type: 'spki', format: 'der' });
    const at = mine.indexOf(own);
    expect(at).toBeGreaterThan(0);
    stolen.copy(mine, at);
    expect(() => parseSigningRequest(toPem('CERTIFICATE REQUEST', mine))).toThrow('certificate request is not signed by its own key');
  });

  it('are refused when they are too large, none, several, or have something behind them', () => {
    const good = request(ecKey(), '/');
    expect(() => parseSigningRequest(' '.repeat(maxRequestBytes + 1))).toThrow(`at most ${maxRequestBytes} are read`);
    expect(() => parseSigningRequest('')).toThrow('found 0');
    expect(() => parseSigningRequest(good + good)).toThrow('found 2');
    const [der = Buffer.alloc(0)] = pemBlocks(good, 'CERTIFICATE REQUEST');
    expect(() => parseSigningRequest(toPem('CERTIFICATE REQUEST', Buffer.concat([der, Buffer.from([0])])))).toThrow('1 bytes too many');
    const certificate = openssl([
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      '/dev/null',
      '-subj',
      '/CN=x',
    ]);
    const { raw } = new X509Certificate(certificate);
    expect(() => parseSigningRequest(toPem('CERTIFICATE REQUEST', raw))).toThrow(/malformed/);
  });

  it('throw only CredentialFaults for 10,000 random mutations, and never accept a changed one', () => {
    const originals = [request(ecKey(), '/O=a/CN=b', '-addext', 'subjectAltName=DNS:a'), request(rsaKey(2048), '/')].map(
      (pem) => pemBlocks(pem, 'CERTIFICATE REQUEST')[0] ?? Buffer.alloc(0),
    );
    let seed = 1;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
      return (seed >>> 8) % below;
    };
    const accepted: string[] = [];
    const foreign: unknown[] = [];
    for (let i = 0; i < 10_000; i++) {
      const original = originals[i % originals.length] ?? Buffer.alloc(0);
      const mutated = mutate(original, random);
      if (mutated.equals(original)) continue;
      try {
        parseSigningRequest(toPem('CERTIFICATE REQUEST', mutated));
        accepted.push(mutated.toString('hex'));
      } catch (error) {
        if (!(error instanceof CredentialFault)) foreign.push(error);
      }
    }
    expect(accepted).toEqual([]);
    expect(foreign).toEqual([]);
  });
});

/** One to four changes: a byte set, bytes cut out, doubled or put in, the end cut off. */
function mutate(original: Buffer, random: (below: number) => number): Buffer {
  let bytes = Buffer.from(original);
  for (let changes = 1 + random(4); changes > 0; changes--) {
    const at = random(bytes.length + 1);
    const size = random(16);
    const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
    switch (random(5)) {
      case 0:
        if (at < bytes.length) bytes.writeUInt8(random(256), at);
        break;
      case 1:
        bytes = Buffer.concat([head, tail.subarray(size)]);
        break;
      case 2:
        bytes = Buffer.concat([head, tail.subarray(0, size), tail]);
        break;
      case 3:
        bytes = Buffer.concat([head, Buffer.from(Array.from({ length: size }, () => random(256))), tail]);
        break;
      default:
        bytes = Buffer.from(head);
    }
  }
  return bytes;
}
