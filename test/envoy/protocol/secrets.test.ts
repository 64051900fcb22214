/** What stock Envoy does with secrets and certificates over ADS. Each test is one fact. */
import { createPrivateKey } from 'node:crypto';
import { createServer as createHttpsServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { type KeyAndCertificate, TestRoot } from '../harness/certificates.ts';
import { needsEnvoy } from '../harness/envoy.ts';
import { freePort } from '../harness/ports.ts';
import { certificate, listener, routesTo, staticCluster, tlsContext } from '../harness/resources.ts';
import { eventually } from '../harness/wait.ts';
import { get, serves, Session, twoPorts } from './session.ts';

/** The serial number of the certificate with which the listener answers, and the body. */
function https(port: number, root: string, client?: KeyAndCertificate): Promise<{ readonly serial: string; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const identity = client === undefined ? {} : { cert: client.certificate, key: client.key };
    const outgoing = request({ host: '127.0.0.1', port, servername: 'gateway', ca: root, agent: false, ...identity }, (incoming) => {
      const serial = (incoming.socket as TLSSocket).getPeerCertificate().serialNumber;
      let body = '';
      incoming.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      incoming.on('end', () => resolve({ serial, body }));
    });
    outgoing.setTimeout(5_000, () => outgoing.destroy(new Error('timeout')));
    outgoing.on('error', reject);
    outgoing.end();
  });
}

const serial = (hex: string): Uint8Array => Buffer.from(hex, 'hex');
const inline = (text: string): object => ({ inline_string: text });

