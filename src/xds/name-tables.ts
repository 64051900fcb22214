import { unnamedResource, concat, type Pieces } from '../wire/join.ts';
import { nameTableType } from '../wire/types.ts';
import type { Form } from './encoder.ts';
import type { Table } from './source.ts';
import type { PartsView } from './view.ts';

interface Whole {
  readonly version: number;
  readonly bytes: Uint8Array;
}

interface Covered {
  readonly tables: readonly Table[];
  readonly versions: readonly number[];
  readonly bytes: Uint8Array;
}

/**
 * Name tables: what a part has are entries by name, each the encoded `table` field of one NameTable; what travels is one message with all entries that a
 * proxy sees, because the agent replaces its table with it. Of a name that comes twice the last entry counts, as protobuf has it for maps, so that the
 * tables of the parts follow one another as they are, lowest first. Only where a part withholds a name the entries are picked one by one.
 */
export class NameTables {
  readonly #whole = new WeakMap<Table, Whole>();
  /** By the uppermost table. */
  readonly #covered = new WeakMap<Table, Covered>();

  /** The `resources` field of a response, in pieces that streams share; undefined when no part has such a table. */
  frames(form: Form, version: string, view: PartsView): Pieces | undefined {
    const tables = view.parts.map((part) => part.table(nameTableType)).filter((table) => table !== undefined);
    const upper = tables.at(-1);
    if (upper === undefined) return undefined;
    const withheld = tables.some((table, i) => table.hiddenSize > 0 && i > 0);
    const pieces = withheld ? [this.#visible(view, tables, upper)] : tables.map((table) => this.#all(table));
    return unnamedResource(form, version, nameTableType, pieces);
  }

  #all(table: Table): Uint8Array {
    const known = this.#whole.get(table);
    if (known?.version === table.version) return known.bytes;
    const entries: Uint8Array[] = [];
    for (const name of table.names()) entries.push(table.get(name)?.bytes ?? none);
    const bytes = concat(...entries);
    this.#whole.set(table, { version: table.version, bytes });
    return bytes;
  }

  #visible(view: PartsView, tables: readonly Table[], upper: Table): Uint8Array {
    const known = this.#covered.get(upper);
    const same = (table: Table, i: number): boolean => known?.tables[i] === table && known.versions[i] === table.version;
    if (known?.tables.length === tables.length && tables.every(same)) return known.bytes;
    const bytes = concat(...[...view.resources(nameTableType)].map((resource) => resource.bytes));
    this.#covered.set(upper, { tables, versions: tables.map((table) => table.version), bytes });
    return bytes;
  }
}

const none = new Uint8Array(0);
