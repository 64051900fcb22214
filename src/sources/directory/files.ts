/** The files of a folder: which ones count, and reading them whole or not at all. */
import { type BigIntStats, constants } from 'node:fs';
import { open, readdir, realpath, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** A version of a file: differs whenever the file was written, replaced, or its link points elsewhere. */
export interface FileVersion {
  readonly signature: string;
  /** Milliseconds since the epoch. */
  readonly modifiedMs: number;
  /** It was renamed (or linked) into its place after its last write: whoever does so has finished writing. */
  readonly renamed: boolean;
}

const extensions = ['.yaml', '.yml', '.json'];

/**
 * Whether a file of this name is read. Editors' files are not: vim's `.x.yaml.swp` and `4913`, `x.yaml~`, Emacs' `.#x.yaml` and `#x.yaml#`; nor is
 * anything hidden, such as the `..data` of a mounted ConfigMap, whose visible links are read instead.
 */
export function isManifestName(name: string): boolean {
  return !isHidden(name) && extensions.some((extension) => name.endsWith(extension));
}

export function isHidden(name: string): boolean {
  return name.startsWith('.') || name.startsWith('#');
}

/** Undefined where there is no such file, or something else than a file (a pipe would block whoever opens it). */
export async function fileVersion(path: string): Promise<FileVersion | undefined> {
  try {
    const found = await stat(path, { bigint: true });
    if (!found.isFile()) return undefined;
    return {
      signature: signatureOf(found),
      modifiedMs: Number(found.mtimeMs),
      renamed: found.ctimeNs > found.mtimeNs,
    };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function signatureOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
}

/** Missing, or gone on the way to it. */
export function isMissing(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP';
}

export type ReadResult = { readonly text: string; readonly signature: string } | 'changing' | { readonly fault: string };

/** Reads a file whose version is the same before and after; `changing` where it is not. */
export async function readStable(path: string, maxFileBytes: number): Promise<ReadResult> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const before = await handle.stat({ bigint: true });
    if (!before.isFile()) return { fault: 'is no regular file' };
    if (before.size > BigInt(maxFileBytes)) {
      return { fault: `has ${before.size} bytes, more than the ${maxFileBytes} that are read; split it` };
    }
    const bytes = await handle.readFile();
    const after = await handle.stat({ bigint: true });
    if (before.size !== after.size || before.mtimeNs !== after.mtimeNs || BigInt(bytes.length) !== after.size) return 'changing';
    const text = decode(bytes);
    if (text === undefined) return { fault: 'is no UTF-8 text' };
    return { text, signature: signatureOf(after) };
  } finally {
    await handle.close();
  }
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Folders in folders; beyond it something links in circles. */
const maxFolderDepth = 16;

/** A folder in which something may change. */
export interface Folder {
  readonly path: string;
  readonly identity: string;
  /** It holds the targets of links, and is no part of the tree itself. */
  readonly outside: boolean;
}

export interface Listing {
  /** Sorted. */
  readonly paths: readonly string[];
  /** There are more files than were asked for. */
  readonly truncated: boolean;
  readonly folders: readonly Folder[];
}

/** All manifests below `dir`. Links to folders are followed, each folder once. */
export async function listManifests(dir: string, maxFiles: number): Promise<Listing> {
  const paths: string[] = [];
  const folders = new Map<string, Folder>();
  const targets = new Set<string>();
  const walk = async (path: string, depth: number): Promise<void> => {
    const real = await realpath(path);
    if (folders.has(real) || depth > maxFolderDepth || paths.length > maxFiles) return;
    folders.set(real, await folderOf(path, false));
    const entries = await readdir(path, { withFileTypes: true });
    for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      if (isHidden(entry.name)) continue;
      const child = join(path, entry.name);
      const link = entry.isSymbolicLink();
      if (entry.isDirectory() || (link && (await isFolder(child)))) await walk(child, depth + 1).catch(ignoreMissing);
      else if (isManifestName(entry.name)) {
        paths.push(child);
        if (link) await realpath(child).then((target) => targets.add(dirname(target)), ignoreMissing);
      }
    }
  };
  await walk(dir, 0);
  for (const target of targets) {
    if (!folders.has(target)) await folderOf(target, true).then((folder) => folders.set(target, folder), ignoreMissing);
  }
  paths.sort();
  return { paths: paths.slice(0, maxFiles), truncated: paths.length > maxFiles, folders: [...folders.values()] };
}

async function folderOf(path: string, outside: boolean): Promise<Folder> {
  const { dev, ino } = await stat(path, { bigint: true });
  return { path, identity: `${dev}:${ino}`, outside };
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    (error: unknown) => {
      ignoreMissing(error);
      return false;
    },
  );
}

/** What vanishes while it is walked over was as well not there. */
function ignoreMissing(error: unknown): void {
  if (!isMissing(error)) throw error;
}
