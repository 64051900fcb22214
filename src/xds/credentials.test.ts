import { connect, type TLSSocket } from 'node:tls';
import { afterEach, expect, test } from 'vitest';
import { Server } from '@grpc/grpc-js';
import forge from 'node-forge';
import { Listener } from './listener.ts';
import { ReloadableCredentials } from './credentials.ts';

/** A root and a leaf signed by it, as PEM. Small keys: they protect nothing. */
function issue(name: string) {
  const keys = () => forge.pki.rsa.generateKeyPair(2048);
  const certificate = (subject: string, issuer: string, publicKey: forge.pki.PublicKey, signer: forge.pki.rsa.PrivateKey, ca: boolean) => {
    const made = forge.pki.createCertificate();
    made.publicKey = publicKey;
    made.serialNumber = '40';
    made.validity.notBefore = new Date(Date.now() - 60_000);
    made.validity.notAfter = new Date(Date.now() + 600_000);
    made.setSubject([{ name: 'commonName', value: subject }]);
    made.setIssuer([{ name: 'commonName', value: issuer }]);
    made.setExtensions([{ name: 'basicConstraints', cA: ca }]);
    made.sign(signer, forge.md.sha256.create());
    return forge.pki.certificateToPem(made);
  };
  const root = keys();
  const leaf = keys();
  return {
    clientRoots: certificate(`${name} root`, `${name} root`, root.publicKey, root.privateKey, true),
    certificateChain: certificate(name, `${name} root`, leaf.publicKey, root.privateKey, false),
    privateKey: forge.pki.privateKeyToPem(leaf.privateKey),
  };
}

const server = new Server();
let listener: Listener | undefined;
const sockets: TLSSocket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await listener?.close(10);
});

function handshake(identity?: { cert: string; key: string }): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: listener?.port ?? 0, rejectUnauthorized: false, ALPNProtocols: ['h2'], ...identity });
    sockets.push(socket);
    socket.once('secureConnect', () => resolve(socket));
    socket.once('error', reject);
  });
}

test('a client certificate is asked for and not demanded, and certificates are replaced', async () => {
  const first = issue('first');
  const credentials = new ReloadableCredentials(first);
  listener = await Listener.listen(server, { credentials: credentials.credentials, host: '127.0.0.1', port: 0 });
  expect((await handshake()).getPeerCertificate().subject.CN).toBe('first');
  expect((await handshake({ cert: first.certificateChain, key: first.privateKey })).getPeerCertificate().subject.CN).toBe('first');
  credentials.set(issue('second'));
  expect((await handshake()).getPeerCertificate().subject.CN).toBe('second');
});
