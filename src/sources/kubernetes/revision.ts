/**
 * Which configuration belongs to this control plane where several stand side by side: what has no label `istio.io/rev` belongs to all, and what has one to
 * the revision that it names, or to the one that a tag of that name points at.
 */
export const revisionLabel = 'istio.io/rev';
/** Of the MutatingWebhookConfiguration by which a tag exists; its `istio.io/rev` is the revision that the tag points at. */
export const tagLabel = 'istio.io/tag';

export interface Tag {
  readonly tag: string;
  readonly revision: string;
}

export class RevisionSelection {
  readonly #revision: string;
  /** By the object that says so: two may name one tag while it is moved. */
  readonly #tags = new Map<string, Tag>();
  #own = new Set<string>();
  #tagsKnown = false;

  constructor(revision: string) {
    this.#revision = revision;
  }

  has(labels: Readonly<Record<string, unknown>>): boolean {
    const named = labels[revisionLabel];
    return typeof named !== 'string' || named === '' || named === this.#revision || this.#own.has(named);
  }

  /**
   * The name that an object goes by where nobody knows whether that is a tag of this revision: tags were never read, because they may not be. The name of
   * another revision cannot be told from a tag then.
   */
  undecided(labels: Readonly<Record<string, unknown>>): string | undefined {
    const named = labels[revisionLabel];
    return this.#tagsKnown || typeof named !== 'string' || this.has(labels) ? undefined : named;
  }

  /** From now on what no tag says is so. True where that was not so before. */
  tagsRead(): boolean {
    const first = !this.#tagsKnown;
    this.#tagsKnown = true;
    return first;
  }

  /** Undefined: the object is gone. True where other objects belong here now. */
  setTag(object: string, tag: Tag | undefined): boolean {
    if (tag === undefined) this.#tags.delete(object);
    else this.#tags.set(object, tag);
    const own = new Set([...this.#tags.values()].filter(({ revision }) => revision === this.#revision).map(({ tag: name }) => name));
    const changed = own.size !== this.#own.size || [...own].some((name) => !this.#own.has(name));
    this.#own = own;
    return changed;
  }
}
