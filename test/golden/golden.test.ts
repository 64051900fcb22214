/**
 * Each folder `<feature>/<case>` has manifests in `input.yaml` and what one proxy gets from them, as YAML: clusters, endpoints, listeners, routes and
 * problems, those that the case is about. `options.yaml` says which proxy and which of these; `npm run golden` writes them anew.
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { bytesToJson } from '../../src/wire/json.ts';
import { clusterType, endpointType, listenerType, routeType } from '../../src/wire/types.ts';
import { type ProxyNode, registry, translateFolder, type TranslatedFolder } from '../harness/translate.ts';

interface Options {
  readonly proxy: ProxyNode;
  /** Names to keep of each file; a file that is not named here is not kept. `*`: all. */
  readonly keep: Readonly<Record<string, '*' | readonly string[]>>;
}

const refresh = process.env['GOLDEN'] === 'update';
const types = { clusters: clusterType, endpoints: endpointType, listeners: listenerType, routes: routeType } as const;

const folders = (dir: string): string[] =>
  readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();

describe.each(folders(import.meta.dirname))('%s', (feature) => {
  const dir = join(import.meta.dirname, feature);
  it.each(folders(dir))('%s', async (name) => {
    const folder = join(dir, name);
    const options = parse(readFileSync(join(folder, 'options.yaml'), 'utf8')) as Options;
    const actual = render(await translateFolder(join(folder, 'input.yaml'), options.proxy), options);
    if (refresh) write(folder, actual);
    expect(actual).toEqual(read(folder));
  });
});

/** Contents by file name. */
function render(translated: TranslatedFolder, { keep }: Options): Record<string, string> {
  const files: Record<string, string> = {};
  for (const [kind, type] of Object.entries(types)) {
    const names = keep[kind];
    if (names === undefined) continue;
    const found = translated[kind as keyof typeof types];
    const missing = names === '*' ? [] : names.filter((name) => !found.has(name));
    if (missing.length > 0) throw new Error(`no ${kind} ${missing.join(', ')}; there are ${[...found.keys()].join(', ')}`);
    const kept = [...found].filter(([name]) => names === '*' || names.includes(name));
    files[`${kind}.yaml`] = text(kept.map(([, bytes]) => bytesToJson(type, bytes, registry())));
  }
  if (keep['problems'] !== undefined) {
    const problems = translated.problems.map(({ object, path, reason, severity, message }) => ({
      object,
      path,
      reason,
      severity,
      message,
    }));
    files['problems.yaml'] = text(problems);
  }
  return files;
}

const text = (value: unknown): string => stringify(value, { lineWidth: 140, aliasDuplicateObjects: false });

const inputs = new Set(['input.yaml', 'options.yaml']);

function read(folder: string): Record<string, string> {
  const files = readdirSync(folder).filter((file) => !inputs.has(file));
  return Object.fromEntries(files.map((file) => [file, readFileSync(join(folder, file), 'utf8')]));
}

function write(folder: string, files: Readonly<Record<string, string>>): void {
  for (const file of Object.keys(read(folder))) if (!(file in files)) rmSync(join(folder, file));
  for (const [file, content] of Object.entries(files)) {
    const path = join(folder, file);
    if (!existsSync(path) || readFileSync(path, 'utf8') !== content) writeFileSync(path, content);
  }
}
