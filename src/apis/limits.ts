/** Bounds on what is looked at: an object beyond them is refused before anything walks over it. */
export const maxDepth = 64;
/** Values in one object, lists and maps counted. An EndpointSlice of 1,000 endpoints has about 10,000. */
export const maxValues = 500_000;

/** Why the value is beyond the bounds, or undefined. Follows no cycle further than the depth allows. */
export function beyondLimits(value: unknown): string | undefined {
  let values = 0;
  const pending: [unknown, number][] = [[value, 0]];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const [item, depth] = next;
    if (++values > maxValues) return `has more than ${maxValues} values`;
    if (typeof item !== 'object' || item === null) continue;
    if (depth >= maxDepth) return `is nested deeper than ${maxDepth} levels`;
    for (const child of Object.values(item)) pending.push([child, depth + 1]);
  }
  return undefined;
}
