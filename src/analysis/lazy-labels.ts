/** Labels of lazy mode whose word is neither `true` nor `false`, and so none at all. */
import { keyOf, type ConfigObject } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import { lazyLabel } from '../mesh/lazy.ts';
import type { Mesh } from '../mesh/mesh.ts';
import { Derived, type KeySource } from '../store/collection.ts';

export function lazyLabelProblems(
  mesh: Mesh,
  onFault: (collection: string, key: string, error: unknown) => void,
): Derived<ConfigObject, readonly Problem[]>[] {
  const { Namespace, Pod, WorkloadEntry } = mesh.objects.kinds;
  return [Namespace, Pod, WorkloadEntry].map(
    (kind) =>
      new Derived<ConfigObject, readonly Problem[]>({
        name: `${kind.name} lazy labels`,
        from: kind as KeySource<ConfigObject>,
        compute: (_key, object) => problemsOf(object),
        equals: (a, b) => JSON.stringify(a) === JSON.stringify(b),
        onFault,
      }),
  );
}

function problemsOf(object: ConfigObject): readonly Problem[] | undefined {
  const spec = object.kind === 'WorkloadEntry' ? (object.spec as { readonly labels?: Readonly<Record<string, string>> }) : {};
  const places = [
    ['metadata', object.labels],
    ['spec', spec.labels ?? {}],
  ] as const;
  const problems = places.flatMap(([place, labels]): Problem[] => {
    const word = labels[lazyLabel];
    if (word === undefined || word === 'true' || word === 'false') return [];
    const message = `must be "true" or "false"; found ${JSON.stringify(word)}, which is passed over`;
    return [{ object: keyOf(object), path: `${place}.labels["${lazyLabel}"]`, reason: 'Invalid', severity: 'warning', message }];
  });
  return problems.length === 0 ? undefined : problems;
}
