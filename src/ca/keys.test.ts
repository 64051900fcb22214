import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { openssl } from '../identity/testing/openssl.ts';
import { parsePrivateKey, weaknessOf } from './keys.ts';

const ec = openssl(['ecparam', '-name', 'prime256v1', '-genkey']); // parameters, then SEC1
const rsa = openssl(['genrsa', '2048']).replace(/^[^-]*(?=-----BEGIN)/, '');

describe('private keys', () => {
  it.each([
    ['SEC1 with parameters', 'ec', ec],
    ['SEC1', 'ec', openssl(['ec'], ec).replace('read EC key\nwriting EC key\n', '')],
    ['PKCS#8 (EC)', 'ec', openssl(['pkcs8', '-topk8', '-nocrypt'], ec)],
    ['PKCS#8 (RSA)', 'rsa', openssl(['pkcs8', '-topk8', '-nocrypt'], rsa)],
    ['PKCS#1', 'rsa', openssl(['rsa', '-traditional'], rsa).replace('writing RSA key\n', '')],
  ])('are read as %s', (_, type, pem) => {
    expect(parsePrivateKey(pem, 'x').asymmetricKeyType).toBe(type);
  });

  it('are really in the forms that the test above names', () => {
    expect(ec).toContain('BEGIN EC PARAMETERS');
    expect(openssl(['rsa', '-traditional'], rsa)).toContain('BEGIN RSA PRIVATE KEY');
    expect(openssl(['pkcs8', '-topk8', '-nocrypt'], rsa)).toContain('BEGIN PRIVATE KEY');
  });

  it.each([
    ['an encrypted key', openssl(['pkcs8', '-topk8', '-passout', 'pass:secret'], ec), /my\.pem is encrypted/],
    ['no key', 'hello', /my\.pem holds no PEM private key/],
    ['a broken key', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n', /my\.pem is not a readable private key/],
    ['a weak RSA key', openssl(['genrsa', '1024']), /my\.pem: RSA key of 1024 bits, at least 2048/],
    ['Ed25519', openssl(['genpkey', '-algorithm', 'ed25519']), /my\.pem: key of type ed25519/],
    ['another curve', openssl(['ecparam', '-name', 'secp256k1', '-genkey']), /my\.pem: EC key on secp256k1/],
  ])('refuse %s, naming the file', (_, pem, message) => {
    expect(() => parsePrivateKey(pem, 'my.pem')).toThrow(message);
  });

  it('never show their contents in an error', () => {
    const lines = ec.split('\n').filter((line) => line.length === 64);
    const broken = ec.replace(lines[0] ?? '', `AAAA${lines[0]?.slice(4)}`);
    expect(lines.length).toBeGreaterThan(0);
    let message = '';
    try {
      parsePrivateKey(broken, 'x');
    } catch (error) {
      message = String(error);
    }
    expect(message).toContain('x is not a readable private key');
    for (const line of lines) expect(message).not.toContain(line.slice(0, 16));
  });

  it('are strong enough from RSA 2048 and on the NIST curves', () => {
    for (const namedCurve of ['P-256', 'P-384', 'P-521']) {
      expect(weaknessOf(generateKeyPairSync('ec', { namedCurve }).publicKey)).toBeUndefined();
    }
    expect(weaknessOf(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey)).toBeUndefined();
  });
});
