/** Certificates for tests: a root, and leaves signed by it. */
import type { KeyObject } from 'node:crypto';
import { type AltName, buildCertificate, encodeName, type EncodedName, keyIdentifier, publicKeyInfo } from '../../../src/ca/certificate.ts';
import { generateKey } from '../../../src/ca/keys.ts';
import { newSerial } from '../../../src/ca/serial.ts';

export interface KeyAndCertificate {
  readonly certificate: string;
  readonly key: string;
}

const minute = 60_000;

const pem = (der: Uint8Array): string =>
  `-----BEGIN CERTIFICATE-----\n${(
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  ).join('\n')}\n-----END CERTIFICATE-----\n`;

export class TestRoot {
  readonly certificate: string;
  readonly #name: EncodedName;
  readonly #key: KeyObject;
  readonly #identifier: Uint8Array;

  constructor(organization = 'test') {
    const { privateKey, publicKey } = generateKey('ec-p256');
    const spki = publicKeyInfo(publicKey);
    this.#name = encodeName({ organization });
    this.#key = privateKey;
    this.#identifier = keyIdentifier(spki);
    const now = Date.now();
    this.certificate = pem(
      buildCertificate(
        {
          serial: newSerial(),
          subject: this.#name,
          notBefore: new Date(now - minute),
          notAfter: new Date(now + 60 * minute),
          publicKey: spki,
          usage: { ca: true },
        },
        { name: this.#name, keyIdentifier: this.#identifier, key: privateKey },
      ),
    );
  }

  /** A leaf for these names (`spiffe://...` is a URI, everything else a DNS name). */
  leaf(names: readonly string[], options: { readonly serial?: Uint8Array } = {}): KeyAndCertificate {
    const { privateKey, publicKey } = generateKey('ec-p256');
    const now = Date.now();
    const certificate = buildCertificate(
      {
        serial: options.serial ?? newSerial(),
        subject: encodeName({}),
        notBefore: new Date(now - minute),
        notAfter: new Date(now + 30 * minute),
        publicKey: publicKeyInfo(publicKey),
        usage: {
          ca: false,
          keyType: 'ec',
          altNames: names.map((value): AltName => ({ type: value.startsWith('spiffe://') ? 'uri' : 'dns', value })),
        },
      },
      { name: this.#name, keyIdentifier: this.#identifier, key: this.#key },
    );
    return { certificate: pem(certificate), key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
  }
}
