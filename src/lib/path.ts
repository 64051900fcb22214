/** Paths inside an object: `spec.http[0].match[1].headers["x.y"].exact`. */

const plain = /^[A-Za-z0-9_$-]+$/;

export function fieldPath(parent: string, field: string): string {
  if (!plain.test(field)) return `${parent}[${JSON.stringify(field)}]`;
  return parent === '' ? field : `${parent}.${field}`;
}

export function indexPath(parent: string, index: number): string {
  return `${parent}[${index}]`;
}

const segment = /\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|([^.[\]"]+)/g;

/** The steps of a path: strings are fields, numbers are elements of a list. */
export function pathSteps(path: string): (string | number)[] {
  return [...path.matchAll(segment)].map(([, index, quoted, field]) => {
    if (index !== undefined) return Number(index);
    return quoted === undefined ? (field ?? '') : (JSON.parse(`"${quoted}"`) as string);
  });
}
