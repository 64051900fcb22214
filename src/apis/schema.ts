/**
 * The vocabulary in which every configuration kind is declared. One declaration gives the TypeScript type (`Spec`), the structural validator and,
 * through `crd.ts`, the CustomResourceDefinition. Fields are optional unless named as required, as in proto3.
 */
import Type, { type Static, type TEnum, type TObject, type TOptional, type TProperties, type TSchema, type TUnsafe } from 'typebox';
import { duration as durationRule, type Rule } from './rules.ts';

type Immutable<T> = T extends readonly (infer E)[]
  ? readonly Immutable<E>[]
  : T extends object
    ? { readonly [K in keyof T]: Immutable<T[K]> }
    : T;

/** The TypeScript type of a schema; deeply readonly, because objects are shared by everybody who reads them. */
export type Spec<S extends TSchema> = Immutable<Static<S>>;

/** JSON Schema and Kubernetes keywords beside the type. */
export type Keywords = Readonly<Record<string, unknown>>;

type Fields<P extends TProperties, R extends keyof P> = { [K in keyof P]: K extends R ? P[K] : TOptional<P[K]> };

export function message<P extends TProperties, R extends keyof P & string = never>(
  fields: P,
  required: readonly R[] = [],
  keywords: Keywords = {},
): TObject<Fields<P, R>> {
  const properties: Record<string, TSchema> = {};
  for (const [name, schema] of Object.entries(fields)) {
    properties[name] = (required as readonly string[]).includes(name) ? schema : Type.Optional(schema);
  }
  return Type.Object(properties, keywords) as unknown as TObject<Fields<P, R>>;
}

export function list<S extends TSchema>(items: S, keywords: Keywords = {}): TUnsafe<Static<S>[]> {
  return Type.Unsafe<Static<S>[]>({ type: 'array', items, ...keywords });
}

/** A map with string keys; in a CRD these are `additionalProperties`. */
export function map<S extends TSchema>(values: S, keywords: Keywords = {}): TUnsafe<Record<string, Static<S>>> {
  return Type.Unsafe<Record<string, Static<S>>>({ type: 'object', additionalProperties: values, ...keywords });
}

export const string = (keywords: Keywords = {}) => Type.String(keywords);
export const bool = (keywords: Keywords = {}) => Type.Boolean(keywords);
export const integer = (keywords: Keywords = {}) => Type.Integer(keywords);
export const int32 = (keywords: Keywords = {}) => Type.Integer({ format: 'int32', ...keywords });
export const uint32 = (keywords: Keywords = {}) => Type.Integer({ minimum: 0, maximum: 4294967295, ...keywords });
export const double = (keywords: Keywords = {}) => Type.Number({ format: 'double', ...keywords });

/** An enum in its JSON form, a word. */
export const oneOfWords = <const W extends string[]>(words: readonly [...W]): TEnum<W> =>
  Type.Enum(words as unknown as W, { type: 'string' }) as unknown as TEnum<W>;

export const intOrString = () =>
  Type.Unsafe<number | string>({ anyOf: [{ type: 'integer' }, { type: 'string' }], 'x-kubernetes-int-or-string': true });

/** A map whose content is another component's business; kept whole. */
export const anyMap = () => Type.Unsafe<Record<string, unknown>>({ type: 'object', 'x-kubernetes-preserve-unknown-fields': true });

/** `null` is allowed and means the same as a missing field; parsing removes it. */
export const nullable = <S extends TSchema>(schema: S): S => ({ ...schema, nullable: true });

/** A duration in the form that `lib/duration.ts` reads, at least 1 ms. */
export const duration = () => string(rules(durationRule));

/** The fields of a proto oneof: JSON Schema says it by listing the field sets that are allowed. */
export function atMostOneOf(...fields: readonly string[]): Keywords {
  const each = fields.map((field) => ({ required: [field] }));
  return { oneOf: [{ not: { anyOf: each } }, ...each] };
}

/** The keyword of rules that JSON Schema cannot say. The API server reads message and CEL, `structure.ts` evaluates `holds`. */
export function rules(...list: readonly Rule[]): Keywords {
  return { 'x-kubernetes-validations': list };
}
