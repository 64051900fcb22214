/** Where the state of the certificate authority is kept: a state folder, or the Secrets of a cluster. */
import type { CredentialProblem } from './credentials.ts';
import type { Given } from './rotation.ts';
import type { CaState, CaView } from './state.ts';

export interface SecretProblem extends CredentialProblem {
  /** Of the Secret. */
  readonly name: string;
}

export interface CaStore {
  /** What is in force. */
  readonly view: CaView;
  /** The signer that lies in its Secret now; undefined where there is none, or it cannot be used. */
  readonly given: Given | undefined;
  /** A plugged-in authority is there, usable or not. Undefined until that is known. */
  readonly plugged: boolean | undefined;
  /** Called when any of it has changed. Returns the function that ends it. */
  onChange(listener: () => void): () => void;
  /** False: another replica was first, whose state arrives by itself. */
  save(state: CaState, signal: AbortSignal): Promise<boolean>;
  /** Puts back what people have deleted, or a rotation has overtaken. For whoever leads. */
  repair(signal: AbortSignal): Promise<void>;
  /** What is wrong where signers are given: what was in force stays in force. */
  problems(): SecretProblem[];
}
