/**
 * The structural half of validation: a value against a schema. TypeBox's compiled validator gives the verdict; around it stand what JSON Schema
 * does not know: unknown fields (reported and cut off, as the API server does), `nullable`, and the rules of `rules.ts`.
 */
import type { TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';
import { Settings } from 'typebox/system';
import { fieldPath, indexPath } from '../lib/path.ts';
import { suggest } from '../lib/suggest.ts';
import type { ProblemReason } from './problem.ts';
import type { Rule } from './rules.ts';

/** Tells of one fault at a path. */
export type Report = (path: string, message: string, reason?: ProblemReason, severity?: 'error' | 'warning') => void;

type Json = Record<string, unknown>;

/** The keywords that are read here; TypeBox's own types have them only per schema type. */
interface SchemaNode {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: SchemaNode;
  readonly items?: SchemaNode;
  readonly nullable?: boolean;
  readonly oneOf?: readonly { readonly required?: readonly string[] }[];
  readonly allOf?: readonly SchemaNode[];
  readonly 'x-kubernetes-validations'?: readonly Rule[];
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
  /** Elements of a list differ in these fields. */
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
}

const compiled = new WeakMap<TSchema, Validator>();

function validatorOf(schema: TSchema): Validator {
  let validator = compiled.get(schema);
  if (validator === undefined) compiled.set(schema, (validator = Compile(schema)));
  return validator;
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * A copy of `value` with the fields that the schema knows, or undefined where it does not fit. Unknown fields are warnings (`ignore`: silent),
 * everything else is an error; all faults are reported, not only the first.
 */
export function readStructure(schema: TSchema, value: unknown, path: string, unknownFields: 'report' | 'ignore', report: Report): unknown {
  const node = schema as SchemaNode;
  const known = keepKnown(node, value, path, unknownFields, report);
  const validator = validatorOf(schema);
  if (!validator.Check(known)) {
    // The library stops after 8 otherwise, and a user would correct eight and find eight more.
    Settings.Set({ maxErrors: 1000 });
    let found = false;
    for (const error of validator.Errors(known)) {
      const faults = describe(error, known, path);
      for (const [at, message] of faults) report(at, message, 'Invalid', 'error');
      found ||= faults.length > 0;
    }
    found = checkRules(node, known, path, report, 'fields') || found;
    if (!found) report(path, 'does not have the structure of its kind', 'Invalid', 'error');
    return undefined;
  }
  return checkRules(node, known, path, report, 'all') ? undefined : known;
}

function keepKnown(schema: SchemaNode, value: unknown, path: string, unknownFields: 'report' | 'ignore', report: Report): unknown {
  if (schema.type === 'array' && Array.isArray(value)) {
    const { items } = schema;
    return items === undefined
      ? value
      : value.map((element, index) => keepKnown(items, element, indexPath(path, index), unknownFields, report));
  }
  if (schema.type !== 'object' || !isObject(value) || schema['x-kubernetes-preserve-unknown-fields'] === true) return value;
  const kept: Json = {};
  for (const [name, field] of Object.entries(value)) {
    const at = fieldPath(path, name);
    const fieldSchema = schema.properties === undefined ? schema.additionalProperties : ownField(schema.properties, name);
    if (fieldSchema === undefined || name === '__proto__') {
      if (unknownFields === 'report') report(at, unknownFieldMessage(name, schema), 'UnknownField', 'warning');
    } else if (field !== null || fieldSchema.nullable !== true) {
      kept[name] = keepKnown(fieldSchema, field, at, unknownFields, report);
    }
  }
  return kept;
}

function ownField(properties: Readonly<Record<string, SchemaNode>>, name: string): SchemaNode | undefined {
  return Object.hasOwn(properties, name) ? properties[name] : undefined;
}

function unknownFieldMessage(name: string, schema: SchemaNode): string {
  const meant = suggest(name, Object.keys(schema.properties ?? {}));
  return `unknown field ${JSON.stringify(name)} is ignored${meant === undefined ? '' : `; did you mean ${JSON.stringify(meant)}?`}`;
}

/**
 * Whether any rule was broken. `fields`: the structure has faults, reported already, so that only rules of single strings and numbers of the right
 * type can be asked.
 */
function checkRules(schema: SchemaNode, value: unknown, path: string, report: Report, which: 'all' | 'fields'): boolean {
  if (!hasType(schema, value)) return false;
  let broken = false;
  const fail = (message: string) => {
    report(path, message, 'Invalid', 'error');
    broken = true;
  };
  if (isObject(value)) {
    for (const group of [schema, ...(schema.allOf ?? [])]) {
      const fields = (group.oneOf ?? []).flatMap(({ required = [] }) => required);
      const present = fields.filter((field) => value[field] !== undefined);
      if (present.length > 1) fail(`only one of ${fields.join(', ')} may be set; found ${present.join(' and ')}`);
    }
  }
  for (const { holds, message } of schema['x-kubernetes-validations'] ?? []) {
    if (which === 'fields' && typeof value === 'object') continue;
    if (!holds(value as never))
      fail(`${message}${typeof value === 'string' || typeof value === 'number' ? `; found ${quote(value)}` : ''}`);
  }
  if (Array.isArray(value)) {
    const { items } = schema;
    const repeated = firstRepeated(value, schema['x-kubernetes-list-map-keys']);
    if (repeated !== undefined) fail(`element ${repeated} repeats an earlier one`);
    if (items !== undefined)
      value.forEach((element, i) => (broken = checkRules(items, element, indexPath(path, i), report, which) || broken));
  } else if (isObject(value)) {
    for (const [name, field] of Object.entries(value)) {
      const fieldSchema = schema.properties?.[name] ?? schema.additionalProperties;
      if (fieldSchema !== undefined) broken = checkRules(fieldSchema, field, fieldPath(path, name), report, which) || broken;
    }
  }
  return broken;
}

function firstRepeated(list: readonly unknown[], keys: readonly string[] | undefined): number | undefined {
  if (keys === undefined) return undefined;
  const seen = new Set<string>();
  const index = list.findIndex((element) => {
    const key = JSON.stringify(keys.map((name) => (isObject(element) ? element[name] : undefined)));
    const known = seen.has(key);
    seen.add(key);
    return known;
  });
  return index < 0 ? undefined : index;
}

function hasType({ type }: SchemaNode, value: unknown): boolean {
  switch (type) {
    case 'object':
      return isObject(value);
    case 'array':
      return Array.isArray(value);
    case 'integer':
    case 'number':
      return typeof value === 'number';
    case 'string':
    case 'boolean':
      return typeof value === type;
    default:
      return true;
  }
}

interface SchemaError {
  readonly keyword: string;
  readonly schemaPath: string;
  readonly instancePath: string;
  readonly params: object;
  readonly message: string;
}

/** A validator's error in the user's words. Errors inside alternatives and maps only repeat others and give nothing. */
function describe(error: SchemaError, root: unknown, rootPath: string): [path: string, message: string][] {
  const { keyword, params } = error;
  if (/\/(anyOf|oneOf|allOf|not)\//.test(error.schemaPath)) return [];
  const [path, value] = locate(error.instancePath, root, rootPath);
  const parameter = (name: string): unknown => (params as Json)[name];
  switch (keyword) {
    case 'oneOf':
    case 'allOf':
    case 'not':
    case 'additionalProperties':
      return [];
    case 'anyOf':
      return [[path, `must be an integer or a string; found ${quote(value)}`]];
    case 'required':
      return (parameter('requiredProperties') as string[]).map((field) => [fieldPath(path, field), 'is required']);
    case 'enum': {
      const words = parameter('allowedValues') as string[];
      const meant = typeof value === 'string' ? suggest(value, words) : undefined;
      return [[path, `must be one of ${words.join(', ')}; found ${quote(value)}${meant === undefined ? '' : `; did you mean ${meant}?`}`]];
    }
    case 'type': {
      const wanted = String(parameter('type'));
      const hint = wanted === 'string' && (typeof value === 'number' || typeof value === 'boolean') ? '; put it in quotes' : '';
      return [[path, `must be ${/^[aeiou]/.test(wanted) ? 'an' : 'a'} ${wanted}; found ${quote(value)}${hint}`]];
    }
    default:
      return [[path, `${error.message}; found ${quote(value)}`]];
  }
}

/** JSON pointer to the path and value that it names. */
function locate(pointer: string, root: unknown, rootPath: string): [string, unknown] {
  let path = rootPath;
  let value = root;
  for (const escaped of pointer.split('/').slice(1)) {
    const step = escaped.replaceAll('~1', '/').replaceAll('~0', '~');
    path = Array.isArray(value) ? indexPath(path, Number(step)) : fieldPath(path, step);
    value = (value as Json | undefined)?.[step];
  }
  return [path, value];
}

/** A value for a message: short, whatever was in it. */
export function quote(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (isObject(value)) return 'a map';
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
