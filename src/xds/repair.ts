/** Names that go together in one repair response. */
export interface RepairGroup {
  readonly names: readonly string[];
  /** Removals that the refused response also held. */
  readonly removed: readonly string[];
}

/** A refused response: its resources with their versions, and its removals. */
export interface Refused {
  readonly versions: ReadonlyMap<string, string>;
  readonly removed: readonly string[];
  readonly message: string;
}

/** A refusal may be repeated this often before everything that is still in doubt is held back: there is never a retry loop. */
const maxRefusals = 64;

/**
 * After a refusal Envoy holds a mix of old and new, so that every name of the refused response is unknown until a repair response sets it. The
 * suspects are those that the error names, or else are found by halving; they are held back until they change.
 */
export class Repair {
  readonly #queue: RepairGroup[] = [];
  /** Names of `#queue`; a name may be in two groups of it. */
  readonly #queued = new Map<string, number>();
  readonly #outstanding = new Map<string, RepairGroup>();
  /** Names of `#outstanding`, which has one group at most: there is none to come before it is answered or given up. */
  #outstandingNames: ReadonlySet<string> = new Set();
  /** Name to the version that was refused. */
  readonly #held = new Map<string, string>();
  #refusals = 0;

  get heldBack(): readonly string[] {
    return [...this.#held.keys()];
  }

  /** Nothing is held back, unknown or under way. */
  get isDone(): boolean {
    return this.#held.size === 0 && !this.underWay;
  }

  get underWay(): boolean {
    return this.#queue.length > 0 || this.#outstanding.size > 0;
  }

  /** Names of which Envoy may or may not have what was refused: it does not claim them on its next stream. */
  *names(): Generator<string> {
    yield* this.#held.keys();
    for (const group of [...this.#queue, ...this.#outstanding.values()]) {
      yield* group.names;
      yield* group.removed;
    }
  }

  /** The name is not to be sent outside of repair responses. */
  excludes(name: string): boolean {
    return this.#held.has(name) || this.#isQueued(name) || this.#isOutstanding(name);
  }

  refused(response: Refused): void {
    if (this.#queue.length === 0 && this.#outstanding.size === 0) this.#refusals = 0;
    this.#split([...response.versions.keys()], response);
  }

  /** The next response to send; one at a time, so that what is refused is known. */
  next(): RepairGroup | undefined {
    return this.#outstanding.size > 0 ? undefined : this.#queue[0];
  }

  /** The group of `next` was sent, or turned out to be empty (`nonce` undefined). */
  sent(nonce: string | undefined): void {
    const group = this.#queue.shift();
    if (group === undefined) return;
    for (const name of group.names) {
      const count = this.#queued.get(name) ?? 0;
      if (count > 1) this.#queued.set(name, count - 1);
      else this.#queued.delete(name);
    }
    if (nonce === undefined) return;
    this.#outstanding.set(nonce, group);
    this.#outstandingNames = new Set(group.names);
  }

  /** Whether it was a repair response. */
  accepted(nonce: string): boolean {
    return this.#answered(nonce) !== undefined;
  }

  /** Whether it was a repair response. */
  refusedAgain(nonce: string, response: Refused): boolean {
    if (this.#answered(nonce) === undefined) return false;
    this.#split([...response.versions.keys()], response);
    return true;
  }

  /** No answer came in time, as while a cluster warms: go on. */
  giveUpOutstanding(): void {
    this.#outstanding.clear();
    this.#outstandingNames = new Set();
  }

  /** A name in doubt has changed or gone; `version` is undefined when it is gone. Says whether it is to be removed now. */
  changed(name: string, version: string | undefined): 'remove' | 'wait' {
    const refused = this.#held.get(name);
    if (refused === undefined) {
      // What is under way has the old content: set it once more.
      if (this.#isOutstanding(name) && !this.#isQueued(name)) this.#enqueue({ names: [name], removed: [] });
      return 'wait';
    }
    if (version === refused) return 'wait';
    this.#held.delete(name);
    if (version === undefined) return 'remove';
    this.#enqueue({ names: [name], removed: [] });
    return 'wait';
  }

  #enqueue(group: RepairGroup): void {
    this.#queue.push(group);
    this.#count(group);
  }

  #count(group: RepairGroup): void {
    for (const name of group.names) this.#queued.set(name, (this.#queued.get(name) ?? 0) + 1);
  }

  #isQueued(name: string): boolean {
    return this.#queued.has(name);
  }

  #isOutstanding(name: string): boolean {
    return this.#outstandingNames.has(name);
  }

  #answered(nonce: string): RepairGroup | undefined {
    const group = this.#outstanding.get(nonce);
    if (!this.#outstanding.delete(nonce)) return undefined;
    this.#outstandingNames = new Set();
    return group;
  }

  #split(names: readonly string[], { versions, removed, message }: Refused): void {
    const suspects = names.length === 1 ? names : ++this.#refusals > maxRefusals ? names : suspectsIn(message, names);
    for (const name of suspects) this.#held.set(name, versions.get(name) ?? '');
    const rest = names.filter((name) => !this.#held.has(name));
    const groups: RepairGroup[] = [];
    if (suspects.length > 0) groups.push({ names: rest, removed });
    else {
      const half = Math.ceil(rest.length / 2);
      groups.push({ names: rest.slice(0, half), removed }, { names: rest.slice(half), removed: [] });
    }
    const due = groups.filter((group) => group.names.length > 0 || group.removed.length > 0);
    this.#queue.unshift(...due);
    for (const group of due) this.#count(group);
  }
}

/**
 * The names that Envoy's error text blames. It prints `Error adding/updating listener(s) NAME: ...` for one resource, or the resource in text
 * form, which begins with its name; the rest of such a text may mention others.
 */
export function suspectsIn(message: string, names: readonly string[]): readonly string[] {
  const printed = names.filter((name) => message.includes(`name: "${name}"`) && isFirstName(message, name));
  if (printed.length > 0) return printed;
  return names.filter((name) => name.length > 0 && blames(message, name));
}

function isFirstName(message: string, name: string): boolean {
  return message.indexOf('name: "') === message.indexOf(`name: "${name}"`);
}

/** `NAME:` at the start of a line or after a space, as Envoy joins several errors. */
function blames(message: string, name: string): boolean {
  for (let at = message.indexOf(name); at >= 0; at = message.indexOf(name, at + 1)) {
    const before = message[at - 1];
    if ((before === undefined || /\s/.test(before)) && message[at + name.length] === ':') return true;
  }
  return false;
}
