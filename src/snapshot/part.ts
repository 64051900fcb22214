import type { ObjectKey } from '../apis/object.ts';
import { virtualHostType } from '../wire/types.ts';
import { featureOfType, type Feature } from './features.ts';
import type { Part, TableChange, TypeUrl } from '../xds/source.ts';
import { ResourceTable, type ResourceLists } from './table.ts';

/** Told of the first change in a table since the last commit. */
export type Touched = (part: SnapshotPart, type: TypeUrl, table: ResourceTable) => void;

/** The last step of a table. */
export interface PartChange extends TableChange {
  readonly part: SnapshotPart;
  readonly table: ResourceTable;
}

/** A set of tables that many proxies share. */
export class SnapshotPart implements Part {
  readonly id: string;
  private readonly tables = new Map<TypeUrl, ResourceTable>();
  private readonly touched: Touched;
  /** The collections that its tables follow. */
  readonly followed = new Map<object, TypeUrl>();

  constructor(id: string, touched: Touched) {
    this.id = id;
    this.touched = touched;
  }

  /** The table of a type, made when first asked for. */
  ensure(type: TypeUrl): ResourceTable {
    let table = this.tables.get(type);
    if (table === undefined) {
      table = new ResourceTable((changed) => this.touched(this, type, changed), type === virtualHostType);
      this.tables.set(type, table);
    }
    return table;
  }

  /** What the work for its resources of the type counts for. */
  protected featureOf(type: TypeUrl): Feature {
    return featureOfType(type);
  }

  follow<I>(type: TypeUrl, lists: ResourceLists<I>): this {
    lists.feature ??= this.featureOf(type);
    this.ensure(type).follow(lists);
    this.followed.set(lists, type);
    return this;
  }

  table(type: TypeUrl): ResourceTable | undefined {
    return this.tables.get(type);
  }

  types(): IterableIterator<TypeUrl> {
    return this.tables.keys();
  }

  provenance(type: TypeUrl, name: string): ObjectKey[] | undefined {
    return this.tables.get(type)?.provenance(name);
  }

  dispose(): void {
    for (const table of this.tables.values()) table.dispose();
  }
}
