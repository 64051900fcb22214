/** Keys and certificates of one cluster: one CA for servers and clients, and the key pair of service account tokens. */
import { type KeyObject } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { type AltName, buildCertificate, encodeName, keyIdentifier, publicKeyInfo } from '../../../src/ca/certificate.ts';
import { generateKey } from '../../../src/ca/keys.ts';
import { toPem } from '../../../src/ca/pem.ts';
import { newSerial } from '../../../src/ca/serial.ts';

export interface KeyAndCertificate {
  readonly certificate: string;
  readonly key: string;
}

const minute = 60_000;
const day = 24 * 60 * minute;

const keyPem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();

function altName(value: string): AltName {
  return isIPv4(value) ? { type: 'ip', value: Uint8Array.from(value.split('.').map(Number)) } : { type: 'dns', value };
}

export class ClusterAuthority {
  readonly certificate: string;
  readonly #name = encodeName({ commonName: 'kubernetes-test' });
  readonly #key: KeyObject;
  readonly #identifier: Uint8Array;

  constructor() {
    const { privateKey, publicKey } = generateKey('ec-p256');
    const spki = publicKeyInfo(publicKey);
    this.#key = privateKey;
    this.#identifier = keyIdentifier(spki);
    this.certificate = this.#sign(spki, this.#name, { ca: true });
  }

  /** A serving certificate for DNS names and IPv4 addresses. */
  server(names: readonly string[]): KeyAndCertificate {
    return this.#leaf({}, names);
  }

  /** A client certificate: the API server takes the common name for the user and the organization for its group. */
  client(user: string, group?: string): KeyAndCertificate {
    return this.#leaf({ commonName: user, ...(group === undefined ? {} : { organization: group }) }, ['client.invalid']);
  }

  #leaf(subject: { readonly organization?: string; readonly commonName?: string }, names: readonly string[]): KeyAndCertificate {
    const { privateKey, publicKey } = generateKey('ec-p256');
    const usage = { ca: false, keyType: 'ec', altNames: names.map(altName) } as const;
    return { certificate: this.#sign(publicKeyInfo(publicKey), encodeName(subject), usage), key: keyPem(privateKey) };
  }

  #sign(publicKey: Uint8Array, subject: Uint8Array, usage: Parameters<typeof buildCertificate>[0]['usage']): string {
    const now = Date.now();
    const period = { notBefore: new Date(now - minute), notAfter: new Date(now + day) };
    const issuer = { name: this.#name, keyIdentifier: this.#identifier, key: this.#key };
    return toPem('CERTIFICATE', buildCertificate({ serial: newSerial(), subject, ...period, publicKey, usage }, issuer));
  }
}

/** The pair that signs service account tokens: RSA, as kubeadm makes it. */
export async function tokenKeys(): Promise<{ readonly privateKey: string; readonly publicKey: string }> {
  const { privateKey, publicKey } = await generateKey('rsa-2048');
  return { privateKey: keyPem(privateKey), publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString() };
}
