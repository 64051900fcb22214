/** From what a source read to an object that the rest of the program can trust. */
import { suggest } from '../lib/suggest.ts';
import type { KindSchema } from './kind.ts';
import { findKind, kinds } from './kinds.ts';
import { beyondLimits } from './limits.ts';
import { readMetadata } from './metadata.ts';
import { type ConfigObject, objectKey, type ObjectKey, type Origin } from './object.ts';
import type { Problem } from './problem.ts';
import { mayProtect, protections } from './protection.ts';
import { isObject, quote, readStructure, type Report } from './structure.ts';
import { untranslatedPaths } from './untranslated.ts';
import { validateObject } from './validation/index.ts';

export interface ParsedObject {
  /** What it calls itself, as far as that can be read. */
  readonly key: ObjectKey;
  /** Absent where an API server with validation would have refused the object, or where its kind is not read. */
  readonly object?: ConfigObject;
  /** For a refused object of a security kind: what is to be in force where there is no earlier version. What it selects is closed, not open. */
  readonly standIn?: ConfigObject;
  readonly problems: readonly Problem[];
}

/** Problems that are kept of one object. */
const maxProblems = 100;

/** Never throws: whatever is wrong with `raw` is a problem with its path. */
export function parseObject(raw: unknown, origin: Origin): ParsedObject {
  const problems: Problem[] = [];
  const key = keyOfRaw(raw, origin.cluster);
  const report: Report = (path, message, reason = 'Invalid', severity = 'error') => {
    if (problems.length > maxProblems) return;
    const text = problems.length === maxProblems ? 'has more problems than are shown here' : message;
    problems.push({ object: key, path, reason, severity, message: text, origin: originOf(origin, path) });
  };
  const object = parse(raw, origin, report);
  if (object !== undefined) return { key, object, problems };
  const standIn = standInFor(raw, origin);
  return standIn === undefined ? { key, problems } : { key, standIn, problems };
}

/** As much of a refused security object as says where it is and what it selects; a selector that cannot be read selects all. */
function standInFor(raw: unknown, origin: Origin): ConfigObject | undefined {
  if (!isObject(raw) || typeof raw['apiVersion'] !== 'string' || typeof raw['kind'] !== 'string') return undefined;
  const { apiVersion, kind } = raw;
  if (!isSecurity(apiVersion) && !mayProtect(kind)) return undefined;
  const definition = findKind(apiVersion, kind);
  if (definition === undefined) return undefined;
  if (mayProtect(kind) && beyondLimits(raw) === undefined && protections(kind, raw['spec']).length === 0) return undefined;
  const meta = readMetadata(raw['metadata'], definition.scope, () => undefined);
  if (meta === undefined) return undefined;
  const { resourceVersion: _resourceVersion, ...names } = meta;
  return { kind, apiVersion, ...names, spec: selectionOf(kind, raw['spec']), origin, unreadable: true };
}

function selectionOf(kind: string, spec: unknown): object {
  const [field, labelsField] = kind === 'EnvoyFilter' ? ['workloadSelector', 'labels'] : ['selector', 'matchLabels'];
  const selector = isObject(spec) && isObject(spec[field]) ? spec[field][labelsField] : undefined;
  const readable = isObject(selector) && Object.values(selector).every((value) => typeof value === 'string');
  return readable ? { [field]: { [labelsField]: selector } } : {};
}

function parse(raw: unknown, origin: Origin, report: Report): ConfigObject | undefined {
  if (!isObject(raw)) {
    report('', `must be a map with apiVersion, kind and metadata; found ${quote(raw)}`);
    return undefined;
  }
  const beyond = beyondLimits(raw);
  if (beyond !== undefined) {
    report('', beyond);
    return undefined;
  }
  const { apiVersion, kind, metadata } = raw;
  if (typeof apiVersion !== 'string' || apiVersion === '') report('apiVersion', 'is required');
  if (typeof kind !== 'string' || kind === '') report('kind', 'is required');
  if (typeof apiVersion !== 'string' || typeof kind !== 'string' || apiVersion === '' || kind === '') return undefined;
  const definition = findKind(apiVersion, kind);
  if (definition === undefined) {
    reportUnknownKind(apiVersion, kind, report);
    return undefined;
  }
  const meta = readMetadata(metadata, definition.scope, report);
  const spec = readBody(raw, definition, report);
  if (meta === undefined || spec === undefined) return undefined;
  const { resourceVersion, ...names } = meta;
  const status = readStatus(raw, definition);
  const object: ConfigObject = {
    kind,
    apiVersion,
    ...names,
    spec,
    ...(status !== undefined && { status }),
    origin: resourceVersion === undefined || origin.file !== undefined ? origin : { ...origin, resourceVersion },
  };
  return isValid(object, report) ? object : undefined;
}

