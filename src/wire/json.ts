import {
  fromBinary,
  fromJson as esFromJson,
  ScalarType,
  toJson as esToJson,
  type DescEnum,
  type DescField,
  type DescMessage,
  type JsonObject,
  type JsonValue,
  type Message,
  type MessageShape,
  type Registry,
} from '@bufbuild/protobuf';
import {
  AnySchema,
  BoolValueSchema,
  BytesValueSchema,
  DoubleValueSchema,
  FloatValueSchema,
  Int32ValueSchema,
  Int64ValueSchema,
  StringValueSchema,
  UInt32ValueSchema,
  UInt64ValueSchema,
} from '@bufbuild/protobuf/wkt';
import { sortMaps } from './maps.ts';
import { anyPath, fieldPath, indexPath, keyPath, type Violation } from './path.ts';
import { messageName } from './types.ts';

export interface JsonOptions {
  /** `snake_case` as in .proto files, which Envoy's own dumps use; else `lowerCamelCase`. Both are read. Default: true. */
  readonly protoFieldNames?: boolean;
}

/**
 * A message as canonical protobuf JSON: plain objects, ready for JSON or YAML, the same for equal messages. Messages inside Any are
 * expanded by the registry; throws when it lacks their type, since nothing is dropped.
 */
export function toJson<S extends DescMessage>(
  schema: S,
  message: MessageShape<S>,
  registry: Registry,
  options: JsonOptions = {},
): JsonValue {
  const useProtoFieldName = options.protoFieldNames ?? true;
  // Generic in S, esToJson has a conditional type that cannot be resolved here.
  return esToJson(schema as DescMessage, sortMaps(schema, message), { registry, useProtoFieldName });
}

/** The JSON of encoded bytes, as by toJson. Throws when the registry lacks the type or the bytes are not such a message. */
export function bytesToJson(typeUrl: string, bytes: Uint8Array, registry: Registry, options: JsonOptions = {}): JsonValue {
  const desc = registry.getMessage(messageName(typeUrl));
  if (desc === undefined) throw new Error(`unknown type ${JSON.stringify(typeUrl)}`);
  return toJson(desc, fromBinary(desc, bytes), registry, options);
}

/** Either the message, or everything that is wrong with the JSON: nothing is dropped and nothing is thrown. */
export type Parsed = { readonly message: Message } | { readonly problems: readonly Violation[] };

/** Builds a message of this type URL from untyped JSON: an unknown field and an unknown type inside an Any are problems with their path. */
export function fromJson(typeUrl: string, json: unknown, registry: Registry): Parsed {
  const desc = registry.getMessage(messageName(typeUrl));
  if (desc === undefined) return { problems: [{ path: '', message: `unknown type ${JSON.stringify(typeUrl)}` }] };
  const problems: Violation[] = [];
  checkMessage(desc, json, '', { registry, problems, depth: 0 });
  if (problems.length > 0) return { problems };
  try {
    return { message: esFromJson(desc, json as JsonValue, { registry }) };
  } catch (error) {
    return { problems: [{ path: '', message: errorText(error) }] };
  }
}

interface Context {
  readonly registry: Registry;
  readonly problems: Violation[];
  depth: number;
}

/** The limit of protobuf's own readers. Some types of Envoy's API nest in themselves, and JSON may come from a stranger. */
const maxDepth = 100;

function checkMessage(desc: DescMessage, json: unknown, path: string, context: Context): void {
  if (context.depth >= maxDepth) {
    context.problems.push({ path, message: `is nested deeper than ${maxDepth} messages` });
    return;
  }
  context.depth++;
  checkMessageForm(desc, json, path, context);
  context.depth--;
}

function checkMessageForm(desc: DescMessage, json: unknown, path: string, context: Context): void {
  if (desc.typeName === AnySchema.typeName) checkAny(json, path, context);
  // Their JSON forms are not those of their fields.
  else if (desc.typeName.startsWith('google.protobuf.')) checkByParsing(desc, json, path, context);
  else if (!isObject(json)) context.problems.push({ path, message: `must be an object, not ${kindOf(json)}` });
  else checkFields(desc, json, path, context);
}

function checkFields(desc: DescMessage, json: JsonObject, path: string, context: Context): void {
  const seen = new Map<string, string>();
  for (const [name, value] of Object.entries(json)) {
    const at = fieldPath(path, name);
    const field = fieldsByJsonName(desc).get(name);
    if (field === undefined) {
      context.problems.push({ path: at, message: `unknown field of ${desc.typeName}` });
      continue;
    }
    const key = field.oneof === undefined ? `field ${field.name}` : `oneof ${field.oneof.name}`;
    const other = seen.get(key);
    if (other !== undefined) context.problems.push({ path: at, message: `cannot be set together with ${other}` });
    seen.set(key, name);
    checkField(field, value, at, context);
  }
}

const jsonNames = new WeakMap<DescMessage, ReadonlyMap<string, DescField>>();

