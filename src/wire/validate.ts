import {
  fromBinary,
  getOption,
  hasOption,
  type DescField,
  type DescMessage,
  type Message,
  type MessageShape,
  type Registry,
} from '@bufbuild/protobuf';
import { FeatureSet_FieldPresence, type Any } from '@bufbuild/protobuf/wkt';
import { disabled, ignored, required, rules as rulesOption, type FieldRules } from '#gen/validate/validate_pb.js';
import { packedMessage } from './encode.ts';
import { anyPath, indexPath, keyPath, type Violation } from './path.ts';
import { duplicateOf, sizeCheck, valueCheck, type Check } from './rules.ts';
import { messageName } from './types.ts';

/**
 * Checks messages against the `validate.rules` of Envoy's API as Envoy itself does on receipt (protoc-gen-validate's C++), where a
 * single violation refuses the whole response. Messages inside an Any are checked too, when the registry has their type;
 * Envoy does so while it builds the filter or socket. All violations are reported, not only the first.
 */
export interface Validator {
  /** Empty when the message keeps all rules. Words are those of Envoy's own error. */
  validate<S extends DescMessage>(schema: S, message: MessageShape<S>): readonly Violation[];
}

/** Rules are compiled once for each message type, when it is first seen. Throws there on a kind of rule that Envoy's API does not use. */
export function createValidator(registry: Registry): Validator {
  const compiler = new Compiler(registry);
  return {
    validate(schema, message) {
      const visit = compiler.visitor(schema);
      if (visit === undefined) return none;
      const found: Draft[] = [];
      visit(message as unknown as Fields, found);
      return found;
    },
  };
}

type Fields = Record<string, unknown>;
/** Paths are relative to the message being visited; each level puts its own part before, so that a clean message builds none. */
interface Draft {
  path: string;
  message: string;
}
type Visit<V> = (value: V, found: Draft[]) => void;
interface OneofValue {
  readonly case: string | undefined;
  readonly value?: unknown;
}

const none: readonly Violation[] = [];
const anyName = 'google.protobuf.Any';

class Compiler {
  readonly #registry: Registry;
  readonly #visitors = new Map<DescMessage, Visit<Fields> | null>();
  /** Contents of Any without a violation: the same filter is part of many listeners and chains. */
  readonly #sound = new WeakMap<Uint8Array, DescMessage>();

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  /** Undefined for a type below which there is neither a rule nor an Any. */
  visitor(desc: DescMessage): Visit<Fields> | undefined {
    const known = this.#visitors.get(desc);
    if (known !== undefined) return known ?? undefined;
    if (!needsVisit(desc, new Set())) {
      this.#visitors.set(desc, null);
      return undefined;
    }
    let steps: Visit<Fields>[] | undefined;
    // Compiled when first run: message types refer to themselves.
    const visit: Visit<Fields> = (message, found) => {
      steps ??= this.#steps(desc);
      for (const step of steps) step(message, found);
    };
    this.#visitors.set(desc, visit);
    return visit;
  }

