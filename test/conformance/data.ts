/** Cases with known answers, which lie beside the repository: `$MIZZEN_CONFORMANCE`, else `../shared/conformance`. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  createFileRegistry,
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonValue,
  type MessageShape,
  type Registry,
  toJson,
} from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { parseAllDocuments } from 'yaml';

const root = join(import.meta.dirname, '../..');
const folder = process.env['MIZZEN_CONFORMANCE'] ?? join(root, '../shared/conformance');

function orExplain<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new Error(`conformance data is missing: put it at ${folder}, or set MIZZEN_CONFORMANCE to where it is`, { cause });
  }
}

export function caseNames(topic: string): string[] {
  return orExplain(() => readdirSync(join(folder, topic, 'cases')).sort());
}

export function caseFile(topic: string, name: string, file: string): string {
  return orExplain(() => readFileSync(join(folder, topic, 'cases', name, file), 'utf8'));
}

export interface Table<Row> {
  readonly check: string;
  readonly rows: readonly (Row & { readonly case: string })[];
}

export function table<Row>(topic: string, name: string): Table<Row> {
  return JSON.parse(orExplain(() => readFileSync(join(folder, topic, 'tables', `${name}.json`), 'utf8'))) as Table<Row>;
}

export function documents(yaml: string): JsonValue[] {
  return parseAllDocuments(yaml)
    .map((document) => document.toJS() as JsonValue)
    .filter((document) => document !== null);
}

let types: Registry | undefined;

/** All of Envoy's API, to look into Any. */
export function registry(): Registry {
  types ??= createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(join(root, 'generated/descriptors.binpb'))));
  return types;
}

/** One form for two ways of writing a message: defaults, enums and key styles do not count. */
export function normalized<S extends DescMessage>(schema: S, json: JsonValue): JsonValue {
  return toJson(schema, fromJson(schema, json, { registry: registry() }), { registry: registry() });
}

export function asJson<S extends DescMessage>(schema: S, message: MessageShape<S>): JsonValue {
  return toJson(schema, message, { registry: registry() });
}
