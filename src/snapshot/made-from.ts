/** What of the parts is made from an object at present: read from the graph, so that nothing is kept for it. */
import type { ObjectKey } from '../apis/object.ts';
import type { Objects } from '../mesh/objects.ts';
import type { TableChange, TypeUrl } from '../xds/source.ts';
import type { SnapshotPart } from './part.ts';
import type { Parts } from './parts.ts';
import type { ResourceLists } from './table.ts';

interface Home {
  readonly part: SnapshotPart;
  readonly type: TypeUrl;
}

export class MadeFrom {
  private readonly objects: Objects;
  private readonly parts: Parts;
  /** Where the entries of a collection go; made anew when parts have come or gone. */
  private homes = new Map<object, Home[]>();
  private revision = -1;

  constructor(objects: Objects, parts: Parts) {
    this.objects = objects;
    this.parts = parts;
  }

  /** For each table with something from the object: the names, and when any of them changed last. The cost is that of what was made from it. */
  tables(object: ObjectKey): TableChange[] {
    this.refresh();
    const names = new Map<SnapshotPart, Map<TypeUrl, Set<string>>>();
    for (const { collection, key } of this.objects.madeFrom(object)) {
      const homes = this.homes.get(collection);
      const list = homes === undefined ? undefined : (collection as ResourceLists).peek(key);
      if (homes === undefined || list === undefined) continue;
      for (const home of homes) {
        let types = names.get(home.part);
        if (types === undefined) names.set(home.part, (types = new Map()));
        let ofType = types.get(home.type);
        if (ofType === undefined) types.set(home.type, (ofType = new Set()));
        for (const { name } of list.resources) ofType.add(name);
        for (const name of list.hidden) ofType.add(name);
      }
    }
    return [...names].flatMap(([part, types]) =>
      [...types].flatMap(([type, ofType]) => {
        const table = part.table(type);
        if (table === undefined || ofType.size === 0) return [];
        return [{ part, type, version: table.changedAt(ofType), names: ofType }];
      }),
    );
  }

  private refresh(): void {
    if (this.revision === this.parts.revision) return;
    this.revision = this.parts.revision;
    this.homes = new Map();
    for (const part of this.parts.values()) {
      for (const [collection, type] of part.followed) {
        const homes = this.homes.get(collection);
        if (homes === undefined) this.homes.set(collection, [{ part, type }]);
        else homes.push({ part, type });
      }
    }
  }
}
