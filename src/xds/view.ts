import type { EncodedResource } from '../wire/resource.ts';
import type { Part, Table, TypeUrl } from './source.ts';

/** What changed in one part since a pointer. */
export interface Change {
  /** Index of the part in its view. */
  readonly index: number;
  readonly table: Table;
  readonly names: ReadonlySet<string>;
}

/** Version of each part's table, in the order of the parts; 0 where a part has no such table. */
export type Pointers = readonly number[];

/** Pointers and the view whose parts they are for. */
export interface Position {
  readonly view: PartsView;
  readonly pointers: Pointers;
}

/** A list of parts read as one: a later part's resource, or its hiding of a name, covers the same name of the earlier ones. */
export class PartsView {
  readonly parts: readonly Part[];

  constructor(parts: readonly Part[]) {
    this.parts = parts;
  }

  find(type: TypeUrl, name: string): EncodedResource | undefined {
    for (let i = this.parts.length - 1; i >= 0; i--) {
      const table = this.parts[i]?.table(type);
      if (table === undefined) continue;
      const resource = table.get(name);
      if (resource !== undefined) return resource;
      if (table.hides(name)) return undefined;
    }
    return undefined;
  }

  pointers(type: TypeUrl): Pointers {
    return this.parts.map((part) => part.table(type)?.version ?? 0);
  }

  /** Nothing has changed since `pointers`. */
  isAt(type: TypeUrl, pointers: Pointers): boolean {
    for (let i = 0; i < this.parts.length; i++) {
      if ((this.parts[i]?.table(type)?.version ?? 0) !== (pointers[i] ?? 0)) return false;
    }
    return true;
  }

  /** Each part's changes since `pointers`, lowest part first; undefined when a table no longer knows them. */
  changes(type: TypeUrl, pointers: Pointers): readonly Change[] | undefined {
    let changes: Change[] | undefined;
    for (let index = 0; index < this.parts.length; index++) {
      const table = this.parts[index]?.table(type);
      const pointer = pointers[index] ?? 0;
      if (table === undefined || table.version === pointer) continue;
      const names = table.changedSince(pointer) ?? (pointer === 0 ? this.#everythingOf(type, index, table) : undefined);
      if (names === undefined) return undefined;
      if (names.size > 0) (changes ??= []).push({ index, table, names });
    }
    return changes ?? none;
  }

  /** Whether a change of `name` in one of `changes` is visible: a part above that has not changed may cover it. */
  affected(type: TypeUrl, name: string, changes: readonly Change[]): boolean {
    for (let i = this.parts.length - 1; i >= 0; i--) {
      if (changes.some((change) => change.index === i && change.names.has(name))) return true;
      const table = this.parts[i]?.table(type);
      if (table !== undefined && (table.get(name) !== undefined || table.hides(name))) return false;
    }
    return false;
  }

  /** Whether a part above that of `index` has the name or withholds it. */
  covers(type: TypeUrl, index: number, name: string): boolean {
    for (let i = index + 1; i < this.parts.length; i++) {
      const table = this.parts[i]?.table(type);
      if (table !== undefined && (table.get(name) !== undefined || table.hides(name))) return true;
    }
    return false;
  }

  /** Whether the names of `change` mean the same read alone as in the whole view: nothing above covers and nothing below shows through. */
  standsAlone(type: TypeUrl, change: Change, changes: readonly Change[]): boolean {
    if (this.parts.length === 1) return true;
    for (const other of changes) {
      if (other !== change && intersects(other.names, change.names)) return false;
    }
    for (let i = 0; i < this.parts.length; i++) {
      if (i === change.index) continue;
      const table = this.parts[i]?.table(type);
      if (table === undefined) continue;
      for (const name of change.names) {
        if (
          i > change.index
            ? table.get(name) !== undefined || table.hides(name)
            : table.get(name) !== undefined && change.table.get(name) === undefined && !change.table.hides(name)
        )
          return false;
      }
    }
    return true;
  }

  /** Tables that have resources of the type, when no name is in two of them or hidden by one; else undefined. */
  disjointTables(type: TypeUrl): readonly Table[] | undefined {
    const tables: Table[] = [];
    for (const part of this.parts) {
      const table = part.table(type);
      if (table === undefined) continue;
      for (const lower of tables) if (overlaps(lower, table)) return undefined;
      tables.push(table);
    }
    return tables.filter((table) => table.size > 0);
  }

  /** Every visible resource, each name once, higher parts first. */
  *resources(type: TypeUrl): Generator<EncodedResource> {
    const above: Table[] = [];
    for (let i = this.parts.length - 1; i >= 0; i--) {
      const table = this.parts[i]?.table(type);
      if (table === undefined) continue;
      for (const name of table.names()) {
        if (above.some((upper) => upper.get(name) !== undefined || upper.hides(name))) continue;
        const resource = table.get(name);
        if (resource !== undefined) yield resource;
      }
      above.push(table);
    }
  }

  /** Visible names `<route>/...` of a type. */
  *namesUnder(type: TypeUrl, route: string): Generator<string> {
    const above: Table[] = [];
    for (let i = this.parts.length - 1; i >= 0; i--) {
      const table = this.parts[i]?.table(type);
      if (table === undefined) continue;
      for (const name of table.namesUnder(route)) {
        if (!above.some((upper) => upper.get(name) !== undefined || upper.hides(name))) yield name;
      }
      above.push(table);
    }
  }

  /**
   * Names that may mean something else under `next` than what was sent of this view at `pointers`. Compares by version what has not changed
   * since, in the parts that only one of the two views has; undefined when a table no longer knows what has.
   */
  differences(type: TypeUrl, pointers: Pointers, next: PartsView): Set<string> | undefined {
    const changes = this.changes(type, pointers);
    if (changes === undefined) return undefined;
    const candidates = new Set<string>();
    for (const change of changes) for (const name of change.names) candidates.add(name);
    const changed = new Set(candidates);
    for (const part of this.#notShared(next)) {
      const table = part.table(type);
      if (table === undefined) continue;
      for (const name of table.names()) candidates.add(name);
      for (const name of table.hiddenNames()) candidates.add(name);
    }
    for (const name of candidates) {
      if (changed.has(name)) continue;
      if (this.find(type, name)?.version === next.find(type, name)?.version) candidates.delete(name);
    }
    return candidates;
  }

  /** Parts without which the views are the same list. */
  #notShared(next: PartsView): Iterable<Part> {
    const mine = new Set(this.parts);
    const theirs = new Set(next.parts);
    const shared = this.parts.filter((part) => theirs.has(part));
    const inTheirOrder = next.parts.filter((part) => mine.has(part));
    return shared.every((part, i) => part === inTheirOrder[i]) ? mine.symmetricDifference(theirs) : mine.union(theirs);
  }

  #everythingOf(type: TypeUrl, index: number, table: Table): ReadonlySet<string> {
    const names = new Set(table.names());
    for (let i = 0; i < index; i++) {
      for (const name of this.parts[i]?.table(type)?.names() ?? none) if (table.hides(name)) names.add(name);
    }
    return names;
  }
}

const none: readonly never[] = [];

function intersects(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  const [small, large] = a.size < b.size ? [a, b] : [b, a];
  for (const name of small) if (large.has(name)) return true;
  return false;
}

function overlaps(lower: Table, upper: Table): boolean {
  const [small, large] = lower.size < upper.size ? [lower, upper] : [upper, lower];
  for (const name of small.names()) if (large.get(name) !== undefined) return true;
  if (upper.hiddenSize > 0) for (const name of lower.names()) if (upper.hides(name)) return true;
  return false;
}