/** An HTTPS server of another mesh workload. */
async function upstream(pair: KeyAndCertificate): Promise<{ readonly port: number } & Disposable> {
  const server = createHttpsServer({ cert: pair.certificate, key: pair.key }, (_, response) => response.end('upstream'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, [Symbol.dispose]: () => server.close() };
}

describe('Secrets', () => {
  needsEnvoy();

  it('hold back LDS while a cluster waits for one: they have to be answered independently of it', async () => {
    await using session = await Session.start();
    const { stream } = session;
    const pair = new TestRoot().leaf(['client']);
    const tls = { transport_socket: { name: 'tls', typed_config: tlsContext('Upstream', 'default') } };
    const nonce = stream.send('CDS', [staticCluster('c', '1', tls)]);
    await stream.subscription('SDS', 'default');
    await stream.answer(nonce);
    expect(stream.after(0, 'LDS')).toEqual([]);
    await stream.accept('SDS', [certificate('default', pair.certificate, pair.key)]);
    await stream.subscription('LDS');
  });

  it('are replaced under a listener that is not sent again, and stay when they are removed', async () => {
    await using session = await Session.start();
    const { stream } = session;
    const root = new TestRoot();
    const [first, second] = [root.leaf(['gateway'], { serial: serial('51') }), root.leaf(['gateway'], { serial: serial('52') })];
    const port = await freePort();
    await session.configure([listener('tls', port, 'r', { inline: 'ok', tls: tlsContext('Downstream', 'shop') })]);
    await stream.subscription('SDS', 'shop');
    await stream.accept('SDS', [certificate('shop', first.certificate, first.key)]);
    await eventually('the first is shown', async () => (await https(port, root.certificate)).serial === '51');
    const mark = stream.mark;
    await stream.accept('SDS', [certificate('shop', second.certificate, second.key, '2')]);
    await eventually('the second is shown', async () => (await https(port, root.certificate)).serial === '52');
    await stream.accept('SDS', [], ['shop']);
    expect(await https(port, root.certificate)).toEqual({ serial: '52', body: 'ok' });
    expect([...stream.after(mark, 'LDS'), ...stream.after(mark, 'RDS')]).toEqual([]);
  });

  it('that never come keep every listener shut at the start, unless their fetch has a time limit', async () => {
    await using session = await Session.start();
    const { stream, envoy } = session;
    const [a, b] = await twoPorts();
    const root = new TestRoot();
    const gateway = (initial_fetch_timeout: string): object => ({
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
      common_tls_context: {
        tls_certificate_sds_secret_configs: [
          { name: 'kubernetes://gone', sds_config: { ads: {}, resource_api_version: 'V3', initial_fetch_timeout } },
        ],
      },
    });
    await session.configure([listener('tls', a, 'r', { inline: 'x', tls: gateway('0s') }), listener('plain', b, 'r', { inline: 'plain' })]);
    await stream.subscription('SDS', 'kubernetes://gone');
    expect((await envoy.admin('/ready')).status).toBe(503);
    await expect(get(b, 'x')).rejects.toThrow('ECONNREFUSED');
    stream.send('LDS', [listener('tls', a, 'r', { inline: 'x', version: '2', tls: gateway('0.2s') })]);
    await serves(b, 'x', '200 plain');
    await expect(https(a, root.certificate)).rejects.toThrow(/disconnected before secure TLS|ECONNRESET/);
  });

  it('are refused when the serial number has a leading zero that DER does not need', async () => {
    await using session = await Session.start();
    const { stream } = session;
    const root = new TestRoot();
    const [padded, good] = [
      root.leaf(['gateway'], { serial: serial('41'), paddedSerial: true }),
      root.leaf(['gateway'], { serial: serial('41') }),
    ];
    const port = await freePort();
    await session.configure([listener('tls', port, 'r', { inline: 'ok', tls: tlsContext('Downstream', 'shop') })]);
    await stream.subscription('SDS', 'shop');
    expect(await stream.refuse('SDS', [certificate('shop', padded.certificate, padded.key)])).toContain('Failed to load certificate chain');
    await stream.accept('SDS', [certificate('shop', good.certificate, good.key, '2')]);
    await eventually('the good one is shown', async () => (await https(port, root.certificate)).serial === '41');
  });

  it('may hold the key as PKCS#8 or SEC1', async () => {
    await using session = await Session.start();
    const { stream } = session;
    const root = new TestRoot();
    const pair = root.leaf(['gateway']);
    const sec1 = createPrivateKey(pair.key).export({ type: 'sec1', format: 'pem' }).toString();
    expect(sec1).toContain('BEGIN EC PRIVATE KEY');
    const port = await freePort();
    await session.configure([listener('tls', port, 'r', { inline: 'ok', tls: tlsContext('Downstream', 'shop') })]);
    await stream.subscription('SDS', 'shop');
    await stream.accept('SDS', [certificate('shop', pair.certificate, pair.key)]);
    await stream.accept('SDS', [certificate('shop', pair.certificate, sec1, '2')]);
    await eventually('it serves', async () => (await https(port, root.certificate)).body === 'ok');
  });
});

describe('Roots', () => {
  needsEnvoy();

  const throughTwoRoots = async (identifiers: boolean): Promise<{ readonly answer: string; readonly verifyErrors: number | undefined }> => {
    await using session = await Session.start();
    const { stream } = session;
    const [old, next] = [new TestRoot('mesh', { identifiers }), new TestRoot('mesh', { identifiers })];
    using server = await upstream(next.leaf(['upstream']));
    const port = await freePort();
    const trust = { validation_context: { trusted_ca: inline(old.certificate + next.certificate) } };
    const cluster = staticCluster('c', '1', {
      transport_socket: { name: 'tls', typed_config: tlsContext('Upstream', undefined, trust) },
      load_assignment: {
        cluster_name: 'c',
        endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: server.port } } } }] }],
      },
    });
    await session.configure([listener('l', port, 'r')], [cluster]);
    await stream.subscription('RDS', 'r');
    await stream.accept('RDS', [routesTo('r', 'c')]);
    await session.envoy.ready();
    const answer = await get(port, 'x', '/c');
    return { answer, verifyErrors: await session.envoy.stat('cluster.c.ssl.fail_verify_error') };
  };

  it('of one subject are told apart by their key identifiers', async () => {
    expect(await throughTwoRoots(true)).toEqual({ answer: '200 upstream', verifyErrors: 0 });
  });

  it('of one subject without key identifiers are mistaken for each other', async () => {
    expect(await throughTwoRoots(false)).toEqual({ answer: expect.stringMatching(/^503 /) as string, verifyErrors: 1 });
  });

  it('do not admit a peer of a foreign trust domain when the names must begin with ours', async () => {
    await using session = await Session.start();
    const root = new TestRoot();
    const pair = root.leaf(['gateway']);
    const port = await freePort();
    const prefix = { san_type: 'URI', matcher: { prefix: 'spiffe://cluster.local/' } };
    const trust = { validation_context: { trusted_ca: inline(root.certificate), match_typed_subject_alt_names: [prefix] } };
    await session.configure([listener('tls', port, 'r', { inline: 'ok', tls: tlsContext('Downstream', 'default', trust) })]);
    await session.stream.subscription('SDS', 'default');
    await session.stream.accept('SDS', [certificate('default', pair.certificate, pair.key)]);
    await session.envoy.ready();
    const [ours, foreign] = ['cluster.local', 'cluster.local.evil'].map((domain) => root.leaf([`spiffe://${domain}/ns/a/sa/b`]));
    expect((await https(port, root.certificate, ours)).body).toBe('ok');
    await expect(https(port, root.certificate, foreign)).rejects.toThrow(/alert/);
    await expect(https(port, root.certificate, new TestRoot().leaf(['spiffe://cluster.local/ns/a/sa/b']))).rejects.toThrow(/alert/);
    await expect(https(port, root.certificate)).rejects.toThrow(/alert/);
  });
});
