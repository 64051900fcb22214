import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadDirectory } from './load.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mizzen-load-'));
});
afterEach(() => rm(dir, { recursive: true }));

const service = (name: string, extra = '') =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {ports: [{port: 80}]${extra}}\n`;

it('reads a folder or one file, sorted by key, with its problems', async () => {
  await mkdir(join(dir, 'sub'));
  await writeFile(join(dir, 'z.yaml'), service('b'));
  await writeFile(join(dir, 'sub/a.yaml'), `${service('a')}---\n${service('b')}---\nkind: [\n`);
  const { objects, problems } = await loadDirectory(dir);
  expect(objects.map((object) => [object.name, object.origin.file, object.origin.line])).toEqual([
    ['a', join(dir, 'sub/a.yaml'), 1],
    ['b', join(dir, 'sub/a.yaml'), 6],
  ]);
  expect(problems.map((problem) => [problem.reason, problem.origin?.file, problem.origin?.line])).toEqual([
    ['Invalid', join(dir, 'sub/a.yaml'), 12],
    ['Conflict', join(dir, 'z.yaml'), 1],
  ]);
  expect((await loadDirectory(join(dir, 'z.yaml'))).objects.map((object) => object.name)).toEqual(['b']);
});

it('does not speak of a last good version, which it cannot have', async () => {
  await writeFile(join(dir, 'a.yaml'), `a: "\n---\n${service('B')}`);
  const { objects, problems } = await loadDirectory(dir);
  expect(objects).toEqual([]);
  expect(problems.length).toBe(2);
  expect(problems.map((problem) => problem.message).join()).not.toContain('last good');
});

it('names the folder that is missing, and bounds their number', async () => {
  await expect(loadDirectory(join(dir, 'nowhere'))).rejects.toThrow(/nowhere/);
  for (const name of ['a', 'b', 'c']) await writeFile(join(dir, `${name}.yaml`), service(name));
  const { objects, problems } = await loadDirectory(dir, { maxFiles: 2 });
  expect(objects.map((object) => object.name)).toEqual(['a', 'b']);
  expect(problems.map((problem) => problem.message)).toEqual(['has more than 2 files; the others are not read']);
});
