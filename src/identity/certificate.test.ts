import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tmpdir } from 'node:os';
import { CertificateVerifier } from './certificate.ts';
import { isRefusal } from './proof.ts';
import { openssl } from './testing/openssl.ts';

/** Certificates made by openssl, so that nothing here depends on our own CA. */
let folder = '';
const file = (name: string): string => join(folder, name);
const read = (name: string): X509Certificate => new X509Certificate(readFileSync(file(`${name}.pem`)));

function make(name: string, extensions: readonly string[], issuer?: string): void {
  const ca = issuer === undefined ? [] : ['-CA', file(`${issuer}.pem`), '-CAkey', file(`${issuer}.key`)];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file(`${name}.key`)];
  const subject = ['-subj', `/O=${name}`, '-days', '30', '-out', file(`${name}.pem`)];
  const added = extensions.flatMap((extension) => ['-addext', extension]);
  openssl(['req', '-x509', '-config', file('empty.cnf'), ...key, ...subject, ...ca, ...added]);
}

const caExtensions = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign'];
const leaf = (san: string): string[] => [
  'basicConstraints=critical,CA:FALSE',
  'extendedKeyUsage=serverAuth,clientAuth',
  `subjectAltName=critical,${san}`,
];
const uri = 'spiffe://cluster.local/ns/shop/sa/reviews';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mizzen-test-'));
  writeFileSync(file('empty.cnf'), '[req]\ndistinguished_name=dn\n[dn]\n');
  make('root', caExtensions);
  make('foreign', caExtensions);
  make('intermediate', caExtensions, 'root');
  make('good', leaf(`URI:${uri}`), 'root');
  make('deep', leaf(`URI:${uri}`), 'intermediate');
  make('stranger', leaf(`URI:${uri}`), 'foreign');
  make('alone', leaf(`URI:${uri}`));
  make('two', leaf(`URI:${uri},URI:spiffe://cluster.local/ns/shop/sa/admin`), 'root');
  make('none', leaf('DNS:reviews.shop'), 'root');
  make('odd', leaf('URI:spiffe://cluster.local/reviews'), 'root');
  make('domain', leaf('URI:spiffe://other.example/ns/shop/sa/reviews'), 'root');
  make('server', ['basicConstraints=critical,CA:FALSE', 'extendedKeyUsage=serverAuth', `subjectAltName=critical,URI:${uri}`], 'root');
  make('any', ['basicConstraints=critical,CA:FALSE', `subjectAltName=critical,URI:${uri}`], 'root');
  make('minted', ['basicConstraints=critical,CA:FALSE', `subjectAltName=critical,URI:${uri}`, 'extendedKeyUsage=clientAuth'], 'good');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const day = 24 * 3600_000;
function verify(names: readonly string[], options: { at?: number; domains?: string[]; intermediates?: string[] } = {}) {
  const verifier = new CertificateVerifier({
    roots: () => [read('root')],
    intermediates: () => (options.intermediates ?? []).map(read),
    trustDomains: () => options.domains ?? ['cluster.local'],
    now: () => Date.now() + (options.at ?? 0),
  });
  return verifier.verify(names.map((name) => read(name).raw));
}
const reason = (...args: Parameters<typeof verify>): string => {
  const result = verify(...args);
  return isRefusal(result) ? result.reason : 'accepted';
};

describe('client certificates', () => {
  it('prove the SPIFFE id in their SAN', () => {
    expect(verify(['good'])).toEqual({
      trustDomain: 'cluster.local',
      namespace: 'shop',
      serviceAccount: 'reviews',
      spiffeId: uri,
      via: 'certificate',
      expiresAt: read('good').validToDate,
    });
  });

  it('are accepted over an intermediate that came along or that we know', () => {
    expect(reason(['deep'])).toBe('untrusted');
    expect(reason(['deep', 'intermediate'])).toBe('accepted');
    expect(reason(['deep'], { intermediates: ['intermediate'] })).toBe('accepted');
  });

  it('of another root, of none, or minted by a workload are refused', () => {
    expect(reason(['stranger'])).toBe('untrusted');
    expect(reason(['stranger', 'foreign'])).toBe('untrusted');
    expect(reason(['alone'])).toBe('untrusted');
    expect(reason(['minted', 'good'])).toBe('untrusted');
  });

  it('are refused before and after their time', () => {
    expect(reason(['good'], { at: -day })).toBe('not-yet-valid');
    expect(reason(['good'], { at: 31 * day })).toBe('expired');
  });

  it('are refused when they are not for clients, or are those of an authority', () => {
    expect(reason(['server'])).toBe('usage');
    expect(reason(['any'])).toBe('usage');
    expect(reason(['intermediate'])).toBe('usage');
  });

  it('need exactly one SPIFFE id in Kubernetes form', () => {
    expect(verify(['two'])).toMatchObject({ reason: 'claim', refused: expect.stringContaining('has 2 URI SANs') });
    expect(verify(['none'])).toMatchObject({ reason: 'claim', refused: expect.stringContaining('has 0 URI SANs') });
    expect(reason(['odd'])).toBe('claim');
  });

  it('of a foreign trust domain are refused even under our root, unless it is an alias', () => {
    expect(reason(['domain'])).toBe('trust-domain');
    expect(reason(['domain'], { domains: ['cluster.local', 'other.example'] })).toBe('accepted');
  });

  it('that are none are refused, not thrown', () => {
    const verifier = new CertificateVerifier({ roots: () => [], trustDomains: () => ['cluster.local'], now: Date.now });
    expect(verifier.verify([])).toMatchObject({ reason: 'no-credentials' });
    expect(verifier.verify([Buffer.from('nonsense')])).toMatchObject({ reason: 'malformed' });
    expect(verifier.verify([Buffer.alloc(100_000)])).toMatchObject({ reason: 'malformed' });
    expect(verifier.verify(Array.from({ length: 50 }, () => read('good').raw))).toMatchObject({ reason: 'malformed' });
  });
});
