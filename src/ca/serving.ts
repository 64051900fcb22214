import { experimental, type ServerCredentials } from '@grpc/grpc-js';
import { systemClock, type Clock } from './clock.ts';
import { generateKey, privateKeyPem } from './keys.ts';
import { Listeners } from './listeners.ts';
import { Renewal, type Expiring } from './renewal.ts';
import type { CertificateAuthority } from './signer.ts';

type Provider = Parameters<typeof experimental.createCertificateProviderServerCredentials>[0];
type CaListener = Parameters<Provider['addCaCertificateListener']>[0];
type IdentityListener = Parameters<Provider['addIdentityCertificateListener']>[0];

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

export interface ServingPair extends Expiring {
  /** PEM, leaf first. */
  readonly certificateChain: string;
  /** PEM, PKCS#8. */
  readonly privateKey: string;
}

/** The daemon's own certificate, renewed before it ends, and handed to running servers. */
export class ServingCertificate implements Provider {
  readonly #renewal: Renewal<ServingPair>;
  readonly #ca: CertificateAuthority;
  readonly #listeners = new Listeners();
  readonly #caListeners = new Map<CaListener, () => void>();
  readonly #identityListeners = new Map<IdentityListener, () => void>();
  readonly #endings: (() => void)[];

  /** Issues the first one; throws a CredentialFault if that fails. */
  constructor(options: ServingCertificateOptions) {
    const { ca, names, ttlMs } = options;
    this.#ca = ca;
    let first: unknown;
    this.#renewal = new Renewal<ServingPair>({
      issue: () => {
        const { publicKey, privateKey } = generateKey('ec-p256');
        const signed = ca.signServing(names, publicKey, ttlMs);
        const certificateChain = [signed.leaf, ...signed.intermediates].join('');
        return { certificateChain, privateKey: privateKeyPem(privateKey), issuedAt: signed.issuedAt, notAfter: signed.notAfter };
      },
      clock: options.clock ?? systemClock,
      random: options.random ?? Math.random,
      fraction: 0.5,
      jitter: 0.1,
      onRenewed: () => this.#listeners.notify(),
      onError: (error, retryInMs) => {
        first ??= error;
        options.onError?.(error, retryInMs);
      },
    });
    this.#renewal.renew();
    if (this.#renewal.current === undefined) {
      this.#renewal.stop();
      throw first;
    }
    this.#endings = [ca.onAuthorityChange(() => this.#renewal.renew())];
  }

  get current(): ServingPair {
    return this.#renewal.current as ServingPair; // the constructor has made sure of it
  }

  /** After each renewal. Returns the function that ends it. */
  onChange(listener: () => void): () => void {
    return this.#listeners.add(listener);
  }

  stop(): void {
    for (const end of this.#endings) end();
    this.#renewal.stop();
  }

  /**
   * Credentials of a gRPC server that follow the renewals and the roots. A client certificate is asked for and not demanded: a caller may have a
   * token instead. (`ServerCredentials.createSsl` knows no such choice.)
   */
  grpcCredentials(): ServerCredentials {
    return experimental.createCertificateProviderServerCredentials(this, this, false);
  }

  addCaCertificateListener(listener: CaListener): void {
    const tell = (): void => listener({ caCertificate: Buffer.from(this.#ca.bundle.pem) });
    this.#caListeners.set(listener, this.#ca.bundle.onChange(tell));
    this.#tellLater(this.#caListeners, listener, tell);
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.#caListeners.get(listener)?.();
    this.#caListeners.delete(listener);
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    const tell = (): void =>
      listener({ certificate: Buffer.from(this.current.certificateChain), privateKey: Buffer.from(this.current.privateKey) });
    this.#identityListeners.set(listener, this.onChange(tell));
    this.#tellLater(this.#identityListeners, listener, tell);
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.get(listener)?.();
    this.#identityListeners.delete(listener);
  }

  /** grpc-js adds its own watcher after it has added these listeners: what it were told at once, its server would never learn. */
  #tellLater<L>(listeners: ReadonlyMap<L, () => void>, listener: L, tell: () => void): void {
    process.nextTick(() => {
      if (listeners.has(listener)) tell();
    });
  }
}
