import { createPrivateKey } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { SecretSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { openssl } from '../identity/testing/openssl.ts';
import { testFolder } from '../identity/testing/folder.ts';
import { gatewaySecret, type CredentialResult, type SecretObject } from './credentials.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const now = Date.now() + 3600_000; // after the certificates that the tests make
const day = 24 * 3600_000;

function pair(...options: string[]): { certificate: string; key: string } {
  const folder = testFolder();
  writeFileSync(join(folder, 'empty.cnf'), '[req]\ndistinguished_name=dn\n[dn]\n');
  const keyOptions = options.length > 0 ? options : ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  const out = ['-keyout', join(folder, 'key.pem'), '-subj', '/CN=shop.example.com', '-days', '10', '-nodes'];
  const certificate = openssl(['req', '-x509', '-config', join(folder, 'empty.cnf'), '-newkey', ...keyOptions, ...out]).replace(
    /^[^-]*(?=-----BEGIN)/,
    '',
  );
  return { certificate, key: openssl(['pkey', '-in', join(folder, 'key.pem')]) };
}
const secret = (name: string, data: Record<string, string>): SecretObject => ({
  namespace: 'istio-system',
  name,
  spec: { data: Object.fromEntries(Object.entries(data).map(([key, text]) => [key, base64(text)])) },
});
const get = (resourceName: string, ...secrets: SecretObject[]): CredentialResult =>
  gatewaySecret(
    resourceName,
    (name, namespace) => secrets.find((s) => s.name === name && (namespace ?? 'istio-system') === s.namespace),
    now,
  );
const messages = (result: CredentialResult): string[] => result.problems.map((p) => `${p.severity} ${p.path} ${p.message}`);

function decode({ secret: resource }: CredentialResult) {
  const message = fromBinary(SecretSchema, resource?.bytes ?? new Uint8Array(0));
  const text = (source: { specifier: { value?: unknown } } | undefined): string =>
    Buffer.from((source?.specifier.value ?? '') as Uint8Array).toString();
  const { name, type } = message;
  if (type.case === 'tlsCertificate')
    return { name, chain: text(type.value.certificateChain), key: text(type.value.privateKey), staple: text(type.value.ocspStaple) };
  if (type.case === 'validationContext') return { name, ca: text(type.value.trustedCa), crl: text(type.value.crl) };
  throw new Error(`unexpected ${type.case}`);
}

describe('gateway credentials', () => {
  it('are a certificate and key of a Secret of type kubernetes.io/tls or a generic one', () => {
    const { certificate, key } = pair();
    const tls = get('kubernetes://shop-cert', secret('shop-cert', { 'tls.crt': certificate, 'tls.key': key, 'tls.ocsp-staple': 'staple' }));
    expect(tls.problems).toEqual([]);
    expect(decode(tls)).toEqual({ name: 'kubernetes://shop-cert', chain: certificate, key, staple: 'staple' });
    const generic = get('kubernetes://shop-cert', secret('shop-cert', { cert: certificate, key }));
    expect(decode(generic)).toEqual({ name: 'kubernetes://shop-cert', chain: certificate, key, staple: '' });
    expect(
      get('kubernetes://shop-cert', {
        namespace: 'istio-system',
        name: 'shop-cert',
        spec: { stringData: { 'tls.crt': certificate, 'tls.key': key } },
      }).problems,
    ).toEqual([]);
  });

  it('have a version that changes with their contents only', () => {
    const [one, two] = [pair(), pair()];
    const version = ({ certificate, key }: typeof one): string | undefined =>
      get('kubernetes://a', secret('a', { cert: certificate, key })).secret?.version;
    expect(version(one)).toBe(version({ ...one }));
    expect(version(one)).not.toBe(version(two));
  });

  it('of clients come from the Secret with the suffix, else from the Secret itself', () => {
    const [own, other] = [pair(), pair()];
    const main = secret('shop', { 'tls.crt': own.certificate, 'tls.key': own.key, 'ca.crt': own.certificate, 'ca.crl': 'crl' });
    expect(decode(get('kubernetes://shop-cacert', main))).toEqual({ name: 'kubernetes://shop-cacert', ca: own.certificate, crl: 'crl' });
    expect(decode(get('kubernetes://shop-cacert', main, secret('shop-cacert', { cacert: other.certificate })))).toMatchObject({
      ca: other.certificate,
    });
    expect(messages(get('kubernetes://shop-cacert', secret('shop', { cert: '', key: '' })))).toEqual([
      'error data Secret istio-system/shop has no ca.crt or cacert',
    ]);
  });

  it('may name a namespace', () => {
    const { certificate, key } = pair();
    const source = { ...secret('shop', { cert: certificate, key }), namespace: 'bank' };
    expect(get('kubernetes://bank/shop', source).secret?.name).toBe('kubernetes://bank/shop');
    expect(get('kubernetes://shop', source).problems).toMatchObject([{ reason: 'RefNotFound', severity: 'error' }]);
    for (const name of ['file:/x', 'kubernetes://', 'kubernetes://a/b/c', 'kubernetes:///a'])
      expect(get(name, source).problems).toMatchObject([{ reason: 'Invalid' }]);
  });

  it('with a key of another certificate are refused', () => {
    const result = get('kubernetes://shop', secret('shop', { 'tls.crt': pair().certificate, 'tls.key': pair().key }));
    expect(result.secret).toBeUndefined();
    expect(messages(result)).toEqual([
      'error data[tls.crt] Secret istio-system/shop: data[tls.crt]: the private key does not belong to the certificate',
    ]);
  });

  it('with broken parts are refused with every reason, and without a byte of the key', () => {
    const { key } = pair();
    const body = key.split('\n')[1] ?? '';
    const result = get('kubernetes://shop', secret('shop', { 'tls.crt': 'hello', 'tls.key': key.replace('MIG', 'MIX') }));
    expect(result.secret).toBeUndefined();
    expect(messages(result)).toEqual([
      expect.stringMatching(/^error data\[tls\.crt\] Secret istio-system\/shop: data\[tls\.crt\] holds no PEM certificate/),
      expect.stringMatching(/^error data\[tls\.key\] Secret istio-system\/shop: data\[tls\.key\] is not a readable private key/),
    ]);
    expect(JSON.stringify(result)).not.toContain(body.slice(4, 20));
    expect(messages(get('kubernetes://shop', secret('shop', {})))).toEqual([
      'error data Secret istio-system/shop has no tls.crt or cert',
      'error data Secret istio-system/shop has no tls.key or key',
    ]);
  });

  it('with a broken certificate anywhere in the chain are refused', () => {
    const { certificate, key } = pair();
    const broken = `${certificate}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`;
    expect(messages(get('kubernetes://shop', secret('shop', { cert: broken, key })))).toEqual([
      expect.stringContaining('certificate 2 is broken'),
    ]);
  });

  it('that Envoy would not take are refused: weak keys', () => {
    const { certificate, key } = pair('rsa:1024');
    expect(createPrivateKey(key).asymmetricKeyDetails?.modulusLength).toBe(1024);
    expect(messages(get('kubernetes://shop', secret('shop', { cert: certificate, key })))).toEqual([
      expect.stringContaining('RSA key of 1024 bits'),
      expect.stringContaining('RSA key of 1024 bits'),
    ]);
  });

  it('out of their time are served with a warning', () => {
    const { certificate, key } = pair();
    const source = secret('shop', { cert: certificate, key });
    for (const [at, text] of [
      [now + 11 * day, 'the certificate expired at'],
      [now - day, 'the certificate is not valid before'],
    ] as const) {
      const result = gatewaySecret('kubernetes://shop', () => source, at);
      expect(result.secret).toBeDefined();
      expect(messages(result)).toEqual([
        expect.stringMatching(`^warning data\\[cert\\] Secret istio-system/shop: data\\[cert\\]: ${text}`),
      ]);
    }
  });
});
