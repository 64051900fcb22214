/** The certificate authority of a state folder: a plugged-in one in `cacerts/`, else a root of our own in `ca/`. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CredentialFault } from '../identity/fault.ts';
import { readStateFile, replaceStateFile } from '../identity/privatefile.ts';
import { loadPluggedAuthority, loadSelfSignedAuthority, type Authority } from './authority.ts';
import { Listeners } from './listeners.ts';
import { privateKeyPem } from './keys.ts';
import { certificatePem } from './pem.ts';
import { rootsPem } from './bundle.ts';
import type { Given } from './rotation.ts';
import { decodeState, encodeState, stableState, viewOf, type CaState, type CaView, type Origin } from './state.ts';
import type { CaStore, SecretProblem } from './store.ts';

export class FolderCa implements CaStore {
  readonly given: Given | undefined;
  readonly warnings: readonly string[];
  readonly #folder: string;
  readonly #listeners = new Listeners();
  #view: CaView;

  private constructor(folder: string, view: CaView, given: Given | undefined, warnings: readonly string[]) {
    this.#folder = folder;
    this.#view = view;
    this.given = given;
    this.warnings = warnings;
  }

  /** Throws a CredentialFault with the file that is wrong. */
  static open(stateDir: string, trustDomain: string, now: number): FolderCa {
    const folder = join(stateDir, 'ca');
    const plugged = join(stateDir, 'cacerts');
    const loaded = (authority: Authority, origin: Origin): FolderCa => {
      const material = materialOf(authority);
      const given = origin === 'plugged-in' ? { origin, material, authority } : undefined;
      return new FolderCa(folder, viewOf(stableState(origin, material), folder), given, authority.warnings);
    };
    if (existsSync(plugged)) return loaded(loadPluggedAuthority(plugged, now), 'plugged-in');
    const kept = readKept(folder);
    if (kept === undefined) return loaded(loadSelfSignedAuthority(stateDir, trustDomain, now), 'self-signed');
    return new FolderCa(folder, viewOf(kept, stateFile(folder)), undefined, []);
  }

  get plugged(): boolean {
    return this.given?.origin === 'plugged-in';
  }

  async repair(): Promise<void> {}

  get view(): CaView {
    return this.#view;
  }

  onChange(listener: () => void): () => void {
    return this.#listeners.add(listener);
  }

  /** The state first: it counts wherever the other files differ, as after a crash between the writes. */
  async save(state: CaState): Promise<boolean> {
    if (state.origin === 'plugged-in') return true;
    const view = viewOf(state, stateFile(this.#folder));
    replaceStateFile(stateFile(this.#folder), `${JSON.stringify(encodeState(state), null, 2)}\n`, 'secret');
    // In force once it is kept: what could not be written is decided again.
    this.#view = view;
    replaceStateFile(join(this.#folder, keyName), state.signer.key, 'secret');
    // Proxies on this machine verify the control plane by it, and read it again when it is replaced.
    replaceStateFile(join(this.#folder, rootsName), rootsPem(view.roots), 'public');
    this.#listeners.notify();
    return true;
  }

  problems(): SecretProblem[] {
    return [];
  }
}

const keyName = 'root-key.pem';
const rootsName = 'root-cert.pem';

function stateFile(folder: string): string {
  return join(folder, 'state.json');
}

/** Undefined where there was no rotation, or the root's key was removed to have a new root made. */
function readKept(folder: string): CaState | undefined {
  const file = stateFile(folder);
  const text = readStateFile(file, 'secret');
  if (text === undefined) return undefined;
  if (readStateFile(join(folder, keyName), 'secret') === undefined) {
    // It would be of the new root as little as the key was.
    rmSync(file);
    return undefined;
  }
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (error) {
    throw new CredentialFault('file', `${file} is no JSON: restore it, or remove it and leave one certificate in ${rootsName}`, {
      cause: error,
    });
  }
  return decodeState(data as Record<string, string>, file);
}

function materialOf(authority: Authority): CaState['signer'] {
  return {
    certificate: certificatePem(authority.certificate),
    key: privateKeyPem(authority.issuer.key),
    chain: authority.intermediates.join(''),
    roots: authority.roots.map(certificatePem).join(''),
  };
}
