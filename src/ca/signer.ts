import type { KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { CredentialFault } from '../identity/fault.ts';
import { formatSpiffeId, type SpiffeId } from '../identity/spiffe.ts';
import { backdateMs, generationOf, type Authority } from './authority.ts';
import type { TrustBundle } from './bundle.ts';
import { buildCertificate, encodeName, publicKeyInfo, type AltName } from './certificate.ts';
import { weaknessOf } from './keys.ts';
import { Listeners } from './listeners.ts';
import { toPem } from './pem.ts';
import { newSerial } from './serial.ts';
import type { LeafEnd } from './state.ts';

export const defaultWorkloadTtlMs = 24 * 3600_000;
export const maxWorkloadTtlMs = 90 * 24 * 3600_000;
const minTtlMs = 1_000;
/** Upper bound of a common name (RFC 5280, ub-common-name). */
const maxCommonName = 64;

export interface SignedCertificate {
  /** PEM of the leaf. */
  readonly leaf: string;
  /** PEM, one certificate each: what a peer needs between leaf and root. */
  readonly intermediates: readonly string[];
  /** Hexadecimal, upper case, as openssl prints it. */
  readonly serial: string;
  readonly issuedAt: Date;
  readonly notAfter: Date;
  /** The authority's, see Authority. */
  readonly generation: string;
}

export interface CertificateAuthorityOptions {
  readonly authority: Authority;
  readonly bundle: TrustBundle;
  readonly now: () => number;
  /** Default 24 h. */
  readonly defaultTtlMs?: number;
  /** Default 90 days. */
  readonly maxTtlMs?: number;
  readonly random?: (size: number) => Uint8Array;
}

/** Signs leaves with the authority of the moment. */
export class CertificateAuthority {
  readonly bundle: TrustBundle;
  readonly defaultTtlMs: number;
  readonly maxTtlMs: number;
  #authority: Authority;
  readonly #now: () => number;
  readonly #random: ((size: number) => Uint8Array) | undefined;
  readonly #listeners = new Listeners();
  /** By root and bundle. */
  readonly #ends = new Map<string, LeafEnd>();

  constructor(options: CertificateAuthorityOptions) {
    this.bundle = options.bundle;
    this.maxTtlMs = options.maxTtlMs ?? maxWorkloadTtlMs;
    this.defaultTtlMs = options.defaultTtlMs ?? Math.min(defaultWorkloadTtlMs, this.maxTtlMs);
    this.#authority = options.authority;
    this.#now = options.now;
    this.#random = options.random;
    if (!(this.defaultTtlMs >= minTtlMs && this.defaultTtlMs <= this.maxTtlMs)) {
      throw new CredentialFault(
        'ttl',
        `default certificate life of ${this.defaultTtlMs / 1000} s is not between 1 s and the maximum of ${this.maxTtlMs / 1000} s`,
      );
    }
  }

  get authority(): Authority {
    return this.#authority;
  }

  /** Signs with another authority from now on; its roots must be in the bundle already. Listeners renew what the old one has signed. */
  use(authority: Authority): void {
    const trusted = new Set(this.bundle.roots.map((root) => root.fingerprint256));
    if (!authority.roots.some((root) => trusted.has(root.fingerprint256))) {
      throw new CredentialFault(
        'signing',
        `${authority.source}: its root is not in the trust bundle yet; stage it first, or peers refuse what it signs`,
      );
    }
    const changed = authority.generation !== this.#authority.generation;
    this.#authority = authority;
    if (changed) this.#listeners.notify();
  }

  /** Returns the function that ends it. */
  onAuthorityChange(listener: () => void): () => void {
    return this.#listeners.add(listener);
  }

  /**
   * A workload's certificate: its SPIFFE id is the only name. With `commonName` the subject holds the id as well if it has at most 64 characters;
   * what a request asks for never gets in. `byRequest`: the caller makes its own key, and nobody will tell us what it has accepted.
   */
  signWorkload(
    identity: SpiffeId,
    publicKey: KeyObject,
    options: { readonly ttlMs?: number | undefined; readonly commonName?: boolean; readonly byRequest?: boolean } = {},
  ): SignedCertificate {
    const uri = formatSpiffeId(identity);
    const commonName = options.commonName === true && uri.length <= maxCommonName ? uri : undefined;
    const signed = this.#sign([{ type: 'uri', value: uri }], publicKey, options.ttlMs, commonName);
    if (options.byRequest === true) this.#noteEnd(signed.notAfter.getTime());
    return signed;
  }

  /** Until when certificates that were signed by request are valid, by root and by the roots that came with them. */
  ends(): LeafEnd[] {
    const now = this.#now();
    for (const [key, end] of this.#ends) if (end.until <= now) this.#ends.delete(key);
    return [...this.#ends.values()];
  }

  #noteEnd(until: number): void {
    const end = { root: generationOf(this.#authority.root), bundle: this.bundle.version, until };
    const key = `${end.root} ${end.bundle}`;
    if ((this.#ends.get(key)?.until ?? 0) < until) this.#ends.set(key, end);
  }

  /** A server's certificate for DNS names and literal IP addresses. */
  signServing(names: readonly string[], publicKey: KeyObject, ttlMs?: number): SignedCertificate {
    if (names.length === 0) throw new CredentialFault('argument', 'a serving certificate needs at least one name');
    return this.#sign(names.map(servingName), publicKey, ttlMs, undefined);
  }

  #sign(altNames: readonly AltName[], publicKey: KeyObject, ttlMs: number | undefined, commonName: string | undefined): SignedCertificate {
    const life = this.#life(ttlMs);
    const weak = weaknessOf(publicKey);
    if (weak !== undefined) throw new CredentialFault('key', weak);
    const authority = this.#authority;
    const now = this.#now();
    // X.509 counts whole seconds; a fraction cut off at the end could leave a short life without its last second.
    const end = Math.min(Math.ceil((now + life) / 1000) * 1000, authority.notAfter.getTime());
    if (end <= now) throw new CredentialFault('signing', `${authority.source} expired at ${authority.notAfter.toISOString()}: replace it`);
    const serial = newSerial(this.#random);
    const der = buildCertificate(
      {
        serial,
        subject: encodeName(commonName === undefined ? {} : { commonName }),
        notBefore: new Date(now - backdateMs),
        notAfter: new Date(end),
        publicKey: publicKeyInfo(publicKey),
        usage: { ca: false, keyType: publicKey.asymmetricKeyType === 'rsa' ? 'rsa' : 'ec', altNames },
      },
      authority.issuer,
    );
    return {
      leaf: toPem('CERTIFICATE', der),
      intermediates: authority.intermediates,
      serial: serial.toString('hex').toUpperCase(),
      issuedAt: new Date(now),
      notAfter: new Date(end),
      generation: authority.generation,
    };
  }

  #life(ttlMs: number | undefined): number {
    if (ttlMs === undefined) return this.defaultTtlMs;
    if (!(ttlMs >= minTtlMs)) throw new CredentialFault('ttl', `certificate life of ${ttlMs / 1000} s is below 1 s`);
    if (ttlMs > this.maxTtlMs) {
      throw new CredentialFault('ttl', `certificate life of ${ttlMs / 1000} s is above the maximum of ${this.maxTtlMs / 1000} s`);
    }
    return ttlMs;
  }
}

const dnsForm = /^(?=.{1,253}$)(?:\*\.)?[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?)*$/i;

function servingName(name: string): AltName {
  if (isIP(name) !== 0) return { type: 'ip', value: Uint8Array.from(ipaddr.parse(name).toByteArray()) };
  if (!dnsForm.test(name)) throw new CredentialFault('argument', `${JSON.stringify(name)} is neither a DNS name nor an IP address`);
  return { type: 'dns', value: name };
}
