/** Puts manifests into the folder that the server watches. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { nowMs } from '../streams/clock.ts';
import type { Manifest } from './mesh.ts';

export class ManifestFolder implements Disposable {
  readonly path: string;
  /** On the same file system, and not watched. */
  readonly #staging: string;

  /** Makes `path` and, beside it, a folder in which files are written before they are moved there. */
  constructor(path: string) {
    this.path = path;
    this.#staging = `${path}.staging`;
    mkdirSync(this.path, { recursive: true });
    mkdirSync(this.#staging, { recursive: true });
  }

  write(files: ReadonlyMap<string, readonly Manifest[]>): void {
    for (const [file, manifests] of files) writeFileSync(join(this.path, file), yamlOf(manifests));
  }

  /** Replaces or adds a file by a rename. Returns the time just before it. */
  replace(file: string, manifests: readonly Manifest[]): number {
    const staged = join(this.#staging, file);
    writeFileSync(staged, yamlOf(manifests));
    const at = nowMs();
    renameSync(staged, join(this.path, file));
    return at;
  }

  /** Leaves the manifests. */
  [Symbol.dispose](): void {
    rmSync(this.#staging, { recursive: true, force: true });
  }
}

function yamlOf(manifests: readonly Manifest[]): string {
  return manifests.map((manifest) => stringify(manifest)).join('---\n');
}