function readBody(raw: Record<string, unknown>, definition: KindSchema, report: Report): unknown {
  if (definition.body === 'object') {
    const { apiVersion: _apiVersion, kind: _kind, metadata: _metadata, ...body } = raw;
    return readStructure(definition.schema, body, '', definition.unknownFields, report);
  }
  if (definition.unknownFields === 'report') reportStrayFields(raw, definition, report);
  const { spec } = raw;
  if (spec === undefined && definition.specRequired === true) {
    report('spec', 'is required');
    return undefined;
  }
  return readStructure(definition.schema, spec === undefined ? {} : spec, 'spec', definition.unknownFields, report);
}

/** A status is another component's word, not the user's: nobody is told of what is wrong with it. */
function readStatus({ status }: Record<string, unknown>, { status: schema }: KindSchema): unknown {
  if (schema === undefined || !isObject(status)) return undefined;
  return readStructure(schema, status, 'status', 'ignore', () => undefined);
}

const topLevel = ['apiVersion', 'kind', 'metadata', 'spec', 'status'];

function reportStrayFields(raw: Record<string, unknown>, definition: KindSchema, report: Report): void {
  for (const name of Object.keys(raw)) {
    if (topLevel.includes(name)) continue;
    const inSpec = Object.hasOwn((definition.schema as { properties?: object }).properties ?? {}, name);
    const meant = inSpec ? `spec.${name}` : suggest(name, topLevel);
    report(
      name,
      `unknown field ${quote(name)} is ignored${meant === undefined ? '' : `; did you mean ${quote(meant)}?`}`,
      'UnknownField',
      'warning',
    );
  }
}

function isValid(object: ConfigObject, report: Report): boolean {
  let valid = true;
  validateObject(object, (path, message, reason, severity = 'error') => {
    if (severity === 'error') valid = false;
    report(path, message, reason, severity);
  });
  if (!valid) return false;
  if (mayProtect(object.kind)) reportProtections(object, report);
  const protects = isSecurity(object.apiVersion);
  for (const path of untranslatedPaths(object)) {
    const consequence = protects ? 'the listeners of its workloads are held back' : 'it has no effect';
    report(path, `is not translated yet: ${consequence}`, 'NotTranslated', protects ? 'error' : 'warning');
  }
  return true;
}

/** Of an object that is read for what it protects alone. */
function reportProtections({ kind, spec }: ConfigObject, report: Report): void {
  const found = protections(kind, spec);
  for (const { path } of found) {
    report(
      path,
      'may refuse traffic and is not translated yet: the listeners of the workloads that it selects are held back',
      'NotTranslated',
    );
  }
  if (found.length === 0) report('', `kind ${kind} is not translated yet: the object has no effect`, 'NotTranslated', 'warning');
}

const isSecurity = (apiVersion: string) => apiVersion.startsWith('security.istio.io/');

function reportUnknownKind(apiVersion: string, kind: string, report: Report): void {
  const served = kinds.find((known: KindSchema) => known.kind === kind && apiVersion.startsWith(`${known.group}/`));
  if (served !== undefined) {
    report('apiVersion', `version ${quote(apiVersion)} of ${kind} is not served; use ${served.group}/${served.versions[0]}`);
    return;
  }
  const group = apiVersion.split('/')[0] ?? '';
  const istio = group.endsWith('.istio.io');
  const ofGroup = kinds.filter((known: KindSchema) => known.group === group).map((known) => known.kind);
  const meant = suggest(kind, ofGroup);
  const hint = meant === undefined || !istio ? '' : `; did you mean ${meant}?`;
  report('', `kind ${kind} of ${apiVersion} is not read: the object has no effect${hint}`, 'NotTranslated', 'warning');
}

function keyOfRaw(raw: unknown, from: string | undefined): ObjectKey {
  if (!isObject(raw)) return objectKey('', '', '');
  const text = (value: unknown) => (typeof value === 'string' ? value.slice(0, 253) : '');
  const { kind, apiVersion, metadata } = raw;
  const { name, namespace } = isObject(metadata) ? metadata : {};
  const cluster = findKind(text(apiVersion), text(kind))?.scope === 'Cluster';
  return objectKey(text(kind), cluster ? '' : text(namespace) || 'default', text(name), from);
}

/** The origin with the line of the field itself, where the source knows it. */
export function originOf(origin: Origin, path: string): Origin {
  const line = origin.lineOf?.(path) ?? origin.line;
  const { file, resourceVersion, cluster } = origin;
  return {
    ...(file !== undefined && { file }),
    ...(line !== undefined && { line }),
    ...(resourceVersion !== undefined && { resourceVersion }),
    ...(cluster !== undefined && { cluster }),
  };
}
