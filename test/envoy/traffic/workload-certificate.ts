import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildCertificate, encodeName, issuerFields, publicKeyInfo } from '../../../src/ca/certificate.ts';
import { generateKey } from '../../../src/ca/keys.ts';
import { toPem } from '../../../src/ca/pem.ts';
import { newSerial } from '../../../src/ca/serial.ts';
import type { KeyAndCertificate } from '../harness/certificates.ts';

/** A certificate for any SPIFFE id, signed with the root of the control plane whose state folder this is. */
export function signedByMesh(stateFolder: string, spiffeId: string): KeyAndCertificate {
  const file = (name: string): string => readFileSync(join(stateFolder, 'ca', name), 'utf8');
  const root = issuerFields(new X509Certificate(file('root-cert.pem')));
  if (root.keyIdentifier === undefined) throw new Error('the root has no subject key identifier');
  const { privateKey, publicKey } = generateKey('ec-p256');
  const certificate = buildCertificate(
    {
      serial: newSerial(),
      subject: encodeName({}),
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + 600_000),
      publicKey: publicKeyInfo(publicKey),
      usage: { ca: false, keyType: 'ec', altNames: [{ type: 'uri', value: spiffeId }] },
    },
    { name: root.name, keyIdentifier: root.keyIdentifier, key: createPrivateKey(file('root-key.pem')) },
  );
  return { certificate: toPem('CERTIFICATE', certificate), key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
}
