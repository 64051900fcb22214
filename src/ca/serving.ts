import { systemClock, type Clock } from './clock.ts';
import { generateKey, privateKeyPem } from './keys.ts';
import { Listeners } from './listeners.ts';
import { Renewal, type Expiring } from './renewal.ts';
import type { CertificateAuthority } from './signer.ts';

export interface ServingCertificateOptions {
  readonly ca: CertificateAuthority;
  /** DNS names and IP addresses. */
  readonly names: readonly string[];
  /** Default: the authority's. */
  readonly ttlMs?: number;
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly onError?: (error: unknown, retryInMs: number) => void;
}

/** What a TLS server needs, in PEM. */
export interface ServingMaterial {
  /** Leaf first. */
  readonly certificateChain: string;
  /** PKCS#8. */
  readonly privateKey: string;
  /** All roots: client certificates are checked by them. */
  readonly clientRoots: string;
}

/** What a TLS server follows. */
export interface ServingSource {
  readonly current: ServingMaterial;
  /** After each renewal and each change of the roots. Returns the function that ends it. */
  onChange(listener: () => void): () => void;
  stop(): void;
}

interface ServingPair extends Expiring {
  readonly certificateChain: string;
  readonly privateKey: string;
}

/** The daemon's own certificate, renewed before it ends, anew when the signer changes. */
export class ServingCertificate implements ServingSource {
  readonly #renewal: Renewal<ServingPair>;
  readonly #ca: CertificateAuthority;
  readonly #listeners = new Listeners();
  readonly #endings: readonly (() => void)[];

  /** Issues the first one; throws a CredentialFault if that fails. */
  constructor(options: ServingCertificateOptions) {
    this.#ca = options.ca;
    const failures: unknown[] = [];
    this.#renewal = new Renewal<ServingPair>({
      issue: () => issue(options),
      clock: options.clock ?? systemClock,
      random: options.random ?? Math.random,
      fraction: 0.5,
      jitter: 0.1,
      onRenewed: () => this.#listeners.notify(),
      onError: (error, retryInMs) => {
        failures.push(error);
        options.onError?.(error, retryInMs);
      },
    });
    this.#renewal.renew();
    if (this.#renewal.current === undefined) {
      this.#renewal.stop();
      throw failures[0];
    }
    this.#endings = [this.#ca.onAuthorityChange(() => this.#renewal.renew()), this.#ca.bundle.onChange(() => this.#listeners.notify())];
  }

  get current(): ServingMaterial {
    const { certificateChain, privateKey } = this.#renewal.current as ServingPair; // the constructor has made sure of it
    return { certificateChain, privateKey, clientRoots: this.#ca.bundle.pem };
  }

  onChange(listener: () => void): () => void {
    return this.#listeners.add(listener);
  }

  stop(): void {
    for (const end of this.#endings) end();
    this.#renewal.stop();
  }
}

function issue({ ca, names, ttlMs }: ServingCertificateOptions): ServingPair {
  const { publicKey, privateKey } = generateKey('ec-p256');
  const signed = ca.signServing(names, publicKey, ttlMs);
  return {
    certificateChain: [signed.leaf, ...signed.intermediates].join(''),
    privateKey: privateKeyPem(privateKey),
    issuedAt: signed.issuedAt,
    notAfter: signed.notAfter,
  };
}
