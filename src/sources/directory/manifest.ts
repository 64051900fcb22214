/** What one file declares: its objects, its problems, and what is kept of its last good version. */
import { isDeepStrictEqual } from 'node:util';
import { type ConfigObject, objectKey, type ObjectKey } from '../../apis/object.ts';
import { parseObject } from '../../apis/parse.ts';
import type { Problem } from '../../apis/problem.ts';
import { pathSteps } from '../../lib/path.ts';
import { type Chunk, splitChunks } from './chunks.ts';
import { createPlace, type Place, type Position } from './place.ts';
import { type FieldLines, parseYaml } from './yaml.ts';

export interface Entry {
  readonly key: ObjectKey;
  readonly object: ConfigObject;
  /** Behind the object's origin. */
  readonly place: Place;
  readonly position: Position;
  /** From an earlier version of the file, because the present one is broken. */
  readonly retained: boolean;
}

interface ParsedChunk extends Chunk {
  readonly entries: readonly Entry[];
  readonly problems: readonly Problem[];
  /** Does not parse, or names no object, so that nobody knows which ones it declares. */
  readonly broken: boolean;
  /** Objects that it declares in a form that is refused. */
  readonly refused: readonly ObjectKey[];
  /** What is in force instead of those of them that have no earlier version. */
  readonly standIns: readonly Entry[];
}

export interface Manifest {
  readonly file: string;
  readonly chunks: readonly ParsedChunk[];
  /** First declaration of each object, and what is retained. */
  readonly entries: ReadonlyMap<ObjectKey, Entry>;
  /** Later declarations of an object that the file has already. */
  readonly duplicates: readonly Entry[];
  readonly problems: readonly Problem[];
  readonly broken: boolean;
}

/** The key under which problems of a file as a whole are reported. */
export function fileKey(file: string): ObjectKey {
  return objectKey('File', '', file);
}

/** A problem of the file as a whole. */
export function fileProblem(file: string, message: string, line?: number): Problem {
  return {
    object: fileKey(file),
    path: '',
    reason: 'Invalid',
    severity: 'error',
    message,
    origin: { file, ...(line !== undefined && { line }) },
  };
}

/**
 * Reads `text` as the new version of `previous`. Documents that did not change are taken over as they are. Yields between documents (`pause`), so that
 * a large file does not hold up the streams.
 */
export async function readManifest(
  file: string,
  text: string,
  previous: Manifest | undefined,
  lines: FieldLines,
  pause: () => Promise<void>,
): Promise<Manifest> {
  const known = new Map<string, ParsedChunk[]>();
  for (const chunk of previous?.chunks ?? []) {
    const same = known.get(chunk.text);
    if (same === undefined) known.set(chunk.text, [chunk]);
    else same.push(chunk);
  }
  const chunks: ParsedChunk[] = [];
  for (const chunk of splitChunks(text)) {
    const same = known.get(chunk.text)?.shift();
    const reused = same === undefined ? undefined : moveChunk(same, chunk.line);
    if (reused === undefined) await pause();
    chunks.push(reused ?? parseChunk(file, chunk, lines));
  }
  return assemble(file, chunks, previous);
}

/** The same documents at another line; undefined where their problems name lines and have to be found again. */
function moveChunk(chunk: ParsedChunk, line: number): ParsedChunk | undefined {
  if (chunk.line === line) return chunk;
  if (chunk.problems.length > 0) return undefined;
  const entries = chunk.entries.map((entry) => ({ ...entry, position: { ...entry.position, chunkLine: line } }));
  return { ...chunk, line, entries };
}

function parseChunk(file: string, chunk: Chunk, lines: FieldLines): ParsedChunk {
  const { values, faults } = parseYaml(chunk.text);
  const entries: Entry[] = [];
  const refused: ObjectKey[] = [];
  const standIns: Entry[] = [];
  let broken = faults.length > 0;
  const problems = faults.map(({ line, column, message }) =>
    fileProblem(file, `line ${chunk.line + line - 1}, column ${column}: ${message}`, chunk.line + line - 1),
  );
  for (const { value, document, line } of values) {
    for (const [raw, prefix] of flattenList(value)) {
      const at = prefix === '' ? line : (lines.lineOf(chunk.text, document, pathSteps(prefix)) ?? line);
      const position: Position = { file, chunkLine: chunk.line, line: at, text: chunk.text, document, prefix };
      const place = createPlace(position, lines);
      const { key, object, standIn, problems: found } = parseObject(raw, place.origin);
      problems.push(...found);
      if (object === undefined && !isNamed(raw)) broken = true;
      if (standIn !== undefined) standIns.push({ key, object: standIn, place, position, retained: true });
      if (object === undefined) refused.push(key);
      else entries.push({ key, object, place, position, retained: false });
    }
  }
  return { ...chunk, entries, refused, standIns, problems, broken };
}

