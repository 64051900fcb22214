import type { EncodedResource } from '../../wire/resource.ts';
import type { Part, Table } from '../../xds/source.ts';

/** A part that has these resources by type and withholds the names `hides`. */
export function fixedPart(tables: Readonly<Record<string, readonly EncodedResource[]>>, hides: readonly string[] = []): Part {
  return {
    id: 'test',
    table: (type) => {
      const resources = tables[type];
      if (resources === undefined) return undefined;
      const byName = new Map(resources.map((r) => [r.name, r]));
      const table: Table = {
        version: 1,
        size: byName.size,
        get: (name) => byName.get(name),
        hides: (name) => hides.includes(name),
        hiddenSize: hides.length,
        hiddenNames: () => hides,
        names: () => byName.keys(),
        namesUnder: () => [],
        changedSince: () => undefined,
      };
      return table;
    },
  };
}
