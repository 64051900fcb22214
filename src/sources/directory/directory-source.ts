/** Objects from a folder of manifests, watched. The embedded default of the daemon: a cluster is not needed. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { stat } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import type { Problem } from '../../apis/problem.ts';
import type { ObjectSink, ObjectSource, SourceLogger } from '../source.ts';
import { fileVersion, isMissing, listManifests, readStable } from './files.ts';
import { Inventory } from './inventory.ts';
import { fileProblem, type Manifest, readManifest } from './manifest.ts';
import { timing } from './timing.ts';
import { FolderWatcher } from './watcher.ts';
import { FieldLines } from './yaml.ts';

export interface DirectoryOptions {
  readonly dir: string;
  readonly logger?: SourceLogger;
  /** Larger files are refused. Default 16 MiB. */
  readonly maxFileBytes?: number;
  /** Default 10,000; of more, the first by name are read. */
  readonly maxFiles?: number;
}

/** A file whose present version was not taken over yet. */
interface Pending {
  /** Of the version that was last seen; undefined: the file is missing. */
  signature: string | undefined;
  /** When that version was first seen, and when the file was first found changed. */
  since: number;
  readonly first: number;
  /** The version was looked at and seemed cut off. */
  doubtful: boolean;
  renamed: boolean;
}

export class DirectorySource implements ObjectSource {
  readonly ready: Promise<void>;
  readonly #dir: string;
  /** The folder as the user wrote it. */
  readonly #shownDir: string;
  readonly #logger: SourceLogger | undefined;
  readonly #maxFileBytes: number;
  readonly #maxFiles: number;
  readonly #inventory = new Inventory();
  readonly #lines = new FieldLines();
  readonly #watcher: FolderWatcher;
  readonly #signatures = new Map<string, string>();
  readonly #pending = new Map<string, Pending>();
  /** Files that cannot be read, and what is wrong with the folder itself. */
  readonly #faults = new Map<string, Problem>();
  readonly #hinted = new Set<string>();
  #rescan = true;
  /** Hints came since the last look began. */
  #hintedAnew = false;
  /** The first full load was delivered. */
  #loaded = false;
  #lastHint = 0;
  #firstHint: number | undefined;
  /** When the first file was taken over that was not delivered yet. */
  #takenSince: number | undefined;
  #wake: () => void = () => {};
  readonly #resolveReady: () => void;
  readonly #rejectReady: (error: unknown) => void;

  constructor({ dir, logger, maxFileBytes = 16 * 1024 * 1024, maxFiles = 10_000 }: DirectoryOptions) {
    this.#dir = resolve(dir);
    this.#shownDir = dir;
    this.#logger = logger;
    this.#maxFileBytes = maxFileBytes;
    this.#maxFiles = maxFiles;
    this.#watcher = new FolderWatcher({ file: (path) => this.#hint(path), anything: () => this.#hint(undefined) }, logger);
    const { promise, resolve: resolveReady, reject } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#resolveReady = resolveReady;
    this.#rejectReady = reject;
    // `run` rejects with the same error; who does not wait for `ready` shall not be told twice.
    promise.catch(() => {});
  }

  waitingFor(): readonly string[] {
    return this.#loaded ? [] : [`${this.#shownDir} is being read`];
  }

