import { create } from '@bufbuild/protobuf';
import { SecretSchema, type Secret } from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { formatSpiffeId, type SpiffeId } from '../identity/spiffe.ts';
import { encode } from '../wire/encode.ts';
import type { EncodedResource } from '../wire/resource.ts';
import { systemClock, type Clock } from './clock.ts';
import { generateKey, privateKeyPem, type KeyType } from './keys.ts';
import { Listeners } from './listeners.ts';
import { Renewal } from './renewal.ts';
import type { CertificateAuthority, SignedCertificate } from './signer.ts';

/** Names of the secrets as every proxy of Istio asks for them. */
export const ownSecretName = 'default';
export const rootSecretName = 'ROOTCA';

/**
 * No EC on P-384: below TLS 1.3 an ECDSA certificate must be on a curve that the client offers, and Envoy offers X25519 and P-256 unless
 * `ecdh_curves` says otherwise. Tried on Envoy 1.40: its own upstream connection, at most TLS 1.2 by default, fails the handshake.
 */
export type WorkloadKeyType = Exclude<KeyType, 'ec-p384'>;

export interface WorkloadCertificatesOptions {
  readonly ca: CertificateAuthority;
  /** Default EC on P-256. */
  readonly keyType?: WorkloadKeyType;
  /** Default: the authority's. */
  readonly ttlMs?: number;
  /** Default 0.5. */
  readonly renewFraction?: number;
  /** Default 0.1: up to a tenth of the wait earlier. */
  readonly renewJitter?: number;
  /** A certificate without streams is kept this long, so that a proxy that reconnects gets no new one. Default 60 s. */
  readonly lingerMs?: number;
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly onIssued?: (spiffeId: string, certificate: SignedCertificate) => void;
  readonly onError?: (spiffeId: string, error: unknown, retryInMs: number) => void;
}

/** One stream's hold on its identity's certificate. */
export interface IdentityHandle {
  readonly spiffeId: string;
  /** Envoy's Secret `default`. Undefined only while the first one is being made (RSA keys, or after a failure): `onChange` tells when it is there. */
  secret(): EncodedResource | undefined;
  /** Idempotent. */
  release(): void;
}

interface Issued extends SignedCertificate {
  readonly secret: EncodedResource;
}

interface Entry {
  readonly renewal: Renewal<Issued>;
  readonly listeners: Listeners;
  cancelLinger: (() => void) | undefined;
}

/** After a change of the signer all certificates are renewed within this time. */
const renewAllWithinMs = 30_000;

/**
 * The certificates of connected workloads, one per identity and shared by all its streams: issued on first need, renewed after a fraction of
 * their life, dropped some time after the last stream has gone.
 */
export class WorkloadCertificates {
  readonly #options: WorkloadCertificatesOptions;
  readonly #ca: CertificateAuthority;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  readonly #endings: (() => void)[];
  readonly #rootListeners = new Listeners();
  #roots: EncodedResource;

