/** Which objects each resource of a proxy was made from, as rows. */
import { resourcesSeen, type DumpSubject } from '../../admin/dump.ts';
import { pushOrder, shortName } from '../../wire/types.ts';
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
export function explainRows(subject: DumpSubject): ExplainRow[] {
  return pushOrder.flatMap((type) =>
    [...resourcesSeen(subject, type).keys()].sort().map((name) => {
      const found = subject.explain(type, name);
      return { type: shortName(type), name, part: found?.part ?? '', objects: found?.objects ?? [] };
    }),
  );
}
