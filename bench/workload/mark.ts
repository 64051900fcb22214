/** What shows that a change has arrived at a proxy. */
export type Mark =
  /** A response of one of the types holds a text that nothing else holds. */
  | { readonly kind: 'text'; readonly types: readonly string[]; readonly text: string }
  /** Resources of all these names have come. */
  | { readonly kind: 'names'; readonly types: readonly string[]; readonly names: readonly string[] }
  /** Resources of all these names are gone: told over delta, left out of the whole over SotW. */
  | { readonly kind: 'removed'; readonly types: readonly string[]; readonly names: readonly string[] };

/** In a sentence, for reports. */
export function describeMark(mark: Mark): string {
  const types = mark.types.map((type) => type.slice(type.lastIndexOf('.') + 1)).join(' or ');
  if (mark.kind === 'text') return `${types} with "${mark.text}"`;
  const [first = ''] = mark.names;
  const names = mark.names.length === 1 ? first : `${mark.names.length} names such as ${first}`;
  return `${types} ${names}${mark.kind === 'removed' ? ' gone' : ''}`;
}
