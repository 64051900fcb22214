import { expect, test } from 'vitest';
import { folders } from './folders.ts';
import { violations } from './dependency-rules.ts';

test('a folder imports its row and the rows of those', () => {
  expect(
    violations([
      { path: 'lib/a.ts', code: 'export const a = 1;' },
      { path: 'mesh/b.ts', code: "import { a } from '../lib/a.ts';\nexport const b = a;" },
      { path: 'envoy/c.ts', code: "import { a } from '../lib/a.ts';\nimport { b } from '../mesh/b.ts';\nexport const c = a + b;" },
    ]),
  ).toEqual([]);
});

test('an import against the direction of the data is named with its line', () => {
  expect(
    violations([
      { path: 'mesh/b.ts', code: "// why\nimport { c } from '../envoy/c.ts';\nexport { x } from '../xds/x.ts';" },
      { path: 'envoy/c.ts', code: 'export const c = 1;' },
    ]),
  ).toEqual(['src/mesh/b.ts:2: mesh/ may not import envoy/', 'src/mesh/b.ts:3: mesh/ may not import xds/']);
});

test('snapshot takes types from the streams and no values', () => {
  expect(violations([{ path: 'snapshot/a.ts', code: "import type { Part } from '../xds/source.ts';" }])).toEqual([]);
  expect(violations([{ path: 'snapshot/a.ts', code: "import { type Part, open } from '../xds/source.ts';" }])).toEqual([
    'src/snapshot/a.ts:1: snapshot/ may only `import type` from xds/',
  ]);
});

test('the pure core has no node: module and no package with side effects; its tests may', () => {
  const code = "import { readFile } from 'node:fs/promises';\nconst x = await import('pino');";
  expect(violations([{ path: 'wire/a.ts', code }])).toEqual([
    'src/wire/a.ts:1: wire/ is pure core: no node:fs/promises',
    'src/wire/a.ts:2: wire/ is pure core: no pino',
  ]);
  expect(violations([{ path: 'wire/a.test.ts', code }])).toEqual([]);
  expect(violations([{ path: 'sources/directory/a.ts', code: "import { readFile } from 'node:fs/promises';" }])).toEqual([]);
});

test('the signal engine is held by store alone', () => {
  const code = "import { signal } from 'alien-signals';";
  expect(violations([{ path: 'store/a.ts', code }])).toEqual([]);
  expect(violations([{ path: 'mesh/a.ts', code }])).toEqual(['src/mesh/a.ts:1: alien-signals is used in store only']);
});

test('a cycle is shown as its path', () => {
  expect(
    violations([
      { path: 'lib/a.ts', code: "import './b.ts';" },
      { path: 'lib/b.ts', code: "import { c } from './c.ts';" },
      { path: 'lib/c.ts', code: "import './a.ts';" },
    ]),
  ).toEqual(['cycle: lib/a.ts -> lib/b.ts -> lib/c.ts -> lib/a.ts']);
  expect(
    violations([
      { path: 'lib/a.ts', code: "import './b.ts';" },
      { path: 'lib/b.ts', code: "import type { A } from './a.ts';" },
    ]),
  ).toEqual([]);
});

test('each row names only folders before it, except where it takes types', () => {
  const names = Object.keys(folders);
  for (const [name, rule] of Object.entries(folders)) {
    for (const imported of rule.imports) expect(names.slice(0, names.indexOf(name)), `${name} -> ${imported}`).toContain(imported);
  }
});

test('a folder without a row is refused', () => {
  expect(violations([{ path: 'misc/a.ts', code: '' }])).toEqual(['src/misc/a.ts: folder misc/ has no row in scripts/folders.ts']);
});