  #steps(desc: DescMessage): Visit<Fields>[] {
    const steps: Visit<Fields>[] = [];
    for (const field of desc.fields) {
      if (field.oneof !== undefined) continue;
      const step = this.#fieldStep(field);
      if (step !== undefined) steps.push(step);
    }
    for (const oneof of desc.oneofs) {
      const cases = new Map<string, Visit<unknown>>();
      for (const field of oneof.fields) {
        const visit = this.#presentValue(field, rulesOf(field), true);
        if (visit !== undefined) cases.set(field.localName, under(field.name, visit));
      }
      const isRequired = getOption(oneof, required);
      if (!isRequired && cases.size === 0) continue;
      const { name, localName } = oneof;
      const choices = oneof.fields.map((f) => f.name).join(', ');
      steps.push((message, found) => {
        const set = message[localName] as OneofValue;
        if (set.case !== undefined) cases.get(set.case)?.(set.value, found);
        else if (isRequired) found.push({ path: name, message: `value is required: one of ${choices}` });
      });
    }
    return steps;
  }

  /** A field outside of a oneof. */
  #fieldStep(field: DescField): Visit<Fields> | undefined {
    const rules = rulesOf(field);
    const visit = this.#presentValue(field, rules, false);
    const isRequired = field.fieldKind === 'message' && mustBeSet(rules);
    if (visit === undefined && !isRequired) return undefined;
    const { localName, name } = field;
    const visitUnder = visit === undefined ? undefined : under(name, visit);
    const explicit = field.presence !== FeatureSet_FieldPresence.IMPLICIT;
    return (message, found) => {
      const value = message[localName];
      if (explicit && (value === undefined || !Object.hasOwn(message, localName))) {
        if (isRequired) found.push({ path: name, message: 'value is required' });
      } else visitUnder?.(value, found);
    };
  }

  /** What is checked of a value that is there. */
  #presentValue(field: DescField, rules: FieldRules | undefined, inOneof: boolean): Visit<unknown> | undefined {
    switch (field.fieldKind) {
      case 'list':
        return this.#list(field, rules);
      case 'map':
        return this.#map(field, rules);
      case 'scalar':
      case 'enum':
        return visitOf(valueCheck(rules, field.enum));
      case 'message':
        return this.#message(field.message, rules, !inOneof);
    }
  }

  /** `unwrapped`: protobuf-es shows a singular google.protobuf.UInt32Value and the like as the plain value, except in a oneof. */
  #message(desc: DescMessage, rules: FieldRules | undefined, unwrapped: boolean): Visit<unknown> | undefined {
    const check = visitOf(valueCheck(rules, undefined));
    if (desc.typeName === anyName) {
      return (any, found) => {
        check?.(any, found);
        this.#visitAny(any as Any, found);
      };
    }
    if (isWrapper(desc)) {
      if (check === undefined || unwrapped) return check;
      return (wrapper, found) => check((wrapper as { value: unknown }).value, found);
    }
    if (check !== undefined) return check;
    return rules?.message?.skip === true ? undefined : (this.visitor(desc) as Visit<unknown> | undefined);
  }

  #list(field: DescField & { fieldKind: 'list' }, rules: FieldRules | undefined): Visit<unknown> | undefined {
    const list = rules?.type.case === 'repeated' ? rules.type.value : undefined;
    const items = list?.items;
    const visitItem = field.listKind === 'message' ? this.#message(field.message, items, false) : visitOf(valueCheck(items, field.enum));
    const checkSize = list === undefined ? undefined : sizeCheck(list.minItems, list.maxItems, 'item(s)', 'items');
    const unique = list?.unique === true;
    if (visitItem === undefined && checkSize === undefined && !unique) return undefined;
    return (value, found) => {
      const array = value as readonly unknown[];
      if (list?.ignoreEmpty === true && array.length === 0) return;
      report(checkSize?.(array.length), found);
      const duplicate = unique ? duplicateOf(array) : undefined;
      if (duplicate !== undefined) found.push({ path: indexPath('', duplicate), message: 'repeated value must contain unique items' });
      if (visitItem === undefined) return;
      for (let i = 0; i < array.length; i++) {
        const before = found.length;
        visitItem(array[i], found);
        if (found.length > before) prefix(found, before, indexPath('', i));
      }
    };
  }

  #map(field: DescField & { fieldKind: 'map' }, rules: FieldRules | undefined): Visit<unknown> | undefined {
    const map = rules?.type.case === 'map' ? rules.type.value : undefined;
    if (map?.noSparse === true) throw new Error(`${field.toString()}: rule no_sparse is not supported`);
    const visitKey = visitOf(valueCheck(map?.keys, undefined));
    const visitValue =
      field.mapKind === 'message' ? this.#message(field.message, map?.values, false) : visitOf(valueCheck(map?.values, field.enum));
    const checkSize = map === undefined ? undefined : sizeCheck(map.minPairs, map.maxPairs, 'pair(s)', 'pairs');
    if (visitKey === undefined && visitValue === undefined && checkSize === undefined) return undefined;
    return (value, found) => {
      const entries = Object.entries(value as Fields);
      if (map?.ignoreEmpty === true && entries.length === 0) return;
      report(checkSize?.(entries.length), found);
      for (const [key, item] of entries) {
        const before = found.length;
        visitKey?.(key, found);
        visitValue?.(item, found);
        if (found.length > before) prefix(found, before, keyPath('', key));
      }
    };
  }

  #visitAny(any: Any, found: Draft[]): void {
    const name = messageName(any.typeUrl);
    const desc = name === '' ? undefined : this.#registry.getMessage(name);
    const visit = desc === undefined ? undefined : this.visitor(desc);
    if (desc === undefined || visit === undefined || this.#sound.get(any.value) === desc) return;
    const before = found.length;
    const message = contentOf(any, desc, found);
    if (message !== undefined) visit(message as unknown as Fields, found);
    if (found.length > before) prefix(found, before, anyPath('', name));
    else this.#sound.set(any.value, desc);
  }
}

/** Undefined, and a violation, when the bytes are not of that type. */
function contentOf(any: Any, desc: DescMessage, found: Draft[]): Message | undefined {
  const packed = packedMessage(any);
  if (packed?.$typeName === desc.typeName) return packed;
  try {
    return fromBinary(desc, any.value);
  } catch (error) {
    found.push({
      path: '',
      message: `value is not an encoded ${desc.typeName}: ${error instanceof Error ? error.message : String(error)}`,
    });
    return undefined;
  }
}

function rulesOf(field: DescField): FieldRules | undefined {
  return hasOption(field, rulesOption) ? getOption(field, rulesOption) : undefined;
}

function mustBeSet(rules: FieldRules | undefined): boolean {
  if (rules?.message?.required === true) return true;
  const type = rules?.type;
  return (type?.case === 'any' || type?.case === 'duration' || type?.case === 'timestamp') && type.value.required;
}

function isWrapper(desc: DescMessage): boolean {
  return desc.file.name === 'google/protobuf/wrappers.proto';
}

/** Whether a rule or an Any can be met in a message of this type. */
function needsVisit(desc: DescMessage, seen: Set<DescMessage>): boolean {
  if (getOption(desc, disabled) || getOption(desc, ignored)) return false;
  if (desc.typeName === anyName) return true;
  if (seen.has(desc)) return false;
  seen.add(desc);
  if (desc.oneofs.some((oneof) => getOption(oneof, required))) return true;
  return desc.fields.some((f) => hasOption(f, rulesOption) || (f.message !== undefined && needsVisit(f.message, seen)));
}

function visitOf(check: Check | undefined): Visit<unknown> | undefined {
  return check === undefined ? undefined : (value, found) => report(check(value), found);
}

function report(message: string | undefined, found: Draft[]): void {
  if (message !== undefined) found.push({ path: '', message });
}

function under(name: string, visit: Visit<unknown>): Visit<unknown> {
  return (value, found) => {
    const before = found.length;
    visit(value, found);
    if (found.length > before) prefix(found, before, name);
  };
}

/** Puts `head` before the paths of all violations from `start` on. */
function prefix(found: readonly Draft[], start: number, head: string): void {
  for (let i = start; i < found.length; i++) {
    const draft = found[i];
    if (draft === undefined) continue;
    const joined = draft.path === '' || draft.path.startsWith('[') || draft.path.startsWith('<');
    draft.path = joined ? head + draft.path : `${head}.${draft.path}`;
  }
}
