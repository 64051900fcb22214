import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type ConnectionOptions } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readCertificates } from './pem.ts';
import { ServingCertificate, type ServingCertificateOptions } from './serving.ts';
import { FakeClock } from './testing/clock.ts';
import { testAuthority, testCa } from './testing/authority.ts';

const name = 'istiod.istio-system.svc';

/** A TLS server that follows the certificate as long as it runs. */
async function serve(options: Omit<ServingCertificateOptions, 'names'>): Promise<{ serving: ServingCertificate; port: number }> {
  const serving = new ServingCertificate({ names: [name, '127.0.0.1'], ...options });
  const context = () => ({ cert: serving.current.certificateChain, key: serving.current.privateKey });
  const server = createServer(context(), (socket) => socket.end());
  serving.onChange(() => server.setSecureContext(context()));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    serving.stop();
    server.close();
  });
  return { serving, port: (server.address() as AddressInfo).port };
}

/** The serial number of the certificate that the server shows, after a handshake in which the client has checked it. */
async function handshake(port: number, options: ConnectionOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, servername: name, ...options }, () => {
      resolve(socket.getPeerX509Certificate()?.serialNumber ?? '');
      socket.destroy();
    });
    socket.on('error', reject);
  });
}
const serialOf = (serving: ServingCertificate): string => new X509Certificate(serving.current.certificateChain).serialNumber;

describe('the serving certificate', () => {
  it('is checked by clients, and replaced in a running server', async () => {
    const ca = testCa();
    const clock = new FakeClock(Date.now());
    const { serving, port } = await serve({ ca, ttlMs: 3600_000, clock, random: () => 0 });
    const first = serialOf(serving);
    expect(await handshake(port, { ca: ca.bundle.pem })).toBe(first);
    await expect(handshake(port, { ca: testCa().bundle.pem })).rejects.toThrow(/unable to verify|self-signed|issuer/i);
    await expect(handshake(port, { ca: ca.bundle.pem, servername: 'other.svc' })).rejects.toThrow(/altnames/);
    clock.advance(1801_000);
    expect(serialOf(serving)).not.toBe(first);
    expect(await handshake(port, { ca: ca.bundle.pem })).toBe(serialOf(serving));
  });

  it('is signed anew when the signer changes, and tells of new roots', async () => {
    const ca = testCa();
    const { serving, port } = await serve({ ca });
    const first = serialOf(serving);
    const changes: number[] = [];
    serving.onChange(() => changes.push(readCertificates(serving.current.clientRoots, 'x').length));
    const next = testAuthority();
    ca.bundle.update(ca.authority.roots, next.roots);
    expect([serialOf(serving), changes]).toEqual([first, [2]]);
    ca.use(next);
    expect(changes).toEqual([2, 2]);
    expect(await handshake(port, { ca: next.roots.map((root) => root.toString()) })).toBe(serialOf(serving));
    expect(serialOf(serving)).not.toBe(first);
  });

  it('that cannot be issued is an error at once', () => {
    expect(() => new ServingCertificate({ ca: testCa(), names: ['a b'] })).toThrow(/neither a DNS name nor an IP address/);
  });
});
