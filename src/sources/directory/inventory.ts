/** All files together: which declaration of an object wins, and what changed since the sink was last told. */
import { type ConfigObject, type ObjectKey, originText } from '../../apis/object.ts';
import type { Problem } from '../../apis/problem.ts';
import type { ObjectChange } from '../source.ts';
import { type Entry, type Manifest, sameContent } from './manifest.ts';
import type { Place } from './place.ts';

interface Delivered {
  readonly object: ConfigObject;
  readonly place: Place;
}

export class Inventory {
  readonly #manifests = new Map<string, Manifest>();
  /** Files that declare an object: nearly always one. */
  readonly #files = new Map<ObjectKey, readonly string[]>();
  /** Keys of more than one file. */
  readonly #contested = new Set<ObjectKey>();
  readonly #delivered = new Map<ObjectKey, Delivered>();
  readonly #touched = new Set<ObjectKey>();
  /** Files that are gone but whose removal is not believed yet: anything else wins over them. */
  readonly #vanishing = new Set<string>();
  /** Those that were read anew or removed. */
  readonly #reread = new Set<string>();
  /** By place. */
  readonly #told = new Map<string, readonly Problem[]>();

  manifest(file: string): Manifest | undefined {
    return this.#manifests.get(file);
  }

  get files(): Iterable<string> {
    return this.#manifests.keys();
  }

  set(manifest: Manifest): void {
    this.#vanishing.delete(manifest.file);
    this.#reread.add(manifest.file);
    this.#unlink(manifest.file);
    this.#manifests.set(manifest.file, manifest);
    for (const key of manifest.entries.keys()) {
      this.#files.set(key, [...(this.#files.get(key) ?? []), manifest.file]);
      this.#touch(key);
    }
  }

  remove(file: string): void {
    this.#unlink(file);
    this.#reread.add(file);
    this.#manifests.delete(file);
    this.#vanishing.delete(file);
  }

  /** The file is not there at the moment; its objects stay until `remove`, unless another file declares them. */
  vanish(file: string): void {
    if (!this.#manifests.has(file)) return;
    this.#vanishing.add(file);
    for (const key of this.#manifests.get(file)?.entries.keys() ?? []) this.#touch(key);
  }

  #unlink(file: string): void {
    for (const key of this.#manifests.get(file)?.entries.keys() ?? []) {
      const others = (this.#files.get(key) ?? []).filter((other) => other !== file);
      if (others.length === 0) this.#files.delete(key);
      else this.#files.set(key, others);
      this.#touch(key);
    }
  }

  #touch(key: ObjectKey): void {
    this.#touched.add(key);
    if ((this.#files.get(key)?.length ?? 0) > 1) this.#contested.add(key);
    else this.#contested.delete(key);
  }

  /** Everything since the last call, as one change. `others` are problems that no manifest knows. */
  takeChange(others: readonly Problem[]): ObjectChange {
    const problems = this.#takeProblems(others);
    const upserts: ConfigObject[] = [];
    const deletes: ObjectKey[] = [];
    for (const key of [...this.#touched].toSorted()) {
      const [winner] = this.#candidates(key);
      const before = this.#delivered.get(key);
      if (winner === undefined) {
        if (before !== undefined) deletes.push(key);
        this.#delivered.delete(key);
        continue;
      }
      if (before !== undefined && (before.object === winner.object || sameContent(before.object, winner.object))) {
        before.place.position = winner.position;
        continue;
      }
      winner.place.position = winner.position;
      this.#delivered.set(key, { object: winner.object, place: winner.place });
      upserts.push(winner.object);
    }
    this.#touched.clear();
    return { upserts, deletes, problems };
  }

  /** The best first: files in the order of their names; what is retained from a broken or vanished file comes last. */
  #candidates(key: ObjectKey): Entry[] {
    const entries = (this.#files.get(key) ?? []).flatMap((file) => this.#manifests.get(file)?.entries.get(key) ?? []);
    const rank = ({ retained, position }: Entry) => (retained || this.#vanishing.has(position.file) ? 1 : 0);
    return entries.toSorted((a, b) => rank(a) - rank(b) || (a.position.file < b.position.file ? -1 : 1));
  }

  /** What has changed of files and keys that have, by place. */
  #takeProblems(others: readonly Problem[]): Map<string, readonly Problem[]> {
    const changed = new Map<string, readonly Problem[]>();
    const tell = (place: string, problems: readonly Problem[]): void => {
      if (JSON.stringify(this.#told.get(place) ?? []) === JSON.stringify(problems)) return;
      changed.set(place, problems);
      if (problems.length === 0) this.#told.delete(place);
      else this.#told.set(place, problems);
    };
    // Sorted by place, what concerns the folder comes first, and contested objects last.
    tell('', others);
    for (const file of this.#reread) tell(`file ${file}`, this.#problemsOfFile(file));
    this.#reread.clear();
    for (const key of this.#touched) tell(`object ${key}`, this.#contested.has(key) ? this.#conflicts(key) : []);
    return changed;
  }

  #problemsOfFile(file: string): Problem[] {
    const manifest = this.#manifests.get(file);
    if (manifest === undefined) return [];
    const duplicates = manifest.duplicates.flatMap((entry) => {
      const winner = manifest.entries.get(entry.key);
      return winner === undefined ? [] : [conflict(entry, winner)];
    });
    return [...manifest.problems, ...duplicates];
  }

  #conflicts(key: ObjectKey): Problem[] {
    const [winner, ...others] = this.#candidates(key).filter((entry) => !this.#vanishing.has(entry.position.file));
    return winner === undefined ? [] : others.filter((entry) => !entry.retained).map((entry) => conflict(entry, winner));
  }
}

function lineText({ position }: Entry): string {
  return originText({ file: position.file, line: position.chunkLine + position.line - 1 });
}

function conflict(loser: Entry, winner: Entry): Problem {
  return {
    object: loser.key,
    path: '',
    reason: 'Conflict',
    severity: 'error',
    message: `${lineText(loser)} declares what ${lineText(winner)} has already declared; the latter is in force: remove one of them`,
    origin: { file: loser.position.file, line: loser.position.chunkLine + loser.position.line - 1 },
  };
}
