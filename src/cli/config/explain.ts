/** Which objects each resource of a proxy was made from, as rows. */
import type { DumpSubject } from '../../admin/dump.ts';
import { byPushOrder, pushOrder, shortName } from '../../wire/types.ts';
import type { Column } from '../output.ts';

export interface ExplainRow {
  readonly type: string;
  readonly name: string;
  readonly part: string;
  readonly objects: readonly string[];
}

export const explainColumns: readonly Column<ExplainRow>[] = [
  { title: 'TYPE', value: (r) => r.type },
  { title: 'RESOURCE', value: (r) => r.name },
  { title: 'MADE FROM', value: (r) => r.objects.join(', ') },
];

/** By type in the order in which they are pushed, then by name. */
export function explainRows({ parts, explain }: DumpSubject): ExplainRow[] {
  return [...pushOrder].sort(byPushOrder).flatMap((type) => {
    const names = new Set<string>();
    for (const part of parts) {
      const table = part.table(type);
      if (table === undefined) continue;
      for (const name of names) if (table.hides(name)) names.delete(name);
      for (const name of table.names()) names.add(name);
    }
    return [...names].sort().map((name) => {
      const found = explain(type, name);
      return { type: shortName(type), name, part: found?.part ?? '', objects: found?.objects ?? [] };
    });
  });
}
