/** What every part translates with, and how an overlay leaves out what it has in common with the part below. */
import type { Problem } from '../apis/problem.ts';
import type { Mesh } from '../mesh/mesh.ts';
import type { Capabilities } from '../mesh/model.ts';
import type { Visibility } from '../mesh/visibility.ts';
import { Derived, MemoTable, type DerivedOptions, type KeySource } from '../store/collection.ts';
import type { Encoder } from './encoder.ts';
import { sameList, type ResourceList, type ResourceLists } from './table.ts';

export interface Translation {
  readonly mesh: Mesh;
  readonly visibility: Visibility;
  readonly encoder: Encoder;
  readonly capabilities: Capabilities;
  /** SPIFFE ids behind a service, by its key: changes of addresses alone do not show. */
  readonly identities: MemoTable<readonly string[]>;
  /** Told of the problems of one entry; an empty list when they are gone. */
  readonly report: (place: string, problems: readonly Problem[]) => void;
  readonly onFault: (collection: string, key: string, error: unknown) => void;
}

/** Who asks: `namespace` undefined is the public view. `labels` holds only the keys that some VirtualService matches clients by. */
export interface Scope {
  readonly namespace: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

export const publicScope: Scope = { namespace: undefined, labels: {} };

export function identitiesTable(mesh: Mesh): MemoTable<readonly string[]> {
  return new MemoTable<readonly string[]>(
    mesh.graph,
    [mesh.endpoints],
    (key) => mesh.endpoints.get(key)?.identities ?? [],
    (a, b) => a.length === b.length && a.every((id, i) => id === b[i]),
  );
}

/**
 * A collection of resource lists by host. Over a part below, an entry keeps only what differs from that part's entry for the same host and withholds
 * what only that part has.
 */
export function resourceLists<I>(
  translation: Translation,
  name: string,
  from: KeySource<I>,
  reads: NonNullable<DerivedOptions<I, ResourceList>['reads']>,
  translate: (host: string, problems: Problem[]) => readonly (ResourceList['resources'][number] | undefined)[],
  below?: ResourceLists<string>,
): ResourceLists<I> {
  const lists: ResourceLists<I> = new Derived<I, ResourceList>({
    name,
    from,
    reads: below === undefined ? reads : [...reads, below],
    compute: (host) => {
      const problems: Problem[] = [];
      const resources = translate(host, problems).filter((r) => r !== undefined);
      if (below === undefined) return { resources, hidden: [], problems };
      const theirs = below.get(host)?.resources ?? [];
      const own = new Set(resources.map((r) => r.name));
      return {
        resources: resources.filter((r) => !theirs.some((t) => t.name === r.name && t.version === r.version && t.vhds === r.vhds)),
        hidden: theirs.filter((t) => !own.has(t.name)).map((t) => t.name),
        problems,
      };
    },
    equals: sameList,
    onFault: translation.onFault,
  });
  lists.listen((key, now, before) => {
    if ((now?.problems.length ?? 0) > 0 || (before?.problems.length ?? 0) > 0) translation.report(`${name}|${key}`, now?.problems ?? []);
  });
  return lists;
}
