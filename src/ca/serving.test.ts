import { X509Certificate } from 'node:crypto';
import { Server, type ServerCredentials } from '@grpc/grpc-js';
import { connect, type ConnectionOptions } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { generateKey, privateKeyPem } from './keys.ts';
import { ServingCertificate } from './serving.ts';
import { FakeClock } from './testing/clock.ts';
import { testAuthority, testCa, testIdentity } from './testing/authority.ts';

const name = 'istiod.istio-system.svc';

async function listen(credentials: ServerCredentials): Promise<number> {
  const server = new Server();
  onTestFinished(() => server.forceShutdown());
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', credentials, (error, port) => (error === null ? resolve(port) : reject(error)));
  });
}

/** The serial number of the certificate that the server shows, after a handshake in which the client has checked it. */
async function handshake(port: number, options: ConnectionOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, servername: name, ALPNProtocols: ['h2'], ...options }, () => {
      resolve(socket.getPeerX509Certificate()?.serialNumber ?? '');
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

describe('the serving certificate', () => {
  it('is checked by clients, and replaced in a running gRPC server', async () => {
    const ca = testCa();
    const clock = new FakeClock(Date.now());
    const serving = new ServingCertificate({ ca, names: [name, '127.0.0.1'], ttlMs: 3600_000, clock, random: () => 0 });
    onTestFinished(() => serving.stop());
    const port = await listen(serving.grpcCredentials());
    const first = new X509Certificate(serving.current.certificateChain).serialNumber;
    expect(await handshake(port, { ca: ca.bundle.pem })).toBe(first);
    await expect(handshake(port, { ca: testCa().bundle.pem })).rejects.toThrow(/self-signed|unable to/i);
    await expect(handshake(port, { ca: ca.bundle.pem, servername: 'other.svc' })).rejects.toThrow(/altnames/);
    clock.advance(1801_000);
    const second = new X509Certificate(serving.current.certificateChain).serialNumber;
    expect(second).not.toBe(first);
    expect(await handshake(port, { ca: ca.bundle.pem })).toBe(second);
  });

  it('is signed anew when the signer changes', async () => {
    const ca = testCa();
    const serving = new ServingCertificate({ ca, names: [name] });
    onTestFinished(() => serving.stop());
    const port = await listen(serving.grpcCredentials());
    const next = testAuthority();
    ca.bundle.update(ca.authority.roots, next.roots);
    ca.use(next);
    const roots = next.roots.map((root) => root.toString());
    expect(await handshake(port, { ca: roots })).toBe(new X509Certificate(serving.current.certificateChain).serialNumber);
  });

  it('does not turn away clients with or without a certificate', async () => {
    const ca = testCa();
    const serving = new ServingCertificate({ ca, names: [name] });
    onTestFinished(() => serving.stop());
    const port = await listen(serving.grpcCredentials());
    const { publicKey, privateKey } = generateKey('ec-p256');
    const cert = ca.signWorkload(testIdentity, publicKey).leaf;
    const shown = new X509Certificate(serving.current.certificateChain).serialNumber;
    expect(await handshake(port, { ca: ca.bundle.pem })).toBe(shown);
    expect(await handshake(port, { ca: ca.bundle.pem, cert, key: privateKeyPem(privateKey) })).toBe(shown);
    const foreign = testCa().signWorkload(testIdentity, publicKey).leaf;
    expect(await handshake(port, { ca: ca.bundle.pem, cert: foreign, key: privateKeyPem(privateKey) })).toBe(shown);
  });

  it('that cannot be issued is an error at once', () => {
    expect(() => new ServingCertificate({ ca: testCa(), names: ['a b'] })).toThrow(/neither a DNS name nor an IP address/);
  });
});
