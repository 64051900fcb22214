/** Finds what an object says that no translator reads. */
import { fieldPath, indexPath } from '../lib/path.ts';
import type { ConfigObject } from './object.ts';
import { translatedPaths } from './translated/index.ts';

/** A tree of path steps. `[]` stands for the elements of a list, `*` for the values of a map. */
interface PathTree {
  /** Everything from here on is translated; with `values`, only these. */
  covered: boolean;
  values?: readonly string[];
  readonly children: Map<string, PathTree>;
}

function buildTree(patterns: readonly string[]): PathTree {
  const root: PathTree = { covered: false, children: new Map() };
  for (const pattern of patterns) {
    const [path = '', values] = pattern.split('=');
    let node = root;
    for (const step of path.replaceAll('[]', '.[]').split('.')) {
      let child = node.children.get(step);
      if (child === undefined) node.children.set(step, (child = { covered: false, children: new Map() }));
      node = child;
    }
    node.covered = true;
    if (values !== undefined) node.values = values.split('|');
  }
  return root;
}

const trees: ReadonlyMap<string, PathTree> = new Map(
  Object.entries(translatedPaths).map(([kind, patterns]) => [kind, buildTree(patterns)]),
);

/** The outermost paths of `value` that none of the patterns covers, in its own order. */
export function uncoveredPaths(value: unknown, patterns: readonly string[]): string[] {
  return uncovered(value, buildTree(patterns), '');
}

/** The outermost paths of `object` that have no effect yet, in the order of the object. Empty lists and maps say nothing and are passed over. */
export function untranslatedPaths(object: Pick<ConfigObject, 'kind' | 'spec'>): string[] {
  const tree = trees.get(object.kind);
  return tree === undefined ? [] : uncovered({ spec: object.spec }, tree, '');
}

function uncovered(value: unknown, node: PathTree, path: string): string[] {
  if (node.covered) return node.values === undefined || node.values.includes(String(value)) ? [] : [path];
  if (Array.isArray(value)) {
    const element = node.children.get('[]');
    if (element === undefined) return value.length === 0 ? [] : [path];
    return value.flatMap((item, index) => uncovered(item, element, indexPath(path, index)));
  }
  if (typeof value !== 'object' || value === null) return [path];
  const entries = Object.entries(value);
  if (node.children.size === 0) return entries.length === 0 ? [] : [path];
  return entries.flatMap(([name, field]) => {
    const child = node.children.get(name) ?? node.children.get('*');
    const at = fieldPath(path, name);
    if (child !== undefined) return uncovered(field, child, at);
    return isEmpty(field) ? [] : [at];
  });
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}
