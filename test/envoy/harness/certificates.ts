/** Certificates for tests: a root, and leaves signed by it. */
import { type KeyObject, sign } from 'node:crypto';
import {
  type AltName,
  buildCertificate,
  encodeName,
  type EncodedName,
  keyIdentifier,
  oids,
  publicKeyInfo,
} from '../../../src/ca/certificate.ts';
import { bits, DerReader, encode, oidText, tags, wrapSequence } from '../../../src/ca/der.ts';
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

  readonly #identifiers: boolean;

  /** `identifiers: false` leaves out the subject and authority key identifiers, here and in all leaves. */
  constructor(organization = 'test', options: { readonly identifiers: boolean } = { identifiers: true }) {
    this.#identifiers = options.identifiers;
    const { privateKey, publicKey } = generateKey('ec-p256');
    const spki = publicKeyInfo(publicKey);
    this.#name = encodeName({ organization });
    this.#key = privateKey;
    this.#identifier = keyIdentifier(spki);
    const now = Date.now();
    this.certificate = this.#pem(
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
  leaf(names: readonly string[], options: { readonly serial?: Uint8Array; readonly paddedSerial?: boolean } = {}): KeyAndCertificate {
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
    const written = options.paddedSerial === true ? withPaddedSerial(certificate, this.#key) : certificate;
    return { certificate: this.#pem(written), key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
  }

  #pem(der: Buffer): string {
    return pem(this.#identifiers ? der : withoutIdentifiers(der, this.#key));
  }
}

/** The certificate with some of its fields written otherwise, signed again. */
function rewritten(
  der: Buffer,
  key: KeyObject,
  write: (field: { readonly tag: number; readonly whole: Uint8Array; readonly contents: Uint8Array }) => Uint8Array,
): Buffer {
  const outer = new DerReader(der).enter(tags.sequence);
  const body = outer.enter(tags.sequence);
  const algorithm = outer.next(tags.sequence).whole;
  const fields: Uint8Array[] = [];
  while (!body.done) fields.push(write(body.next()));
  const signed = wrapSequence(...fields);
  return wrapSequence(signed, algorithm, encode(bits(sign('sha256', signed, key))));
}

/** Without SKI and AKI. */
function withoutIdentifiers(der: Buffer, key: KeyObject): Buffer {
  return rewritten(der, key, ({ tag, whole, contents }) =>
    tag === tags.context3 ? explicitly(3, wrapSequence(...otherExtensions(contents))) : whole,
  );
}

/** With a zero before the serial number that DER does not allow there. */
function withPaddedSerial(der: Buffer, key: KeyObject): Buffer {
  return rewritten(der, key, ({ tag, whole, contents }) =>
    tag === tags.integer ? Buffer.from([tags.integer, contents.length + 1, 0, ...contents]) : whole,
  );
}

function otherExtensions(list: Uint8Array): Uint8Array[] {
  const extensions = new DerReader(list).enter(tags.sequence);
  const kept: Uint8Array[] = [];
  while (!extensions.done) {
    const { whole, contents } = extensions.next(tags.sequence);
    const id = oidText(new DerReader(contents).next(tags.oid).contents);
    if (id !== oids.subjectKeyIdentifier && id !== oids.authorityKeyIdentifier) kept.push(whole);
  }
  return kept;
}

/** `[tag] EXPLICIT` around encoded bytes. */
function explicitly(tag: number, inner: Uint8Array): Buffer {
  const wrapped = wrapSequence(inner);
  wrapped[0] = 0xa0 | tag;
  return wrapped;
}