function fieldsByJsonName(desc: DescMessage): ReadonlyMap<string, DescField> {
  let names = jsonNames.get(desc);
  if (names === undefined) {
    names = new Map(desc.fields.flatMap((field) => [[field.name, field] as const, [field.jsonName, field] as const]));
    jsonNames.set(desc, names);
  }
  return names;
}

function checkField(field: DescField, value: unknown, path: string, context: Context): void {
  const isValue = field.message?.typeName === 'google.protobuf.Value';
  // In canonical JSON null is the same as not set, except for a Value.
  if (value === null && !(isValue && field.fieldKind === 'message')) return;
  switch (field.fieldKind) {
    case 'message':
      return checkMessage(field.message, value, path, context);
    case 'enum':
      return checkEnum(field.enum, value, path, context);
    case 'scalar':
      return checkByParsing(scalarSchemas[field.scalar], value, path, context);
    case 'list':
      if (!Array.isArray(value)) context.problems.push({ path, message: `must be a list, not ${kindOf(value)}` });
      else for (const [i, item] of value.entries()) checkElement(field, item, indexPath(path, i), context);
      return;
    case 'map':
      if (!isObject(value)) context.problems.push({ path, message: `must be an object, not ${kindOf(value)}` });
      else for (const [key, item] of Object.entries(value)) checkElement(field, item, keyPath(path, key), context);
  }
}

function checkElement(field: DescField & { fieldKind: 'list' | 'map' }, value: unknown, path: string, context: Context): void {
  if (field.message !== undefined) checkMessage(field.message, value, path, context);
  else if (field.enum !== undefined) checkEnum(field.enum, value, path, context);
  else checkByParsing(scalarSchemas[field.scalar], value, path, context);
}

function checkAny(json: unknown, path: string, context: Context): void {
  if (!isObject(json)) {
    context.problems.push({ path, message: `must be an object with "@type", not ${kindOf(json)}` });
    return;
  }
  const { '@type': typeUrl, ...rest } = json;
  if (typeof typeUrl !== 'string') {
    if (Object.keys(json).length > 0) context.problems.push({ path, message: 'must name its type in "@type"' });
    return;
  }
  const name = messageName(typeUrl);
  const desc = context.registry.getMessage(name);
  if (desc === undefined) context.problems.push({ path: fieldPath(path, '@type'), message: `unknown type ${JSON.stringify(typeUrl)}` });
  else if (hasOwnJsonForm(desc)) checkMessage(desc, rest['value'], fieldPath(anyPath(path, name), 'value'), context);
  else checkMessage(desc, rest, anyPath(path, name), context);
}

/** Types that stand under `value` inside an Any; google.protobuf.Empty is an ordinary object. */
function hasOwnJsonForm(desc: DescMessage): boolean {
  return desc.typeName.startsWith('google.protobuf.') && desc.typeName !== 'google.protobuf.Empty';
}

function checkEnum(desc: DescEnum, value: unknown, path: string, context: Context): void {
  if (Number.isInteger(value)) return;
  if (typeof value === 'string' && desc.values.some((v) => v.name === value)) return;
  const known = desc.values.map((v) => v.name).join(', ');
  context.problems.push({ path, message: `${describe(value)} is not one of ${known}` });
}

/** The wrapper whose JSON form is that of the scalar: the library's own reader then decides what is valid. */
const scalarSchemas: Readonly<Record<ScalarType, DescMessage>> = {
  [ScalarType.DOUBLE]: DoubleValueSchema,
  [ScalarType.FLOAT]: FloatValueSchema,
  [ScalarType.INT64]: Int64ValueSchema,
  [ScalarType.UINT64]: UInt64ValueSchema,
  [ScalarType.INT32]: Int32ValueSchema,
  [ScalarType.FIXED64]: UInt64ValueSchema,
  [ScalarType.FIXED32]: UInt32ValueSchema,
  [ScalarType.BOOL]: BoolValueSchema,
  [ScalarType.STRING]: StringValueSchema,
  [ScalarType.BYTES]: BytesValueSchema,
  [ScalarType.UINT32]: UInt32ValueSchema,
  [ScalarType.SFIXED32]: Int32ValueSchema,
  [ScalarType.SFIXED64]: Int64ValueSchema,
  [ScalarType.SINT32]: Int32ValueSchema,
  [ScalarType.SINT64]: Int64ValueSchema,
};

function checkByParsing(desc: DescMessage, json: unknown, path: string, context: Context): void {
  if (json === undefined) {
    context.problems.push({ path, message: 'must be set' });
    return;
  }
  try {
    esFromJson(desc, json as JsonValue, { registry: context.registry });
  } catch (error) {
    context.problems.push({ path, message: errorText(error) });
  }
}

/** Without the library's prefix, which names its own wrapper or the type in JSON terms. */
function errorText(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/^cannot decode (message|field) \S+ from JSON: /, '');
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

function describe(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? JSON.stringify(value) : kindOf(value);
}
