import { createHash, type X509Certificate } from 'node:crypto';
import { CredentialFault } from '../identity/fault.ts';
import { isTrustDomain } from '../identity/spiffe.ts';
import { Listeners } from './listeners.ts';
import { certificatePem } from './pem.ts';

/** What the mesh trusts: the roots of the signer, roots that are staged for a rotation, and whose identities count as ours. */
export class TrustBundle {
  readonly trustDomain: string;
  /** Former or merged names of the trust domain. */
  readonly aliases: readonly string[];
  #current: readonly X509Certificate[];
  #staged: readonly X509Certificate[] = [];
  #pem = '';
  #version = '';
  readonly #listeners = new Listeners();

  constructor(trustDomain: string, aliases: readonly string[], current: readonly X509Certificate[]) {
    const bad = [trustDomain, ...aliases].find((domain) => !isTrustDomain(domain));
    if (bad !== undefined) throw new CredentialFault('argument', `trust domain ${JSON.stringify(bad)} is not one`);
    this.trustDomain = trustDomain;
    this.aliases = aliases;
    this.#current = current;
    this.#encode();
  }

  /** The own trust domain, then its aliases. */
  get trustDomains(): readonly string[] {
    return [this.trustDomain, ...this.aliases];
  }

  /** Each once, the oldest first: which of them signs is no change of what is trusted. */
  get roots(): readonly X509Certificate[] {
    return distinctRoots([...this.#current, ...this.#staged]);
  }

  /** All roots in PEM. */
  get pem(): string {
    return this.#pem;
  }

  /** Hash of `pem`. */
  get version(): string {
    return this.#version;
  }

  /** Replaces the roots. During a rotation the coming root is staged before it signs, and the old one stays until its last leaf is gone. */
  update(current: readonly X509Certificate[], staged: readonly X509Certificate[] = []): void {
    if (current.length === 0) throw new CredentialFault('argument', 'a trust bundle without roots would refuse every peer');
    this.#current = current;
    this.#staged = staged;
    const before = this.#version;
    this.#encode();
    if (this.#version !== before) this.#listeners.notify();
  }

  /** Returns the function that ends it. */
  onChange(listener: () => void): () => void {
    return this.#listeners.add(listener);
  }

  #encode(): void {
    this.#pem = rootsPem(this.roots);
    this.#version = bundleVersion(this.#pem);
  }
}

/** Each once, the oldest first. */
export function distinctRoots(roots: readonly X509Certificate[]): X509Certificate[] {
  return [...new Map(roots.map((root) => [root.fingerprint256, root])).values()].sort(byAge);
}

export function rootsPem(roots: readonly X509Certificate[]): string {
  return roots.map(certificatePem).join('');
}

export function bundleVersion(pem: string): string {
  return createHash('sha256').update(pem).digest('hex').slice(0, 16);
}

function byAge(a: X509Certificate, b: X509Certificate): number {
  const age = a.validFromDate.getTime() - b.validFromDate.getTime();
  return age !== 0 ? age : a.fingerprint256 < b.fingerprint256 ? -1 : 1;
}
