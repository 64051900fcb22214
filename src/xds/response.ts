import { concat, field, Joined, stringField } from '../wire/join.ts';
import type { TypeUrl } from './source.ts';

/** The fields of a response that only depend on its type and the source's version, kept for the next stream. */
interface Head {
  readonly version: string;
  readonly bytes: Uint8Array;
}

/** Numbers of the fields in which the two forms of a response differ. */
const forms = {
  delta: { version: 1, typeUrl: 4, nonce: 5, removed: 6, controlPlane: 7 },
  sotw: { version: 1, typeUrl: 4, nonce: 5, removed: undefined, controlPlane: 6 },
} as const;

const controlPlaneIdentifier = 1;
const stringTag = 2;

/**
 * Puts responses together. It is what a change costs per stream, hence nothing is copied but the nonce: the rest are pieces that streams share.
 */
export class ResponseWriter {
  readonly #form: keyof typeof forms;
  readonly #controlPlane: string | undefined;
  readonly #heads = new Map<TypeUrl, Head>();

  constructor(form: keyof typeof forms, controlPlane: string | undefined) {
    this.#form = form;
    this.#controlPlane = controlPlane;
  }

  /** `frames`: `resources` fields. `nonce` is ASCII of at most 127 characters. */
  write(type: TypeUrl, version: string, nonce: string, frames: readonly Uint8Array[], removed: readonly string[] = []): Joined {
    const head = this.#headOf(type, version);
    const tail = removed.length === 0 ? undefined : this.#removedFields(removed);
    const nonceField = Buffer.allocUnsafe(2 + nonce.length);
    nonceField[0] = (forms[this.#form].nonce << 3) | stringTag;
    nonceField[1] = nonce.length;
    nonceField.write(nonce, 2, 'latin1');
    return new Joined(tail === undefined ? [head, nonceField, ...frames] : [head, nonceField, ...frames, tail]);
  }

  #headOf(type: TypeUrl, version: string): Uint8Array {
    const known = this.#heads.get(type);
    if (known?.version === version) return known.bytes;
    const fields = forms[this.#form];
    const bytes = concat(
      stringField(fields.version, version),
      stringField(fields.typeUrl, type),
      ...(this.#controlPlane === undefined ? [] : [field(fields.controlPlane, stringField(controlPlaneIdentifier, this.#controlPlane))]),
    );
    // Types come from clients: no more of them are kept than are known.
    if (this.#heads.size > 64) this.#heads.clear();
    this.#heads.set(type, { version, bytes });
    return bytes;
  }

  #removedFields(names: readonly string[]): Uint8Array {
    const { removed } = forms[this.#form];
    if (removed === undefined) throw new Error('the state of the world has no removals');
    return Buffer.concat(names.map((name) => field(removed, Buffer.from(name))));
  }
}