  constructor(options: WorkloadCertificatesOptions) {
    this.#options = options;
    this.#ca = options.ca;
    this.#clock = options.clock ?? systemClock;
    this.#roots = this.#encodeRoots();
    this.#endings = [
      this.#ca.bundle.onChange(() => {
        this.#roots = this.#encodeRoots();
        this.#rootListeners.notify();
      }),
      this.#ca.onAuthorityChange(() => {
        for (const entry of this.#entries.values()) entry.renewal.renewWithin(renewAllWithinMs);
      }),
    ];
  }

  /** Identities that have a certificate here. */
  get size(): number {
    return this.#entries.size;
  }

  /** `onChange` is called after each renewal, until `release`; it must not throw. */
  acquire(identity: SpiffeId, onChange: () => void): IdentityHandle {
    const spiffeId = formatSpiffeId(identity);
    const entry = this.#entries.get(spiffeId) ?? this.#open(spiffeId, identity);
    entry.cancelLinger?.();
    entry.cancelLinger = undefined;
    const remove = entry.listeners.add(onChange);
    let held = true;
    return {
      spiffeId,
      secret: () => entry.renewal.current?.secret,
      release: () => {
        if (!held) return;
        held = false;
        remove();
        if (entry.listeners.size === 0) this.#linger(spiffeId, entry);
      },
    };
  }

  /** Envoy's Secret `ROOTCA`: all roots, current and staged. */
  roots(): EncodedResource {
    return this.#roots;
  }

  /** Returns the function that ends it. */
  onRootsChange(listener: () => void): () => void {
    return this.#rootListeners.add(listener);
  }

  /** Drops all certificates and timers. */
  stop(): void {
    for (const end of this.#endings) end();
    for (const entry of this.#entries.values()) {
      entry.cancelLinger?.();
      entry.renewal.stop();
    }
    this.#entries.clear();
  }

  #open(spiffeId: string, identity: SpiffeId): Entry {
    const listeners = new Listeners();
    const renewal = new Renewal<Issued>({
      issue: () => this.#issue(spiffeId, identity),
      clock: this.#clock,
      random: this.#options.random ?? Math.random,
      fraction: this.#options.renewFraction ?? 0.5,
      jitter: this.#options.renewJitter ?? 0.1,
      onRenewed: () => listeners.notify(),
      onError: (error, retryInMs) => this.#options.onError?.(spiffeId, error, retryInMs),
    });
    const entry: Entry = { renewal, listeners, cancelLinger: undefined };
    this.#entries.set(spiffeId, entry);
    renewal.renew();
    return entry;
  }

  #linger(spiffeId: string, entry: Entry): void {
    entry.cancelLinger = this.#clock.after(this.#options.lingerMs ?? 60_000, () => {
      entry.renewal.stop();
      this.#entries.delete(spiffeId);
    });
  }

  #issue(spiffeId: string, identity: SpiffeId): Issued | Promise<Issued> {
    const keys = generateKey(this.#options.keyType ?? 'ec-p256');
    const sign = ({ publicKey, privateKey }: Awaited<typeof keys>): Issued => {
      const signed = this.#ca.signWorkload(identity, publicKey, { ttlMs: this.#options.ttlMs });
      this.#options.onIssued?.(spiffeId, signed);
      return { ...signed, secret: encodeOwn(signed, privateKeyPem(privateKey)) };
    };
    return keys instanceof Promise ? keys.then(sign) : sign(keys);
  }

  #encodeRoots(): EncodedResource {
    const { pem, version } = this.#ca.bundle;
    const secret = create(SecretSchema, {
      name: rootSecretName,
      type: { case: 'validationContext', value: { trustedCa: inline(pem) } },
    });
    return { name: rootSecretName, version, bytes: encode(SecretSchema, secret) };
  }
}

const versionForm = /^[0-9A-F]+\.\d{1,12}\.([0-9a-f]+)$/;

/** Generation of the signer of a secret `default` in this version. */
export function signerOfVersion(version: string): string | undefined {
  return versionForm.exec(version)?.[1];
}

/** Its version names the signer: what a proxy has acknowledged tells below which root its certificate is. */
function encodeOwn(signed: SignedCertificate, privateKey: string): EncodedResource {
  const secret: Secret = create(SecretSchema, {
    name: ownSecretName,
    type: {
      case: 'tlsCertificate',
      value: { certificateChain: inline([signed.leaf, ...signed.intermediates].join('')), privateKey: inline(privateKey) },
    },
  });
  const notAfter = Math.floor(signed.notAfter.getTime() / 1000);
  return { name: ownSecretName, version: `${signed.serial}.${notAfter}.${signed.generation}`, bytes: encode(SecretSchema, secret) };
}

function inline(text: string): { specifier: { case: 'inlineBytes'; value: Uint8Array } } {
  return { specifier: { case: 'inlineBytes', value: new TextEncoder().encode(text) } };
}
