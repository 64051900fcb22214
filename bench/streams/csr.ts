import { generateKeyPairSync } from 'node:crypto';
import forge from 'node-forge';

/**
 * A PKCS#10 request in PEM, with an RSA key as Istio's agent makes it. The server takes nothing from it but the key, so that all proxies can ask with the
 * same one: who they are is in their tokens.
 */
export function signingRequest(): string {
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });
  const key = forge.pki.privateKeyFromPem(privateKey);
  const request = forge.pki.createCertificationRequest();
  request.publicKey = forge.pki.setRsaPublicKey(key.n, key.e);
  request.sign(key, forge.md.sha256.create());
  return forge.pki.certificationRequestToPem(request);
}
