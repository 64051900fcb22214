/**
 * Hints that something in a folder may have changed. What has changed is found by looking, never believed from an event. One watch of the system for
 * each folder is enough for that (it tells of every file in it), where a watch for each file and a listing for each event would cost what the
 * folder has and not what changed.
 */
import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { SourceLogger } from '../source.ts';
import { type Folder, isHidden, isManifestName } from './files.ts';

export interface Hints {
  /** This manifest may have changed, come or gone. */
  file(path: string): void;
  /** Anything may have. */
  anything(): void;
}

interface Watched {
  /** A folder that was made anew under its name has another one. */
  readonly identity: string;
  readonly watcher: FSWatcher;
}

export class FolderWatcher {
  readonly #hints: Hints;
  readonly #logger: SourceLogger | undefined;
  readonly #watched = new Map<string, Watched>();

  constructor(hints: Hints, logger: SourceLogger | undefined) {
    this.#hints = hints;
    this.#logger = logger;
  }

  /** Watches these folders and no others. Returns whether one is new, which may have changed before it was watched. */
  setFolders(folders: readonly Folder[]): boolean {
    const wanted = new Map(folders.map((folder) => [folder.path, folder]));
    for (const [path, { identity, watcher }] of this.#watched) {
      if (wanted.get(path)?.identity === identity) continue;
      watcher.close();
      this.#watched.delete(path);
    }
    let added = false;
    for (const folder of wanted.values()) {
      if (!this.#watched.has(folder.path)) added = this.#watch(folder) || added;
    }
    return added;
  }

  close(): void {
    this.setFolders([]);
  }

  #watch(folder: Folder): boolean {
    const failed = (error: unknown) => {
      this.#watched.get(folder.path)?.watcher.close();
      this.#watched.delete(folder.path);
      this.#logger?.warn({ err: error, folder: folder.path }, 'the folder cannot be watched; it is looked through every few seconds');
    };
    try {
      const watcher = watch(folder.path, (event, name) => this.#hint(folder, event, name));
      this.#watched.set(folder.path, { identity: folder.identity, watcher });
      watcher.on('error', failed);
      return true;
    } catch (error) {
      failed(error);
      return false;
    }
  }

  #hint(folder: Folder, event: string, name: string | null): void {
    // Kubernetes updates a mounted volume by renaming `..data_tmp` over the link `..data`.
    if (name === null || folder.outside || name.startsWith('..')) this.#hints.anything();
    else if (isManifestName(name)) this.#hints.file(join(folder.path, name));
    else if (event === 'rename' && !isHidden(name)) this.#hintIfFolder(join(folder.path, name), basename(folder.path) === name);
  }

  /** Something came or went that is no manifest: only folders matter. `self`: it may be the watched folder itself. */
  #hintIfFolder(path: string, self: boolean): void {
    if (self || this.#watched.has(path)) return this.#hints.anything();
    stat(path).then(
      (found) => {
        if (found.isDirectory()) this.#hints.anything();
      },
      // Gone already: a temporary file of some program.
      () => {},
    );
  }
}
