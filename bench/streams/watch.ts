/** Who has received a change, and when. */
import type { Mark } from '../workload/mark.ts';
import type { Content } from './response.ts';

export class Watch {
  readonly #mark: Mark;
  readonly #text: Buffer;
  readonly #wanted: ReadonlySet<string>;
  /** By proxy; NaN: not yet. */
  readonly #receivedMs: Float64Array;
  readonly #concerns: readonly boolean[];
  /** Names that a proxy has had, while it has not had all of them. */
  readonly #partly = new Map<number, Set<string>>();
  /** Whether a content shows the mark, and which of the names it holds: found out once for all streams that share it. */
  readonly #shows = new WeakMap<Content, boolean>();
  readonly #names = new WeakMap<Content, readonly string[]>();
  readonly #complete = Promise.withResolvers<void>();
  #outstanding: number;

  constructor(mark: Mark, concerns: readonly boolean[]) {
    this.#mark = mark;
    this.#text = Buffer.from(mark.kind === 'text' ? mark.text : '');
    this.#wanted = new Set(mark.kind === 'text' ? [] : mark.names);
    this.#concerns = concerns;
    this.#receivedMs = new Float64Array(concerns.length).fill(Number.NaN);
    this.#outstanding = concerns.filter(Boolean).length;
    if (this.#outstanding === 0) this.#complete.resolve();
  }

  /** Resolves when everyone has received it. */
  get complete(): Promise<void> {
    return this.#complete.promise;
  }

  /** Of those that it concerns. */
  get receivedMs(): number[] {
    return [...this.#receivedMs].filter((_at, proxy) => this.#concerns[proxy]);
  }

  /** `whole`: of a type whose responses hold everything that there is, so that what is left out is gone. */
  receive(proxy: number, message: Buffer, content: Content, whole: boolean, nowMs: number): void {
    if (!this.#mark.types.includes(content.type) || this.#concerns[proxy] !== true || !Number.isNaN(this.#receivedMs[proxy])) return;
    if (!this.#arrived(proxy, message, content, whole)) return;
    this.#receivedMs[proxy] = nowMs;
    this.#partly.delete(proxy);
    this.#outstanding--;
    if (this.#outstanding === 0) this.#complete.resolve();
  }

  #arrived(proxy: number, message: Buffer, content: Content, whole: boolean): boolean {
    switch (this.#mark.kind) {
      case 'text':
        return this.#once(content, () => message.includes(this.#text));
      case 'names':
        return this.#collect(
          proxy,
          this.#wantedOf(content, () => content.resources.map(({ name }) => name)),
        );
      case 'removed':
        if (whole) return this.#once(content, () => !content.resources.some(({ name }) => this.#wanted.has(name)));
        return this.#collect(
          proxy,
          this.#wantedOf(content, () => content.removed),
        );
      default:
        return this.#mark satisfies never;
    }
  }

  #once(content: Content, find: () => boolean): boolean {
    let shows = this.#shows.get(content);
    if (shows === undefined) this.#shows.set(content, (shows = find()));
    return shows;
  }

  #wantedOf(content: Content, names: () => readonly string[]): readonly string[] {
    let wanted = this.#names.get(content);
    if (wanted === undefined) this.#names.set(content, (wanted = names().filter((name) => this.#wanted.has(name))));
    return wanted;
  }

  #collect(proxy: number, found: readonly string[]): boolean {
    if (found.length === 0) return false;
    const before = this.#partly.get(proxy);
    if (before === undefined && found.length === this.#wanted.size) return true;
    const held = before ?? new Set<string>();
    for (const name of found) held.add(name);
    this.#partly.set(proxy, held);
    return held.size === this.#wanted.size;
  }
}
