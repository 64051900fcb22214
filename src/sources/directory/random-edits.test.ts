import { mkdir, mkdtemp, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { keyOf } from '../../apis/object.ts';
import { RecordingSink } from '../testing/recording-sink.ts';
import { DirectorySource } from './directory-source.ts';
import { loadDirectory } from './load.ts';

/** What the sink holds, and a fresh look at the same folder, in a form that can be compared. */
const state = (objects: Iterable<{ kind: string; namespace: string; name: string; spec: unknown }>) =>
  [...objects].map((object) => `${keyOf(object)} ${JSON.stringify(object.spec)}`).toSorted();

it('ends where a fresh load ends after 400 random edits', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'mizzen-random-'));
  const sink = new RecordingSink();
  const source = new DirectorySource({ dir });
  const controller = new AbortController();
  const running = source.run(sink, controller.signal);
  try {
    await source.ready;
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return Math.floor((seed / 2147483648) * below);
    };
    const document = (name: number) =>
      `apiVersion: v1\nkind: Service\nmetadata: {name: s${name}}\nspec: {ports: [{port: ${1 + random(9)}}]}\n`;
    const text = () => Array.from({ length: 1 + random(3) }, () => document(random(12))).join('---\n');
    const ignoreMissing = (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    };
    await mkdir(join(dir, 'sub'));
    const file = () => join(dir, ['', 'sub'][random(2)] ?? '', `f${random(5)}.yaml`);
    const edits = [
      () => writeFile(file(), text()),
      () => writeFile(file(), text()),
      async () => {
        await writeFile(join(dir, '.new'), text());
        await rename(join(dir, '.new'), file());
      },
      () => writeFile(file(), `${text()}---\nbroken: [`),
      () => unlink(file()).catch(ignoreMissing),
      () => rename(file(), file()).catch(ignoreMissing),
      async () => {
        await rm(join(dir, 'sub'), { recursive: true });
        await mkdir(join(dir, 'sub'));
      },
    ];
    for (let round = 0; round < 400; round++) await edits[random(edits.length)]?.();
    // What is broken keeps its last good version, which a fresh load does not know.
    for (let i = 0; i < 5; i++) {
      await writeFile(join(dir, `f${i}.yaml`), text());
      await rm(join(dir, `sub/f${i}.yaml`), { force: true });
    }
    await writeFile(join(dir, 'last.yaml'), document(99));
    const fresh = await loadDirectory(dir);
    const expected = state(fresh.objects);
    await sink.until(() => JSON.stringify(state(sink.objects.values())) === JSON.stringify(expected));
    await sink.until(() => sink.problems.length === fresh.problems.length);
    const places = (objects: Iterable<(typeof fresh.objects)[number]>) =>
      [...objects].map((object) => `${keyOf(object)} ${object.origin.file}:${object.origin.line}`).toSorted();
    expect(places(sink.objects.values())).toEqual(places(fresh.objects));
  } finally {
    controller.abort();
    await running;
    await rm(dir, { recursive: true });
  }
}, 20_000);
