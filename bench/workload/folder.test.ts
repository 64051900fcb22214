import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { changeScenarios } from './changes.ts';
import { FolderFeed } from './folder.ts';
import { meshItems, type MeshSize } from './mesh.ts';

const size: MeshSize = { services: 5, virtualServices: 2, proxies: 3, layout: 'default' };

test('a change rewrites the file that holds the object; what is new goes to a file that is there, and can be removed from it', async () => {
  const parent = mkdtempSync(join(tmpdir(), 'mizzen-folder-feed-'));
  onTestFinished(() => rmSync(parent, { recursive: true }));
  const path = join(parent, 'mesh');
  await using feed = new FolderFeed(path);
  await feed.load(meshItems(size));
  const names = readdirSync(path).toSorted();
  expect(names).toEqual([
    'others.yaml',
    'route-0.yaml',
    'route-1.yaml',
    'svc-0.yaml',
    'svc-1.yaml',
    'svc-2.yaml',
    'svc-3.yaml',
    'svc-4.yaml',
  ]);
  const documents = (file: string): number => parseAllDocuments(readFileSync(join(path, file), 'utf8')).length;
  // Namespaces and the mesh config.
  expect(documents('others.yaml')).toBe(7);
  const scenario = (name: string) => changeScenarios(size, 3).find((s) => s.name === name);
  const endpoint = scenario('endpoint')?.change(1, 0);
  await feed.apply(endpoint?.edit ?? {});
  const holding = names.filter(
    (file) => endpoint?.mark.kind === 'text' && readFileSync(join(path, file), 'utf8').includes(endpoint.mark.text),
  );
  expect(holding).toEqual([`svc-${7919 % 5}.yaml`]);
  const bulk = scenario('bulk');
  const { firstMs, lastMs } = await feed.apply(bulk?.change(2, 0).edit ?? {});
  expect(lastMs).toBe(firstMs);
  expect(documents('others.yaml')).toBe(10);
  await feed.apply(bulk?.restore?.(2).edit ?? {});
  expect(documents('others.yaml')).toBe(7);
  await expect((async () => feed.apply(bulk?.restore?.(2).edit ?? {}))()).rejects.toThrow('cannot be removed');
  expect(readdirSync(path).toSorted()).toEqual(names);
});
