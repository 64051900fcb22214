import { createPublicKey } from 'node:crypto';
import { newSelfSignedMaterial } from '../authority.ts';
import { buildCertificate, encodeName, issuerFields, publicKeyInfo } from '../certificate.ts';
import { generateKey, parsePrivateKey, privateKeyPem } from '../keys.ts';
import type { CaMaterial } from '../material.ts';
import { readCertificates, toPem } from '../pem.ts';
import { newSerial } from '../serial.ts';

/** A root with intermediates, as a user plugs them in. */
export class TestHierarchy {
  readonly root: CaMaterial;
  readonly #now: number;

  constructor(name: string, now = Date.now()) {
    this.#now = now;
    this.root = newSelfSignedMaterial(name, now, 30 * 24 * 3600_000);
  }

  /** A new one for each call. */
  intermediate(commonName = 'intermediate'): CaMaterial {
    const [certificate] = readCertificates(this.root.certificate, 'root');
    const { privateKey } = generateKey('ec-p256');
    const { name, keyIdentifier } = issuerFields(certificate);
    const der = buildCertificate(
      {
        serial: newSerial(),
        subject: encodeName({ commonName }),
        notBefore: new Date(this.#now - 60_000),
        notAfter: new Date(this.#now + 24 * 3600_000),
        publicKey: publicKeyInfo(createPublicKey(privateKey)),
        usage: { ca: true },
      },
      { name, keyIdentifier: keyIdentifier ?? Buffer.alloc(0), key: parsePrivateKey(this.root.key, 'root') },
    );
    const pem = toPem('CERTIFICATE', der);
    return { certificate: pem, key: privateKeyPem(privateKey), chain: pem + this.root.certificate, roots: this.root.roots };
  }
}
