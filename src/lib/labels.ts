export type Labels = Readonly<Record<string, string>>;

/** Whether `labels` has every pair of `selector`; an empty selector matches everything. */
export function matchesLabels(selector: Labels, labels: Labels): boolean {
  for (const key in selector) {
    if (!Object.hasOwn(labels, key) || labels[key] !== selector[key]) return false;
  }
  return true;
}

/** The pair of a selector by which it is indexed: the first by key. */
export function firstPair(selector: Labels): string | undefined {
  const key = Object.keys(selector).sort()[0];
  return key === undefined ? undefined : `${key}=${selector[key] ?? ''}`;
}
