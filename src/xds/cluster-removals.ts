/** Between two removals that a client refuses, at most. */
const longestWaitMs = 300_000;

/** Clusters that one delta stream still has to take away: last of all, when nothing that the client holds names them any more. */
export class ClusterRemovals {
  readonly #patienceMs: number;
  readonly #names = new Set<string>();
  #sinceMs = 0;
  /** How often in a row the client has refused, and until when it is not asked again. */
  #refusals = 0;
  #notBeforeMs = 0;

  /** `patienceMs`: after so long they go although something may name them. */
  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs;
  }

  get names(): ReadonlySet<string> {
    return this.#names;
  }

  add(name: string, nowMs: number): void {
    if (this.#names.size === 0) this.#sinceMs = nowMs;
    this.#names.add(name);
  }

  /** There are some, and the client is not to be spared for now. */
  isOpen(nowMs: number): boolean {
    return this.#names.size > 0 && nowMs >= this.#notBeforeMs;
  }

  /** They have waited long enough. */
  isOverdue(nowMs: number): boolean {
    return this.isOpen(nowMs) && nowMs - this.#sinceMs >= this.#patienceMs;
  }

  take(): readonly string[] {
    const names = [...this.#names];
    this.#names.clear();
    return names;
  }

  accepted(): void {
    this.#refusals = 0;
  }

  /** There is no other version to try: the same again, ever more seldom, or a client that always refuses would be asked without end. */
  refused(names: readonly string[], nowMs: number): void {
    for (const name of names) this.add(name, nowMs);
    this.#notBeforeMs = nowMs + Math.min(this.#patienceMs * 2 ** this.#refusals++, longestWaitMs);
  }
}
