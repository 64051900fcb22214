import { X509Certificate, createPublicKey } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { testFolder } from '../identity/testing/folder.ts';
import { openssl } from '../identity/testing/openssl.ts';
import { loadPluggedAuthority, loadSelfSignedAuthority } from './authority.ts';
import { generateKey } from './keys.ts';
import { testCa, testIdentity } from './testing/authority.ts';

const day = 24 * 3600_000;

describe('the self-signed root', () => {
  it('is made once for ten years, and loaded again', () => {
    const state = testFolder();
    const now = Date.now();
    const first = loadSelfSignedAuthority(state, 'cluster.local', now);
    const again = loadSelfSignedAuthority(state, 'cluster.local', now + day);
    expect(again.certificate.fingerprint256).toBe(first.certificate.fingerprint256);
    expect(again.generation).toBe(first.generation);
    expect(again.intermediates).toEqual([]);
    expect(Math.round((first.notAfter.getTime() - now) / day)).toBe(3650);
    expect(first.certificate.subject).toMatch(/^O=cluster\.local\nCN=mizzen root [0-9a-f]{12}$/);
    expect(statSync(join(state, 'ca', 'root-key.pem')).mode & 0o777).toBe(0o600);
    expect(
      openssl([
        'verify',
        '-x509_strict',
        '-check_ss_sig',
        '-CAfile',
        join(state, 'ca', 'root-cert.pem'),
        join(state, 'ca', 'root-cert.pem'),
      ]),
    ).toContain('OK');
  });

  it('is completed when only its key was written', () => {
    const state = testFolder();
    const first = loadSelfSignedAuthority(state, 'cluster.local', Date.now());
    rmSync(join(state, 'ca', 'root-cert.pem'));
    const again = loadSelfSignedAuthority(state, 'cluster.local', Date.now());
    expect(again.certificate.publicKey.equals(first.certificate.publicKey)).toBe(true);
  });

  it('is never replaced in silence', () => {
    const state = testFolder();
    loadSelfSignedAuthority(state, 'cluster.local', Date.now());
    const [key, certificate] = [join(state, 'ca', 'root-key.pem'), join(state, 'ca', 'root-cert.pem')];
    chmodSync(key, 0o644);
    expect(() => loadSelfSignedAuthority(state, 'cluster.local', Date.now())).toThrow(`${key} has mode 0644`);
    rmSync(key);
    expect(() => loadSelfSignedAuthority(state, 'cluster.local', Date.now())).toThrow(`${certificate} is there but its key ${key} is not`);
    writeFileSync(key, generateKey('ec-p256').privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    expect(() => loadSelfSignedAuthority(state, 'cluster.local', Date.now())).toThrow(`${certificate} does not belong to the key ${key}`);
    writeFileSync(certificate, 'nonsense');
    expect(() => loadSelfSignedAuthority(state, 'cluster.local', Date.now())).toThrow(`${certificate} holds no PEM certificate`);
  });

  it('is refused when it has expired', () => {
    const state = testFolder();
    loadSelfSignedAuthority(state, 'cluster.local', Date.now() - 3651 * day);
    expect(() => loadSelfSignedAuthority(state, 'cluster.local', Date.now())).toThrow(
      /root-cert\.pem: O=cluster\.local, CN=mizzen root [0-9a-f]+ of its chain expired at/,
    );
  });
});

/** A folder as the Secret `cacerts` gives it, made by openssl. */
function plugged(options: { ski?: boolean; ca?: boolean } = {}): string {
  const folder = testFolder();
  const file = (name: string): string => join(folder, name);
  mkdirSync(file('root'));
  writeFileSync(file('root/empty.cnf'), '[req]\ndistinguished_name=dn\n[dn]\n');
  const base = ['req', '-x509', '-config', file('root/empty.cnf'), '-nodes', '-days', '30'];
  openssl([
    ...base,
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-384',
    '-subj',
    '/CN=root',
    '-keyout',
    file('root/key.pem'),
    '-out',
    file('root-cert.pem'),
    '-addext',
    'basicConstraints=critical,CA:TRUE',
    '-addext',
    'keyUsage=keyCertSign',
  ]);
  const noIdentifier = options.ski === false ? ['-addext', 'subjectKeyIdentifier=none', '-addext', 'authorityKeyIdentifier=none'] : [];
  openssl([
    ...base,
    '-newkey',
    'rsa:2048',
    '-subj',
    '/O=Ünïcode/CN=intermediate',
    '-utf8',
    '-keyout',
    file('ca-key.pem'),
    '-out',
    file('ca-cert.pem'),
    '-CA',
    file('root-cert.pem'),
    '-CAkey',
    file('root/key.pem'),
    '-addext',
    `basicConstraints=critical,CA:${options.ca === false ? 'FALSE' : 'TRUE'}`,
    ...(options.ca === false ? [] : ['-addext', 'keyUsage=keyCertSign']),
    ...noIdentifier,
  ]);
  chmodSync(file('ca-key.pem'), 0o600);
  writeFileSync(file('cert-chain.pem'), readFileSync(file('ca-cert.pem'), 'utf8') + readFileSync(file('root-cert.pem'), 'utf8'));
  return folder;
}

describe('a plugged-in intermediate', () => {
  it('signs, and peers get it below the leaf', () => {
    const folder = plugged();
    const authority = loadPluggedAuthority(folder, Date.now());
    const ca = testCa({ authority });
    const signed = ca.signWorkload(testIdentity, generateKey('ec-p256').publicKey);
    expect(signed.intermediates.map((pem) => new X509Certificate(pem).subject)).toEqual(['O=Ünïcode\nCN=intermediate']);
    writeFileSync(join(folder, 'leaf.pem'), signed.leaf);
    writeFileSync(join(folder, 'between.pem'), signed.intermediates.join(''));
    const verdict = openssl([
      'verify',
      '-x509_strict',
      '-purpose',
      'sslclient',
      '-CAfile',
      join(folder, 'root-cert.pem'),
      '-untrusted',
      join(folder, 'between.pem'),
      join(folder, 'leaf.pem'),
    ]);
    expect(verdict).toContain('leaf.pem: OK');
    expect(authority.warnings).toEqual([]);
    expect(new X509Certificate(signed.leaf).checkIssued(authority.certificate)).toBe(true);
    expect(createPublicKey(authority.issuer.key).asymmetricKeyType).toBe('rsa');
  });

  it('needs no chain file when it is directly below the root', () => {
    const folder = plugged();
    rmSync(join(folder, 'cert-chain.pem'));
    expect(loadPluggedAuthority(folder, Date.now()).intermediates).toHaveLength(1);
  });

  it('may have the file names of the type kubernetes.io/tls', () => {
    const folder = plugged();
    const rename = (from: string, to: string): void => renameSync(join(folder, from), join(folder, to));
    rename('cert-chain.pem', 'tls.crt');
    rename('ca-key.pem', 'tls.key');
    rename('root-cert.pem', 'ca.crt');
    rmSync(join(folder, 'ca-cert.pem'));
    const authority = loadPluggedAuthority(folder, Date.now());
    expect(authority.certificate.subject).toBe('O=Ünïcode\nCN=intermediate');
    expect(authority.intermediates).toHaveLength(1);
    rmSync(join(folder, 'ca.crt'));
    expect(() => loadPluggedAuthority(folder, Date.now())).toThrow(
      'ca.crt is missing; a plugged-in authority needs tls.crt, tls.key, ca.crt',
    );
  });

  it('whose key all can read is taken with a warning, as Kubernetes mounts it so', () => {
    const folder = plugged();
    chmodSync(join(folder, 'ca-key.pem'), 0o644);
    expect(loadPluggedAuthority(folder, Date.now()).warnings).toEqual([expect.stringContaining('ca-key.pem can be read by all users')]);
  });

  it('without subject key identifier is taken with a warning', () => {
    const authority = loadPluggedAuthority(plugged({ ski: false }), Date.now());
    expect(authority.warnings).toEqual([expect.stringContaining('has no subject key identifier')]);
  });

  it.each([
    ['root-cert.pem', 'remove', 'root-cert.pem is missing'],
    ['ca-key.pem', 'remove', 'ca-key.pem is missing'],
    ['ca-cert.pem', 'break', 'ca-cert.pem: certificate 1 is broken'],
    ['root-cert.pem', 'replace', 'ca-cert.pem: no path of issuers to a root'],
  ])('is refused when %s is wrong (%s)', (name, how, message) => {
    const folder = plugged();
    const path = join(folder, name);
    if (how === 'remove') rmSync(path);
    if (how === 'break') writeFileSync(path, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
    if (how === 'replace') writeFileSync(path, readFileSync(join(plugged(), name)));
    expect(() => loadPluggedAuthority(folder, Date.now())).toThrow(message);
  });

  it('is refused when it is no authority, or has expired', () => {
    expect(() => loadPluggedAuthority(plugged({ ca: false }), Date.now())).toThrow(/is not a CA certificate/);
    expect(() => loadPluggedAuthority(plugged(), Date.now() + 31 * day)).toThrow(/of its chain expired at/);
  });
});
