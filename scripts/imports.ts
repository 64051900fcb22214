/** The imports of a TypeScript file, by a real parser: comments and strings do not fool it. */
import { parseSync } from 'oxc-parser';

export interface Import {
  /** As written: `../apis/object.ts`, `node:fs`, `#gen/...`. */
  readonly specifier: string;
  /** Nothing of it is left at run time. */
  readonly typeOnly: boolean;
  /** 1-based. */
  readonly line: number;
}

/** Static imports, re-exports, and dynamic imports with a literal argument. Throws on a file that does not parse. */
export function importsOf(file: string, code: string): Import[] {
  const { module, errors } = parseSync(file, code);
  const error = errors[0];
  if (error !== undefined) throw new Error(`${file}: ${error.message}`);
  const lineAt = (offset: number): number => code.slice(0, offset).split('\n').length;
  const found: Import[] = [];
  for (const statement of module.staticImports) {
    // `import './x.ts'` has no entries and runs the module.
    const typeOnly = statement.entries.length > 0 && statement.entries.every((e) => e.isType);
    found.push({ specifier: statement.moduleRequest.value, typeOnly, line: lineAt(statement.start) });
  }
  for (const statement of module.staticExports) {
    const from = statement.entries.filter((e) => e.moduleRequest !== null);
    const specifier = from[0]?.moduleRequest?.value;
    if (specifier !== undefined) found.push({ specifier, typeOnly: from.every((e) => e.isType), line: lineAt(statement.start) });
  }
  for (const call of module.dynamicImports) {
    const literal = /^(['"])(.*)\1$/.exec(code.slice(call.moduleRequest.start, call.moduleRequest.end))?.[2];
    if (literal !== undefined) found.push({ specifier: literal, typeOnly: false, line: lineAt(call.start) });
  }
  return found;
}
