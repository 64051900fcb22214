import { experimental, type ServerCredentials } from '@grpc/grpc-js';

/** PEM. */
export interface ServerCertificate {
  /** Leaf first. */
  readonly certificateChain: string;
  readonly privateKey: string;
  /** Roots by which client certificates are checked. */
  readonly clientRoots: string;
}

type CaListener = Parameters<experimental.CertificateProvider['addCaCertificateListener']>[0];
type IdentityListener = Parameters<experimental.CertificateProvider['addIdentityCertificateListener']>[0];

/**
 * TLS of the secure port: a client certificate is asked for and not demanded, and `set` replaces certificate and roots for new connections.
 * `ServerCredentials.createSsl` can do neither.
 */
export class ReloadableCredentials implements experimental.CertificateProvider {
  readonly credentials: ServerCredentials;
  readonly #caListeners = new Set<CaListener>();
  readonly #identityListeners = new Set<IdentityListener>();
  #current: ServerCertificate;

  constructor(certificate: ServerCertificate) {
    this.#current = certificate;
    this.credentials = experimental.createCertificateProviderServerCredentials(this, this, false);
  }

  set(certificate: ServerCertificate): void {
    this.#current = certificate;
    for (const listener of this.#caListeners) this.#tellCa(listener);
    for (const listener of this.#identityListeners) this.#tellIdentity(listener);
  }

  addCaCertificateListener(listener: CaListener): void {
    this.#caListeners.add(listener);
    // grpc-js has not finished its own set-up when it adds a listener.
    process.nextTick(() => this.#caListeners.has(listener) && this.#tellCa(listener));
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.#caListeners.delete(listener);
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.add(listener);
    process.nextTick(() => this.#identityListeners.has(listener) && this.#tellIdentity(listener));
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.delete(listener);
  }

  #tellCa(listener: CaListener): void {
    listener({ caCertificate: Buffer.from(this.#current.clientRoots) });
  }

  #tellIdentity(listener: IdentityListener): void {
    listener({
      certificate: Buffer.from(this.#current.certificateChain),
      privateKey: Buffer.from(this.#current.privateKey),
    });
  }
}
