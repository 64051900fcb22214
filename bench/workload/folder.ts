/** A folder of manifests that servers watch. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { nowMs } from '../streams/clock.ts';
import { movedEndpoint } from './changes.ts';
import type { Edit } from './edit.ts';
import { folderManifests, keyOf } from './entries.ts';
import type { Feed, Written } from './feed.ts';
import type { Item, MeshSize } from './mesh.ts';

/**
 * What comes later is added to a file that is there: of a new file the folder source first finds out whether another one was renamed to it, by looking
 * at all. The documents that a file had are not read again.
 */
const othersFile = 'others.yaml';

export class FolderFeed implements Feed {
  readonly kind = 'folder';
  readonly place: string;
  /** On the same file system, and not watched. */
  readonly #staging: string;
  /** YAML by item, by file. */
  readonly #files = new Map<string, Map<string, string>>();
  readonly #fileOf = new Map<string, string>();

  /** Makes `path` and, beside it, a folder in which files are written before they are moved there. */
  constructor(path: string) {
    this.place = path;
    this.#staging = `${path}.staging`;
    mkdirSync(path, { recursive: true });
    mkdirSync(this.#staging, { recursive: true });
  }

  load(items: readonly Item[]): Promise<void> {
    const changed = new Set<string>();
    for (const item of items) this.#put(item, ownFile(item), changed);
    for (const file of changed) writeFileSync(join(this.place, file), this.#yaml(file));
    return Promise.resolve();
  }

  /** Replaces each file that the edit touches by a rename. */
  apply({ put = [], remove = [] }: Edit): Promise<Written> {
    const changed = new Set<string>();
    for (const item of put) this.#put(item, othersFile, changed);
    for (const item of remove) changed.add(this.#remove(item));
    // All are written before the first is moved.
    for (const file of changed) writeFileSync(join(this.#staging, file), this.#yaml(file));
    const firstMs = nowMs();
    for (const file of changed) renameSync(join(this.#staging, file), join(this.place, file));
    return Promise.resolve({ firstMs, lastMs: changed.size === 1 ? firstMs : nowMs() });
  }

  async replacePod(size: MeshSize, service: number, n: number): Promise<void> {
    await this.apply({ put: [movedEndpoint(size, service, n, 201).item] });
  }

  /** Adds its file to `changed` unless it is there already just so. */
  #put(item: Item, newFile: string, changed: Set<string>): void {
    const key = keyOf(item);
    const file = this.#fileOf.get(key) ?? newFile;
    const yaml = folderManifests(item)
      .map((manifest) => stringify(manifest))
      .join('---\n');
    this.#fileOf.set(key, file);
    const documents = this.#files.get(file);
    if (documents?.get(key) === yaml) return;
    changed.add(file);
    if (documents === undefined) this.#files.set(file, new Map([[key, yaml]]));
    else documents.set(key, yaml);
  }

  #remove(item: Item): string {
    const key = keyOf(item);
    const file = this.#fileOf.get(key);
    if (file === undefined) throw new Error(`${key} is not in ${this.place} and cannot be removed`);
    this.#fileOf.delete(key);
    this.#files.get(file)?.delete(key);
    return file;
  }

  #yaml(file: string): string {
    return [...(this.#files.get(file)?.values() ?? [])].join('---\n');
  }

  /** Leaves the manifests. */
  [Symbol.asyncDispose](): Promise<void> {
    rmSync(this.#staging, { recursive: true, force: true });
    return Promise.resolve();
  }
}

/** One for a service with its endpoints, one for a VirtualService. */
function ownFile(item: Item): string {
  if ('service' in item) return `${item.service.name}.yaml`;
  return item.object.kind === 'VirtualService' ? `${item.object.metadata.name}.yaml` : othersFile;
}