  problems(): readonly Problem[] {
    return [...this.#faults.values()];
  }

  async run(sink: ObjectSink, signal: AbortSignal): Promise<void> {
    const stop = () => this.#wake();
    signal.addEventListener('abort', stop);
    const rescan = setInterval(() => this.#hint(undefined), timing.rescan);
    try {
      await assertFolder(this.#dir);
      while (!signal.aborted) {
        const due = await this.#step(sink);
        if (!signal.aborted) await this.#sleep(due, signal);
      }
    } catch (error) {
      this.#rejectReady(error);
      throw error;
    } finally {
      this.#rejectReady(new Error(`reading ${this.#dir} was stopped before its first load`));
      clearInterval(rescan);
      signal.removeEventListener('abort', stop);
      this.#watcher.close();
    }
  }

  #hint(path: string | undefined): void {
    if (path === undefined) this.#rescan = true;
    else this.#hinted.add(path);
    this.#hintedAnew = true;
    this.#lastHint = performance.now();
    this.#firstHint ??= this.#lastHint;
    this.#wake();
  }

  /** Waits for a hint, the time `due` or the signal. */
  async #sleep(due: number | undefined, signal: AbortSignal): Promise<void> {
    const { promise, resolve: wake } = Promise.withResolvers<void>();
    this.#wake = wake;
    const timer = due === undefined ? undefined : setTimeout(wake, Math.max(1, due - performance.now()));
    if (signal.aborted || this.#hintedAnew) wake();
    await promise;
    clearTimeout(timer);
    this.#wake = () => {};
  }

  /** One look at what was hinted at and what is pending. Returns when to look again. */
  async #step(sink: ObjectSink): Promise<number | undefined> {
    this.#hintedAnew = false;
    if (this.#loaded && this.#firstHint !== undefined) {
      const quiet = Math.min(this.#lastHint + timing.batch, this.#firstHint + timing.batchLimit);
      if (performance.now() < quiet) return quiet;
    }
    this.#firstHint = undefined;
    await this.#findChanged();
    const due = await this.#takeSettled();
    if (!this.#holdsBack()) this.#deliver(sink);
    return due;
  }

  /**
   * What is written together shall be applied together, and of two files that were renamed together one may have to settle: its last write and its
   * rename fell within one tick of the system's clock. A file that looks cut off holds nothing up, except the first load. None is pending for long:
   * what stays broken is taken as such.
   */
  #holdsBack(): boolean {
    if (!this.#loaded) return this.#pending.size > 0;
    return (
      this.#pending.values().some(({ doubtful }) => !doubtful) &&
      this.#takenSince !== undefined &&
      performance.now() < this.#takenSince + timing.batchLimit
    );
  }

  /** Compares the files that were hinted at, or all, with their last versions. */
  async #findChanged(): Promise<void> {
    const hinted = new Set(this.#hinted);
    this.#hinted.clear();
    // A file that comes may be one that goes elsewhere, under another name: their events do not arrive together, so that all are looked at.
    if (this.#rescan || [...hinted].some((path) => !this.#signatures.has(path))) {
      this.#rescan = false;
      for (const path of await this.#listAll()) hinted.add(path);
    }
    for (const path of this.#pending.keys()) hinted.add(path);
    for (const path of hinted) await this.#look(path);
  }

  async #listAll(): Promise<Iterable<string>> {
    try {
      let listing = await listManifests(this.#dir, this.#maxFiles);
      // A folder may change between being listed and being watched, so that what was not watched is listed again.
      while (this.#watcher.setFolders(listing.folders)) listing = await listManifests(this.#dir, this.#maxFiles);
      const { paths, truncated } = listing;
      this.#faults.delete(this.#dir);
      if (truncated)
        this.#fault(this.#dir, `has more than ${this.#maxFiles} files; those after ${this.#name(paths.at(-1) ?? '')} are not read`);
      return new Set([...paths, ...this.#signatures.keys()]);
    } catch (error) {
      // An unmounted volume must not empty the mesh.
      this.#fault(this.#dir, `cannot be read (${messageOf(error)}); what was last read from it stays in force`);
      return [];
    }
  }

  async #look(path: string): Promise<void> {
    const now = performance.now();
    const version = await fileVersion(path).catch((error: unknown) => {
      this.#fault(path, `cannot be read (${messageOf(error)}); its last good version stays in force`);
      return 'unreadable' as const;
    });
    if (version === 'unreadable') {
      this.#signatures.set(path, version);
      return;
    }
    const pending = this.#pending.get(path);
    if (version?.signature === this.#signatures.get(path)) {
      this.#pending.delete(path);
      if (pending !== undefined) this.#reappear(path);
      return;
    }
    if (version !== undefined && !this.#signatures.has(path) && this.#signatures.size >= this.#maxFiles) return;
    if (pending !== undefined && pending.signature === version?.signature) return;
    // What was written some time ago has been quiet since then, whenever it came here.
    const age = version === undefined ? 0 : Math.max(0, Date.now() - version.modifiedMs);
    this.#pending.set(path, {
      signature: version?.signature,
      since: now - age,
      first: pending?.first ?? now,
      doubtful: version === undefined,
      renamed: version?.renamed ?? false,
    });
    if (version === undefined) this.#inventory.vanish(this.#name(path));
  }

  /** A file that was missing for a moment is back, unchanged. */
  #reappear(path: string): void {
    const manifest = this.#inventory.manifest(this.#name(path));
    if (manifest !== undefined) this.#inventory.set(manifest);
  }

  /** Reads the pending files that have settled. Returns when the next one will have. */
  async #takeSettled(): Promise<number | undefined> {
    let next: number | undefined;
    for (const [path, pending] of [...this.#pending].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      const due = dueTime(pending);
      const taken = performance.now() >= due ? await this.#take(path, pending) : false;
      if (taken) {
        this.#pending.delete(path);
        this.#takenSince ??= performance.now();
      } else next = Math.min(next ?? Infinity, Math.max(dueTime(pending), performance.now() + 1));
    }
    return next;
  }

  /** Whether the present version of the file was taken over. */
  async #take(path: string, pending: Pending): Promise<boolean> {
    const name = this.#name(path);
    if (pending.signature === undefined) {
      this.#inventory.remove(name);
      this.#signatures.delete(path);
      this.#faults.delete(path);
      return true;
    }
    const read = await readStable(path, this.#maxFileBytes).catch((error: unknown) =>
      isMissing(error) ? ('changing' as const) : { fault: `cannot be read (${messageOf(error)})` },
    );
    if (read === 'changing') {
      this.#restart(pending);
      return false;
    }
    if ('fault' in read) {
      this.#fault(path, `${read.fault}; its last good version stays in force`);
      this.#signatures.set(path, pending.signature);
      return true;
    }
    if (read.signature !== pending.signature) {
      this.#restart(pending);
      pending.signature = read.signature;
      return false;
    }
    const before = this.#inventory.manifest(name);
    const manifest = await readManifest(name, read.text, before, this.#lines, createPause());
    const now = performance.now();
    if (!pending.renamed && now - pending.since < timing.doubt && seemsCutOff(manifest, read.text, before)) {
      pending.doubtful = true;
      return false;
    }
    this.#inventory.set(manifest);
    this.#signatures.set(path, read.signature);
    this.#faults.delete(path);
    return true;
  }

  #restart(pending: Pending): void {
    pending.since = performance.now();
    pending.doubtful = false;
  }

  #deliver(sink: ObjectSink): void {
    this.#takenSince = undefined;
    const change = this.#inventory.takeChange([...this.#faults.values()]);
    if (this.#loaded && change.upserts.length === 0 && change.deletes.length === 0 && change.problems.size === 0) return;
    this.#logger?.debug(
      { dir: this.#dir, upserts: change.upserts.length, deletes: change.deletes.length, problemsAt: change.problems.size },
      'read from the folder',
    );
    sink.apply(change);
    this.#loaded = true;
    this.#resolveReady();
  }

  #fault(path: string, message: string): void {
    this.#faults.set(path, fileProblem(this.#name(path), message));
  }

  /** The path by which a file is named to users. */
  #name(path: string): string {
    return join(this.#shownDir, relative(this.#dir, path));
  }
}

/** When a pending file may be read; one that never becomes quiet is read when patience ends. */
function dueTime({ since, first, doubtful, renamed }: Pending): number {
  if (renamed && !doubtful) return since;
  return doubtful ? since + timing.doubt : Math.min(since + timing.settle, first + timing.patience);
}

/** Signs of a file that is still being written in place. A file that is complete and has them is only believed later. */
function seemsCutOff(manifest: Manifest, text: string, before: Manifest | undefined): boolean {
  if (manifest.broken || !text.endsWith('\n')) return true;
  return [...(before?.entries.keys() ?? [])].some((key) => !manifest.entries.has(key));
}

/** Lets others run when parsing has gone on for some time. */
function createPause(): () => Promise<void> {
  let started = performance.now();
  return async () => {
    if (performance.now() - started < 10) return;
    await nextTurn();
    started = performance.now();
  };
}

async function assertFolder(dir: string): Promise<void> {
  const found = await stat(dir).catch((error: unknown) => {
    throw new Error(`the configuration folder ${dir} cannot be read: ${messageOf(error)}`, { cause: error });
  });
  if (!found.isDirectory()) throw new Error(`the configuration folder ${dir} is no folder`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
