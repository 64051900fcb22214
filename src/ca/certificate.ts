/** X.509 v3 certificates (RFC 5280): the ASN.1 is node-forge's, the signature comes from node:crypto. */
import { createHash, createPublicKey, sign, type KeyObject, type X509Certificate } from 'node:crypto';
import type forge from 'node-forge';
import {
  DerReader,
  bits,
  bitStringOctets,
  boolean,
  encode,
  explicit,
  implicit,
  integer,
  nil,
  octets,
  oid,
  oidText,
  sequence,
  set,
  tags,
  time,
  utf8,
  wrapSequence,
} from './der.ts';
import { signatureAlgorithm } from './keys.ts';

type Node = forge.asn1.Asn1;

export const oids = {
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;

export type AltName =
  | { readonly type: 'uri'; readonly value: string }
  | { readonly type: 'dns'; readonly value: string }
  /** 4 or 16 bytes. */
  | { readonly type: 'ip'; readonly value: Uint8Array };

/** A Name in DER. It is kept encoded because an issuer's name must be copied byte by byte: verifiers compare the bytes. */
export type EncodedName = Uint8Array;

export function encodeName(attributes: { readonly organization?: string; readonly commonName?: string }): EncodedName {
  const rdn = (type: string, value: string | undefined): Node[] => (value === undefined ? [] : [set(sequence(oid(type), utf8(value)))]);
  return encode(sequence(...rdn(oids.organization, attributes.organization), ...rdn(oids.commonName, attributes.commonName)));
}

export interface Issuer {
  readonly name: EncodedName;
  /** The issuer's own subject key identifier. */
  readonly keyIdentifier: Uint8Array;
  readonly key: KeyObject;
}

export interface CertificateSpec {
  readonly serial: Uint8Array;
  readonly subject: EncodedName;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  readonly usage: { readonly ca: true } | { readonly ca: false; readonly keyType: 'rsa' | 'ec'; readonly altNames: readonly AltName[] };
}

/** The signed certificate in DER. */
export function buildCertificate(spec: CertificateSpec, issuer: Issuer): Buffer {
  const algorithm = signatureAlgorithm(issuer.key);
  const identifier = encode(sequence(oid(algorithm.oid), ...(algorithm.nullParameters ? [nil()] : [])));
  const body = wrapSequence(
    encode(explicit(0, integer(Uint8Array.of(2)))),
    encode(integer(spec.serial)),
    identifier,
    issuer.name,
    encode(sequence(time(spec.notBefore), time(spec.notAfter))),
    spec.subject,
    spec.publicKey,
    encode(explicit(3, sequence(...extensions(spec, issuer)))),
  );
  return wrapSequence(body, identifier, encode(bits(sign(algorithm.hash, body, issuer.key))));
}

function extensions(spec: CertificateSpec, issuer: Issuer): Node[] {
  const identifiers = [
    extension(oids.subjectKeyIdentifier, false, octets(keyIdentifier(spec.publicKey))),
    extension(oids.authorityKeyIdentifier, false, sequence(implicit(0, issuer.keyIdentifier))),
  ];
  if (spec.usage.ca) {
    return [
      extension(oids.keyUsage, true, bits(Uint8Array.of(0b0000_0110), 1)), // keyCertSign, cRLSign
      extension(oids.basicConstraints, true, sequence(boolean(true))),
      ...identifiers,
    ];
  }
  // digitalSignature, and for RSA keyEncipherment, which an EC key cannot do (RFC 5480 section 3).
  const usage = spec.usage.keyType === 'rsa' ? bits(Uint8Array.of(0b1010_0000), 5) : bits(Uint8Array.of(0b1000_0000), 7);
  return [
    extension(oids.keyUsage, true, usage),
    extension(oids.extendedKeyUsage, false, sequence(oid(oids.serverAuth), oid(oids.clientAuth))),
    extension(oids.basicConstraints, true, sequence()),
    ...identifiers,
    // Critical, because the subject is empty (RFC 5280 section 4.2.1.6).
    extension(oids.subjectAltName, true, sequence(...spec.usage.altNames.map(generalName))),
  ];
}

function extension(id: string, critical: boolean, value: Node): Node {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), octets(encode(value)));
}

function generalName(name: AltName): Node {
  switch (name.type) {
    case 'dns':
      return implicit(2, Buffer.from(name.value, 'latin1'));
    case 'uri':
      return implicit(6, Buffer.from(name.value, 'latin1'));
    case 'ip':
      return implicit(7, name.value);
  }
}

/** SubjectPublicKeyInfo of a public or private key. */
export function publicKeyInfo(key: KeyObject): Buffer {
  return (key.type === 'public' ? key : createPublicKey(key)).export({ type: 'spki', format: 'der' });
}

/** RFC 7093 section 2, method 1: the first 160 bits of the SHA-256 of the key's bits. */
export function keyIdentifier(spki: Uint8Array): Buffer {
  const info = new DerReader(spki).enter(tags.sequence);
  info.next(tags.sequence);
  return createHash('sha256')
    .update(bitStringOctets(info.next(tags.bitString)))
    .digest()
    .subarray(0, 20);
}

/** What signing needs of a CA certificate: its subject byte by byte, and its subject key identifier if it has one. */
export function issuerFields(certificate: X509Certificate): { readonly name: EncodedName; readonly keyIdentifier: Uint8Array | undefined } {
  const body = new DerReader(certificate.raw).enter(tags.sequence).enter(tags.sequence);
  body.optional(tags.context0);
  body.next(tags.integer);
  body.next(tags.sequence); // signature
  body.next(tags.sequence); // issuer
  body.next(tags.sequence); // validity
  const name = body.next(tags.sequence).whole;
  body.next(tags.sequence); // subjectPublicKeyInfo
  let identifier: Uint8Array | undefined;
  while (!body.done) {
    const field = body.next();
    if (field.tag === tags.context3) identifier = subjectKeyIdentifier(new DerReader(field.contents).enter(tags.sequence));
  }
  return { name, keyIdentifier: identifier };
}

function subjectKeyIdentifier(list: DerReader): Uint8Array | undefined {
  while (!list.done) {
    const item = list.enter(tags.sequence);
    if (oidText(item.next(tags.oid).contents) !== oids.subjectKeyIdentifier) continue;
    item.optional(tags.boolean);
    return new DerReader(item.next(tags.octetString).contents).next(tags.octetString).contents;
  }
  return undefined;
}
