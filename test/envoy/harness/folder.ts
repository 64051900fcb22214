import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { own } from './owned.ts';

/** A temporary folder that goes with the test. */
export class Folder implements Disposable {
  readonly path: string;
  readonly #disown: () => void;

  constructor(purpose: string) {
    this.path = mkdtempSync(join(tmpdir(), `mizzen-${purpose}-`));
    // A process that was just killed may still have written a file while the folder was being emptied.
    this.#disown = own(() => rmSync(this.path, { recursive: true, force: true, maxRetries: 10 }));
  }

  at(...parts: string[]): string {
    return join(this.path, ...parts);
  }

  /** Writes beside and renames, as editors and Kubernetes do: a reader never sees half a file. */
  write(name: string, content: string | Uint8Array, mode = 0o644): string {
    const target = this.at(name);
    mkdirSync(dirname(target), { recursive: true });
    const partial = `${target}.partial-${process.pid}`;
    writeFileSync(partial, content, { mode });
    renameSync(partial, target);
    return target;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
    this.#disown();
  }
}

/**
 * A volume as the kubelet writes it: `name -> ..data/name`, `..data -> ..<generation>`, and an update swaps `..data` by a rename.
 */
export class ProjectedVolume {
  readonly #folder: string;
  #generation = 0;

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  update(files: Readonly<Record<string, string>>): void {
    const generation = `..g${++this.#generation}`;
    mkdirSync(join(this.#folder, generation));
    for (const [name, content] of Object.entries(files)) {
      writeFileSync(join(this.#folder, generation, name), content);
      if (this.#generation === 1) symlinkSync(join('..data', name), join(this.#folder, name));
    }
    symlinkSync(generation, join(this.#folder, '..data_tmp'));
    renameSync(join(this.#folder, '..data_tmp'), join(this.#folder, '..data'));
    rmSync(join(this.#folder, `..g${this.#generation - 1}`), { recursive: true, force: true });
  }
}
