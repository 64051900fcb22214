/** A serving certificate that others put into files and renew there, such as cert-manager or istio-csr. */
import { CredentialFault } from '../identity/fault.ts';
import { readStateFile } from '../identity/privatefile.ts';
import type { TrustBundle } from './bundle.ts';
import { systemClock, type Clock } from './clock.ts';
import { parsePrivateKey, privateKeyPem } from './keys.ts';
import { Listeners } from './listeners.ts';
import { readCertificates } from './pem.ts';
import type { ServingMaterial, ServingSource } from './serving.ts';

export interface MountedCertificateOptions {
  /** PEM, leaf first. */
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Whose roots check client certificates. */
  readonly bundle: TrustBundle;
  readonly clock?: Clock;
  /** The files are wrong now: what was read before stays in force. */
  readonly onError: (error: unknown) => void;
}

/** Files are replaced by renaming and by Kubernetes' swap of a link, which no watch of a file sees: they are read. */
const lookMs = 5_000;

type Pair = Pick<ServingMaterial, 'certificateChain' | 'privateKey'>;

export class MountedCertificate implements ServingSource {
  readonly #options: MountedCertificateOptions;
  readonly #clock: Clock;
  readonly #listeners = new Listeners();
  readonly #endFollowing: () => void;
  #pair: Pair;
  #wrong = '';
  #cancel: () => void;

  /** Throws a CredentialFault where the files cannot be used. */
  constructor(options: MountedCertificateOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#pair = this.#read();
    this.#endFollowing = options.bundle.onChange(() => this.#listeners.notify());
    this.#cancel = this.#clock.after(lookMs, () => this.#look());
  }

  get current(): ServingMaterial {
    return { ...this.#pair, clientRoots: this.#options.bundle.pem };
  }

  onChange(listener: () => void): () => void {
    return this.#listeners.add(listener);
  }

  stop(): void {
    this.#cancel();
    this.#endFollowing();
  }

  #look(): void {
    this.#cancel = this.#clock.after(lookMs, () => this.#look());
    try {
      const { certificateChain, privateKey } = this.#read();
      this.#wrong = '';
      if (certificateChain === this.#pair.certificateChain && privateKey === this.#pair.privateKey) return;
      this.#pair = { certificateChain, privateKey };
      this.#listeners.notify();
    } catch (error) {
      const text = String(error);
      if (text === this.#wrong) return;
      this.#wrong = text;
      this.#options.onError(error);
    }
  }

  #read(): Pair {
    const { certificateFile, keyFile } = this.#options;
    const certificateChain = textOf(certificateFile);
    const [leaf] = readCertificates(certificateChain, certificateFile);
    const key = parsePrivateKey(textOf(keyFile), keyFile);
    if (!leaf.checkPrivateKey(key)) throw new CredentialFault('certificate', `${certificateFile} does not belong to the key ${keyFile}`);
    return { certificateChain, privateKey: privateKeyPem(key) };
  }
}

function textOf(file: string): string {
  // The mode of a mounted Secret is not ours to choose.
  const text = readStateFile(file, 'public');
  if (text === undefined) throw new CredentialFault('file', `${file} is missing`);
  return text;
}
