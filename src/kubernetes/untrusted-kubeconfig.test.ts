import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { parseUntrustedKubeconfig } from './untrusted-kubeconfig.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
/** A key and its own certificate in PEM, as openssl prints them one after the other. */
function keyAndCertificate(): { readonly key: string; readonly certificate: string } {
  const to = ['-keyout', '-', '-out', '-', '-subj', '/CN=test', '-days', '1'];
  const made = execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', ...to], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const at = made.indexOf('-----BEGIN CERTIFICATE-----');
  return { key: made.slice(0, at), certificate: made.slice(at) };
}

const { key, certificate } = keyAndCertificate();
const another = keyAndCertificate().key;

interface Parts {
  readonly cluster?: object;
  readonly user?: object;
  readonly top?: object;
}

function kubeconfig({ cluster = {}, user = { token: 'secret' }, top = {} }: Parts = {}): string {
  return JSON.stringify({
    clusters: [{ name: 'c', cluster: { server: 'https://10.0.0.1:6443', 'certificate-authority-data': base64(certificate), ...cluster } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
    ...top,
  });
}

const faults = (text: string): string[] => parseUntrustedKubeconfig(text).faults.map(({ path, message }) => `${path}: ${message}`);

describe('a kubeconfig from a Secret', () => {
  it('gives server and credentials', () => {
    const byToken = parseUntrustedKubeconfig(kubeconfig({ cluster: { 'tls-server-name': 'api' } }));
    expect(byToken).toEqual({
      access: {
        server: 'https://10.0.0.1:6443/',
        options: { ca: certificate, servername: 'api', headers: { authorization: 'Bearer secret' } },
        verified: true,
      },
      faults: [],
      warnings: [],
    });
    const byCertificate = parseUntrustedKubeconfig(
      kubeconfig({ user: { 'client-certificate-data': base64(certificate), 'client-key-data': base64(key) } }),
    );
    expect(byCertificate.access?.options).toEqual({ ca: certificate, cert: certificate, key });
    expect(parseUntrustedKubeconfig(kubeconfig({ user: { username: 'a', password: 'b' } })).access?.options.headers).toEqual({
      authorization: 'Basic YTpi',
    });
  });

  it.each([
    ['exec', { exec: { command: '/bin/sh' } }, /^users\[0\].user.exec: runs a program .* put a token/],
    ['auth-provider', { 'auth-provider': { name: 'gcp' } }, /^users\[0\].user.auth-provider: asks a plugin/],
    ['tokenFile', { token: 'x', tokenFile: '/var/run/secrets/token' }, /^users\[0\].user.tokenFile: reads a file .* into token$/],
    ['client-certificate', { 'client-certificate': '/x' }, /^users\[0\].user.client-certificate: reads a file/],
    ['client-key', { 'client-key': '/x' }, /^users\[0\].user.client-key: reads a file/],
    ['impersonation', { token: 'x', as: 'admin' }, /^users\[0\].user.as: acts for another user/],
    ['a header in the token', { token: 'x\r\nHost: y' }, /^users\[0\].user.token: must be at most 16384 printable characters$/],
    ['half a certificate', { 'client-certificate-data': base64(certificate) }, /^users\[0\].user: must have both/],
    [
      'another key',
      { 'client-certificate-data': base64(certificate), 'client-key-data': base64(another) },
      /client-key-data: is no key in PEM that fits/,
    ],
  ])('refuses %s', (_what, user, expected) => {
    const text = kubeconfig({ user });
    expect(faults(text)).toEqual([expect.stringMatching(expected)]);
    expect(parseUntrustedKubeconfig(text).access).toBeUndefined();
  });

  it.each([
    ['certificate-authority', { 'certificate-authority': '/x' }, /^clusters\[0\].cluster.certificate-authority: reads a file/],
    ['proxy-url', { 'proxy-url': 'http://x' }, /^clusters\[0\].cluster.proxy-url: leads over a proxy/],
    ['another scheme', { server: 'unix:///run/api.sock' }, /^clusters\[0\].cluster.server: must be https/],
    ['a user in the URL', { server: 'https://a:b@c' }, /^clusters\[0\].cluster.server: must be https/],
    ['a password in the URL', { server: 'https://:b@c' }, /^clusters\[0\].cluster.server: must be https/],
    [
      'what is no certificate',
      { 'certificate-authority-data': base64('-----BEGIN CERTIFICATE-----\n') },
      /certificate-authority-data: is no certificate/,
    ],
    ['what is no PEM', { 'certificate-authority-data': 'AAAA' }, /certificate-authority-data: must be PEM in base64/],
  ])('refuses %s of a cluster', (_what, cluster, expected) => {
    expect(faults(kubeconfig({ cluster }))).toEqual([expect.stringMatching(expected)]);
  });

  it('looks at users that are not in use too, and tells everything at once', () => {
    const users = [
      { name: 'u', user: { token: 'x' } },
      { name: 'v', user: { exec: {}, tokenFile: '/x' } },
    ];
    expect(faults(kubeconfig({ top: { users } })).map((fault) => fault.split(':')[0])).toEqual([
      'users[1].user.exec',
      'users[1].user.tokenFile',
    ]);
  });

  it('refuses what is no kubeconfig, without a word of its content', () => {
    expect(faults('')).toEqual([': is empty']);
    expect(faults('x'.repeat(70_000))).toEqual([': has more than 65536 bytes']);
    expect(faults('secret: [')).toEqual([expect.stringMatching(/^: is not YAML: \w+ in line 1$/)]);
    expect(faults('[]')).toEqual([expect.stringMatching(/^: is no kubeconfig/)]);
    expect(faults('users: 3\ncurrent-context: x')).toEqual([
      'users: must be a list of at most 20',
      'current-context: names no context of this kubeconfig',
    ]);
    expect(faults(kubeconfig({ top: { contexts: [{ name: 'x', context: { cluster: 'other', user: 'nobody' } }] } }))).toEqual([
      'contexts[0].context.cluster: names no cluster of this kubeconfig',
      'contexts[0].context.user: names no user of this kubeconfig',
    ]);
    const bomb = ['a: &a [x, x]', ...'bcdefgh'.split('').map((c, i) => `${c}: &${c} [*${'abcdefg'[i]}, *${'abcdefg'[i]}]`)].join('\n');
    expect(faults(bomb)).toEqual([expect.stringMatching(/aliases/)]);
  });

  it('warns of what is not safe', () => {
    const { warnings, access } = parseUntrustedKubeconfig(
      kubeconfig({ cluster: { server: 'http://10.0.0.1', 'insecure-skip-tls-verify': true } }),
    );
    expect(warnings.map(({ path }) => path)).toEqual(['clusters[0].cluster.server', 'clusters[0].cluster.insecure-skip-tls-verify']);
    expect([access?.options.rejectUnauthorized, access?.verified]).toEqual([false, false]);
  });
});