function isNamed(raw: unknown): boolean {
  const { kind, metadata } = (raw ?? {}) as { kind?: unknown; metadata?: { name?: unknown } | null };
  return typeof kind === 'string' && typeof metadata?.name === 'string';
}

/** The objects of a `kind: List` (as kubectl writes them), or the value itself. */
function flattenList(value: unknown, prefix = '', depth = 0): [raw: unknown, prefix: string][] {
  const { kind, items } = (value ?? {}) as { kind?: unknown; items?: unknown };
  if (typeof kind !== 'string' || !kind.endsWith('List') || !Array.isArray(items) || depth > 2) return [[value, prefix]];
  return items.flatMap((item, index) => flattenList(item, `${prefix === '' ? '' : `${prefix}.`}items[${index}]`, depth + 1));
}

function assemble(file: string, chunks: readonly ParsedChunk[], previous: Manifest | undefined): Manifest {
  const entries = new Map<ObjectKey, Entry>();
  const duplicates: Entry[] = [];
  for (const { entries: declared } of chunks) {
    for (const entry of declared) {
      if (entries.has(entry.key)) duplicates.push(entry);
      else entries.set(entry.key, withUnchangedObject(entry, previous));
    }
  }
  const broken = chunks.some((chunk) => chunk.broken);
  const lost = broken ? (previous?.entries.keys() ?? []) : chunks.flatMap((chunk) => chunk.refused);
  for (const key of lost) {
    const entry = previous?.entries.get(key);
    if (entry !== undefined && !entries.has(key)) entries.set(key, { ...entry, retained: true });
  }
  for (const standIn of chunks.flatMap((chunk) => chunk.standIns)) {
    if (!entries.has(standIn.key)) entries.set(standIn.key, withUnchangedObject(standIn, previous));
  }
  const kept = [...entries.values()].filter((entry) => entry.retained);
  const retained = new Set(kept.filter(({ object }) => object.unreadable !== true).map(({ key }) => key));
  const closed = new Set(kept.filter(({ object }) => object.unreadable === true).map(({ key }) => key));
  const problems = chunks.flatMap((chunk) => chunk.problems).map((problem) => notingClosed(notingRetained(problem, retained), closed));
  return { file, chunks, entries, duplicates, problems, broken };
}

/** Says on an error what is still in force in spite of it. */
function notingRetained(problem: Problem, retained: ReadonlySet<ObjectKey>): Problem {
  const kept = problem.object.startsWith('File/') ? retained.size > 0 : retained.has(problem.object);
  if (problem.severity !== 'error' || !kept) return problem;
  return { ...problem, message: `${problem.message}; the last good version stays in force` };
}

function notingClosed(problem: Problem, closed: ReadonlySet<ObjectKey>): Problem {
  if (problem.severity !== 'error' || !closed.has(problem.object)) return problem;
  const consequence = problem.object.startsWith('PeerAuthentication/') ? 'take mutual TLS only' : 'are held back';
  return { ...problem, message: `${problem.message}; until it is mended the workloads that it selects ${consequence}` };
}

/** Keeps the object of the last version where only text changed: comments, order of fields, quotes. */
function withUnchangedObject(entry: Entry, previous: Manifest | undefined): Entry {
  const before = previous?.entries.get(entry.key);
  if (before === undefined || before.object === entry.object || !sameContent(before.object, entry.object)) return entry;
  return { ...entry, object: before.object, place: before.place };
}

/** Whether two objects say the same, wherever they were read. */
export function sameContent(a: ConfigObject, b: ConfigObject): boolean {
  const { origin: _originA, ...contentA } = a;
  const { origin: _originB, ...contentB } = b;
  return isDeepStrictEqual(contentA, contentB);
}
