import { createPrivateKey, generateKeyPair, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { CredentialFault, textOf } from '../identity/fault.ts';

/** Keys that we make. EC on P-256 takes 0.1 ms, RSA 50 ms and more. */
export type KeyType = 'ec-p256' | 'ec-p384' | 'rsa-2048' | 'rsa-4096';

interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

const generateEc = (namedCurve: string): KeyPair => generateKeyPairSync('ec', { namedCurve });
const generateRsa = promisify(generateKeyPair) as (type: 'rsa', options: { modulusLength: number }) => Promise<KeyPair>;

/** EC keys at once; RSA keys off the event loop. */
export function generateKey(type: 'ec-p256' | 'ec-p384'): KeyPair;
export function generateKey(type: KeyType): KeyPair | Promise<KeyPair>;
export function generateKey(type: KeyType): KeyPair | Promise<KeyPair> {
  switch (type) {
    case 'ec-p256':
      return generateEc('prime256v1');
    case 'ec-p384':
      return generateEc('secp384r1');
    case 'rsa-2048':
      return generateRsa('rsa', { modulusLength: 2048 });
    case 'rsa-4096':
      return generateRsa('rsa', { modulusLength: 4096 });
  }
}

/**
 * A private key in PEM: PKCS#8, PKCS#1 ("RSA PRIVATE KEY") or SEC1 ("EC PRIVATE KEY", with or without its parameters before it). Throws a
 * CredentialFault that names `where` and holds nothing of the key.
 */
export function parsePrivateKey(pem: string, where: string): KeyObject {
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED/.test(pem)) {
    throw new CredentialFault('key', `${where} is encrypted: store it without a passphrase (openssl pkey -in ... -out ...)`);
  }
  if (!/-----BEGIN (RSA |EC )?PRIVATE KEY-----/.test(pem)) {
    throw new CredentialFault('key', `${where} holds no PEM private key (PKCS#8, PKCS#1 or SEC1)`);
  }
  const key = decodeKey(pem, where);
  const weak = weaknessOf(key);
  if (weak !== undefined) throw new CredentialFault('key', `${where}: ${weak}`);
  return key;
}

function decodeKey(pem: string, where: string): KeyObject {
  const [block] = /-----BEGIN ((?:RSA |EC )?PRIVATE KEY)-----[\s\S]*?-----END \1-----/.exec(pem) ?? [];
  try {
    return createPrivateKey(block ?? pem);
  } catch (error) {
    throw new CredentialFault('key', `${where} is not a readable private key: ${textOf(error)}`, { cause: error });
  }
}

const curves: Readonly<Record<string, string>> = { prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521' };
/** Larger ones only cost the verifier time: a check of 16,384 bits takes milliseconds. */
const maxRsaBits = 8192;

/** Why Envoy would not take the key: it knows RSA from 2,048 bits and EC on P-256, P-384 and P-521, and no Ed25519. Undefined for a good one. */
export function weaknessOf(key: KeyObject): string | undefined {
  const details = key.asymmetricKeyDetails;
  switch (key.asymmetricKeyType) {
    case 'rsa': {
      const size = details?.modulusLength ?? 0;
      if (size < 2048) return `RSA key of ${size} bits, at least 2048 are needed`;
      if (size > maxRsaBits) return `RSA key of ${size} bits, at most ${maxRsaBits} are taken`;
      return undefined;
    }
    case 'ec':
      return details?.namedCurve !== undefined && details.namedCurve in curves
        ? undefined
        : `EC key on ${details?.namedCurve ?? 'an unnamed curve'}, only ${Object.values(curves).join(', ')} are taken`;
    default:
      return `key of type ${key.asymmetricKeyType ?? key.type}, only RSA and EC are taken (Envoy knows no other)`;
  }
}

/** PKCS#8, the form in which Envoy gets its keys. */
export function privateKeyPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

export interface SignatureAlgorithm {
  readonly oid: string;
  readonly hash: 'sha256' | 'sha384' | 'sha512';
  /** RSA's algorithm identifiers carry a NULL, ECDSA's nothing (RFC 4055, RFC 5758). */
  readonly nullParameters: boolean;
}

const ecdsa: Readonly<Record<string, SignatureAlgorithm>> = {
  prime256v1: { oid: '1.2.840.10045.4.3.2', hash: 'sha256', nullParameters: false },
  secp384r1: { oid: '1.2.840.10045.4.3.3', hash: 'sha384', nullParameters: false },
  secp521r1: { oid: '1.2.840.10045.4.3.4', hash: 'sha512', nullParameters: false },
};
const rsa: SignatureAlgorithm = { oid: '1.2.840.113549.1.1.11', hash: 'sha256', nullParameters: true };

/** How a key that passed `weaknessOf` signs certificates. */
export function signatureAlgorithm(key: KeyObject): SignatureAlgorithm {
  if (key.asymmetricKeyType === 'rsa') return rsa;
  const found = ecdsa[key.asymmetricKeyDetails?.namedCurve ?? ''];
  if (found === undefined) throw new CredentialFault('key', `no signature algorithm: ${weaknessOf(key) ?? 'unknown curve'}`);
  return found;
}

const requestAlgorithms: Readonly<Record<string, { readonly type: 'rsa' | 'ec'; readonly hash: 'sha256' | 'sha384' | 'sha512' }>> = {
  '1.2.840.10045.4.3.2': { type: 'ec', hash: 'sha256' },
  '1.2.840.10045.4.3.3': { type: 'ec', hash: 'sha384' },
  '1.2.840.10045.4.3.4': { type: 'ec', hash: 'sha512' },
  '1.2.840.113549.1.1.11': { type: 'rsa', hash: 'sha256' },
  '1.2.840.113549.1.1.12': { type: 'rsa', hash: 'sha384' },
  '1.2.840.113549.1.1.13': { type: 'rsa', hash: 'sha512' },
};

/** The hash of a signature that others made, undefined for algorithms that are not taken (SHA-1, MD5, RSA-PSS) or do not fit the key. */
export function hashOfSignature(oid: string, key: KeyObject): 'sha256' | 'sha384' | 'sha512' | undefined {
  const found = requestAlgorithms[oid];
  return found !== undefined && found.type === key.asymmetricKeyType ? found.hash : undefined;
}
