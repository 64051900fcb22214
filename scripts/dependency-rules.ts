/** Checks of the folder table, the pure core and cycles, over files in memory. */
import { dirname, join, normalize } from 'node:path/posix';
import { allowed, folders, impurePackages, packageHomes } from './folders.ts';
import { importsOf, type Import } from './imports.ts';

export interface SourceFile {
  /** Relative to src/, with `/`. */
  readonly path: string;
  readonly code: string;
}

/** `src/mesh/x.ts:3: ...`, sorted; empty when every rule holds. */
export function violations(files: readonly SourceFile[]): string[] {
  const graph = new Map<string, readonly Import[]>(files.map((f) => [f.path, importsOf(f.path, f.code)]));
  const found: string[] = [];
  for (const [path, imports] of graph) {
    if (isTest(path) || !path.includes('/')) continue;
    const folder = folderOf(path);
    if (folders[folder] === undefined) {
      found.push(`src/${path}: folder ${folder}/ has no row in scripts/folders.ts`);
      continue;
    }
    for (const i of imports) {
      const why = refusal(path, folder, i);
      if (why !== undefined) found.push(`src/${path}:${i.line}: ${why}`);
    }
  }
  return [...found.sort(), ...cycles(graph)];
}

function refusal(path: string, folder: string, i: Import): string | undefined {
  const may = allowed(folder);
  if (i.specifier.startsWith('.')) {
    const target = resolved(path, i.specifier);
    if (isTest(target)) return `source does not import test code (${i.specifier})`;
    const to = folderOf(target);
    if (may.values.has(to) || (i.typeOnly && may.types.has(to))) return undefined;
    return may.types.has(to) ? `${folder}/ may only \`import type\` from ${to}/` : `${folder}/ may not import ${to}/`;
  }
  if (i.specifier.startsWith('#gen/')) return may.values.has('wire') ? undefined : `${folder}/ may not import Envoy's generated types`;
  const name = packageOf(i.specifier);
  if (folders[folder]?.pure === true && !i.typeOnly && (i.specifier.startsWith('node:') || impurePackages.includes(name))) {
    return `${folder}/ is pure core: no ${i.specifier}`;
  }
  const homes = packageHomes[name];
  return homes === undefined || i.typeOnly || homes.includes(folder) ? undefined : `${name} is used in ${homes.join(', ')} only`;
}

/** Each cycle once, as `cycle: a -> b -> a`. Types may refer to each other: nothing of that is left at run time. */
function cycles(graph: ReadonlyMap<string, readonly Import[]>): string[] {
  const found = new Set<string>();
  const done = new Set<string>();
  const stack: string[] = [];
  const visit = (path: string): void => {
    if (done.has(path)) return;
    const at = stack.indexOf(path);
    if (at >= 0) {
      found.add(`cycle: ${[...stack.slice(at), path].join(' -> ')}`);
      return;
    }
    stack.push(path);
    for (const i of graph.get(path) ?? []) {
      if (!i.typeOnly && i.specifier.startsWith('.') && graph.has(resolved(path, i.specifier))) visit(resolved(path, i.specifier));
    }
    stack.pop();
    done.add(path);
  };
  for (const path of graph.keys()) visit(path);
  return [...found];
}

function resolved(from: string, specifier: string): string {
  return normalize(join(dirname(from), specifier));
}

function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.indexOf('/')));
}

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** Tests and their harnesses may reach across folders and use Node. */
function isTest(path: string): boolean {
  return path.endsWith('.test.ts') || path.split('/').includes('testing');
}
