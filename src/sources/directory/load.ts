/** A folder (or one file) read once, for the offline commands: the same rules as the watched one, without a past. */
import { stat } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import type { ConfigObject } from '../../apis/object.ts';
import type { Problem } from '../../apis/problem.ts';
import { ProblemIndex } from '../../apis/problem-index.ts';
import { listManifests, readStable } from './files.ts';
import { Inventory } from './inventory.ts';
import { fileProblem, readManifest } from './manifest.ts';
import { FieldLines } from './yaml.ts';

export interface LoadedDirectory {
  /** Sorted by key. */
  readonly objects: readonly ConfigObject[];
  readonly problems: readonly Problem[];
}

export interface LoadOptions {
  readonly maxFileBytes?: number;
  readonly maxFiles?: number;
}

/** Rejects where the folder itself cannot be read; everything in it that is wrong is a problem. */
export async function loadDirectory(
  path: string,
  { maxFileBytes = 16 * 1024 * 1024, maxFiles = 10_000 }: LoadOptions = {},
): Promise<LoadedDirectory> {
  const dir = resolve(path);
  const single = (await stat(dir)).isFile();
  const { paths, truncated } = single ? { paths: [dir], truncated: false } : await listManifests(dir, maxFiles);
  const problems: Problem[] = truncated ? [fileProblem(path, `has more than ${maxFiles} files; the others are not read`)] : [];
  const inventory = new Inventory();
  const lines = new FieldLines();
  for (const file of paths) {
    const name = single ? path : join(path, relative(dir, file));
    const read = await readStable(file, maxFileBytes).catch((error: unknown) => ({
      fault: `cannot be read (${error instanceof Error ? error.message : String(error)})`,
    }));
    if (read === 'changing') problems.push(fileProblem(name, 'is being written at the moment; try again'));
    else if ('fault' in read) problems.push(fileProblem(name, read.fault));
    else inventory.set(await readManifest(name, read.text, undefined, lines, async () => {}));
  }
  const change = inventory.takeChange(problems);
  const told = new ProblemIndex();
  for (const [place, list] of change.problems) told.set(place, list);
  return { objects: change.upserts, problems: told.problems() };
}
