/** Hints that something in a folder may have changed. What has changed is found by looking, never believed from an event. */
import { basename, join } from 'node:path';
import { watch } from 'chokidar';
import type { SourceLogger } from '../source.ts';
import { isHidden, isManifestName } from './files.ts';

export interface Hints {
  /** This manifest may have changed, come or gone. */
  file(path: string): void;
  /** Anything may have. */
  anything(): void;
}

/** Resolves once changes are seen; the result stops it. */
export async function watchFolder(dir: string, hints: Hints, logger: SourceLogger | undefined): Promise<() => Promise<void>> {
  const watcher = watch(dir, {
    ignoreInitial: true,
    // It would hold back removals, which are doubted here anyway.
    atomic: false,
    // A folder or link is watched as such; hidden ones are only listened to for the swap of `..data`, by `raw` below.
    ignored: (path, stats) => path !== dir && (isHidden(basename(path)) || (stats?.isFile() === true && !isManifestName(basename(path)))),
  });
  const hint = (path: string) => {
    const name = basename(path);
    if (isManifestName(name)) hints.file(path);
    // Kubernetes updates a mounted volume by renaming `..data_tmp` over the link `..data`.
    else if (name.startsWith('..')) hints.anything();
  };
  watcher.on('addDir', () => hints.anything());
  watcher.on('unlinkDir', () => hints.anything());
  watcher.on('all', (_event, path) => hint(path));
  // chokidar leaves out what follows too soon on another event of the same file; the system's own events are complete.
  watcher.on('raw', (_event: string, name: string | null, details: unknown) => {
    const { watchedPath } = details as { watchedPath: string };
    if (name === null) return hints.anything();
    hint(basename(watchedPath) === name ? watchedPath : join(watchedPath, name));
  });
  watcher.on('error', (error) => {
    logger?.warn({ err: error, dir }, 'watching the folder failed in part; it is compared anew every few seconds');
    hints.anything();
  });
  await new Promise<void>((resolve) => watcher.once('ready', () => resolve()));
  return () => watcher.close();
}
