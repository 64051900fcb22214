import type { DescField, DescMessage, MessageShape } from '@bufbuild/protobuf';

type Fields = Record<string, unknown>;
/** Gives the value itself when its maps are in order, else a copy in which they are. */
type Sorter<V> = (value: V) => V;

const compiled = new WeakMap<DescMessage, Sorter<Fields> | null>();

/**
 * The message with the entries of all its maps, nested ones and those of google.protobuf.Struct included, in order of
 * their keys; the message itself, untouched, when they already are. protobuf-es writes entries in order of insertion.
 */
export function sortMaps<S extends DescMessage>(schema: S, message: MessageShape<S>): MessageShape<S> {
  const sorter = sorterOf(schema);
  return sorter === undefined ? message : (sorter(message as unknown as Fields) as unknown as MessageShape<S>);
}

/** Undefined for a message type without maps anywhere below it: most of them, and those cost nothing. */
function sorterOf(desc: DescMessage): Sorter<Fields> | undefined {
  const known = compiled.get(desc);
  if (known !== undefined) return known ?? undefined;
  if (!reachesMap(desc, new Set())) {
    compiled.set(desc, null);
    return undefined;
  }
  let steps: [string, Sorter<unknown>][] | undefined;
  const sorter: Sorter<Fields> = (message) => {
    steps ??= fieldSteps(desc);
    return sortFields(message, steps);
  };
  compiled.set(desc, sorter);
  return sorter;
}

function fieldSteps(desc: DescMessage): [string, Sorter<unknown>][] {
  const steps: [string, Sorter<unknown>][] = [];
  for (const field of desc.fields) {
    if (field.oneof !== undefined) continue;
    const sort = sorterOfField(field);
    if (sort !== undefined) steps.push([field.localName, sort]);
  }
  for (const oneof of desc.oneofs) {
    const cases = new Map<string, Sorter<unknown>>();
    for (const field of oneof.fields) {
      const sort = sorterOfField(field);
      if (sort !== undefined) cases.set(field.localName, sort);
    }
    if (cases.size > 0) steps.push([oneof.localName, (value) => sortOneof(value as OneofValue, cases)]);
  }
  return steps;
}

interface OneofValue {
  readonly case: string | undefined;
  readonly value?: unknown;
}

function sortOneof(oneof: OneofValue, cases: ReadonlyMap<string, Sorter<unknown>>): OneofValue {
  const sort = oneof.case === undefined ? undefined : cases.get(oneof.case);
  if (sort === undefined) return oneof;
  const value = sort(oneof.value);
  return value === oneof.value ? oneof : { case: oneof.case, value };
}

function sortFields(message: Fields, steps: readonly [string, Sorter<unknown>][]): Fields {
  let copy: Fields | undefined;
  for (const [name, sort] of steps) {
    const value = message[name];
    if (value === undefined) continue;
    const sorted = sort(value);
    if (sorted === value) continue;
    copy ??= Object.assign(Object.create(Object.getPrototypeOf(message) as object) as Fields, message);
    copy[name] = sorted;
  }
  return copy ?? message;
}

function sorterOfField(field: DescField): Sorter<unknown> | undefined {
  if (field.fieldKind === 'map') {
    const sortValue = field.mapKind === 'message' ? sorterOfValue(field, field.message) : undefined;
    return (map) => sortMap(map as Fields, sortValue);
  }
  if (field.message === undefined) return undefined;
  const sortOne = sorterOfValue(field, field.message);
  if (sortOne === undefined || field.fieldKind === 'message') return sortOne;
  return (list) => sortList(list as readonly unknown[], sortOne);
}

/** protobuf-es holds a Struct as a plain JSON object, except inside a google.protobuf.Value. */
function sorterOfValue(field: DescField, desc: DescMessage): Sorter<unknown> | undefined {
  const isJson = desc.typeName === 'google.protobuf.Struct' && field.parent.typeName !== 'google.protobuf.Value';
  return isJson ? sortJson : (sorterOf(desc) as Sorter<unknown> | undefined);
}

function sortList(list: readonly unknown[], sortOne: Sorter<unknown>): readonly unknown[] {
  let copy: unknown[] | undefined;
  for (const [i, value] of list.entries()) {
    const sorted = sortOne(value);
    if (sorted === value) continue;
    copy ??= [...list];
    copy[i] = sorted;
  }
  return copy ?? list;
}

function sortMap(map: Fields, sortValue: Sorter<unknown> | undefined): Fields {
  const keys = Object.keys(map);
  const ordered = inOrder(keys);
  if (ordered && (sortValue === undefined || keys.every((key) => sortValue(map[key]) === map[key]))) return map;
  const result: Fields = {};
  for (const key of ordered ? keys : keys.sort()) {
    const value = sortValue === undefined ? map[key] : sortValue(map[key]);
    if (key === '__proto__') Object.defineProperty(result, key, { value, enumerable: true, configurable: true, writable: true });
    else result[key] = value;
  }
  return result;
}

/**
 * JavaScript lists integer-like keys first, by number, whatever is asked for. So the order is not quite that of strings, but
 * equal sets of keys have one and the same order.
 */
function inOrder(keys: readonly string[]): boolean {
  for (let i = 1; i < keys.length; i++) {
    if ((keys[i] ?? '') < (keys[i - 1] ?? '')) return false;
  }
  return true;
}

function sortJson(value: unknown): unknown {
  if (Array.isArray(value)) return sortList(value, sortJson);
  if (value === null || typeof value !== 'object') return value;
  return sortMap(value as Fields, sortJson);
}

/** Whether a map or Struct can occur in a message; Any does not count, its value is bytes already. */
function reachesMap(desc: DescMessage, seen: Set<DescMessage>): boolean {
  if (desc.typeName === 'google.protobuf.Struct') return true;
  if (seen.has(desc)) return false;
  seen.add(desc);
  return desc.fields.some((f) => f.fieldKind === 'map' || (f.message !== undefined && reachesMap(f.message, seen)));
}
