import { isFieldSet, type DescEnum, type DescMessage, type Message } from '@bufbuild/protobuf';
import type { Any, Duration } from '@bufbuild/protobuf/wkt';
import {
  BytesRulesSchema,
  DurationRulesSchema,
  KnownRegex,
  StringRulesSchema,
  type AnyRules,
  type BytesRules,
  type DurationRules,
  type EnumRules,
  type FieldRules,
  type StringRules,
} from '#gen/validate/validate_pb.js';

/** What is wrong with a value, in the words of Envoy's own error; undefined if nothing. */
export type Check = (value: unknown) => string | undefined;

/** The check of one value: a scalar, an enum number, the value in a wrapper, an Any, a Duration. Undefined when no rule restricts it. */
export function valueCheck(rules: FieldRules | undefined, enumeration: DescEnum | undefined): Check | undefined {
  const type = rules?.type;
  if (type === undefined) return undefined;
  switch (type.case) {
    case undefined:
    case 'repeated':
    case 'map':
      return undefined;
    case 'string':
      return stringCheck(type.value);
    case 'bytes':
      return bytesCheck(type.value);
    case 'bool': {
      const { const: wanted } = type.value;
      return isSet(type.value, 'const') ? (value) => (value === wanted ? undefined : `value must equal ${wanted}`) : undefined;
    }
    case 'enum':
      return enumCheck(type.value, enumeration);
    case 'any':
      return anyCheck(type.value);
    case 'duration':
      return durationCheck(type.value);
    case 'timestamp':
      rejectUnsupported('timestamp', type.value, ['const', 'lt', 'lte', 'gt', 'gte', 'ltNow', 'gtNow', 'within']);
      return undefined;
    default:
      return numberCheck(type.value);
  }
}

/** `many` follows a number in "between n and m items", `counted` in "at least n item(s)". */
export function sizeCheck(
  min: bigint | undefined,
  max: bigint | undefined,
  counted: string,
  many: string,
): ((size: number) => string | undefined) | undefined {
  // Zero is the default of both and restricts nothing, as in protoc-gen-validate.
  const least = Number(min ?? 0n);
  const most = max === undefined || max === 0n ? Infinity : Number(max);
  if (least === 0 && most === Infinity) return undefined;
  let message: string;
  if (least === most) message = `value must contain exactly ${least} ${counted}`;
  else if (least === 0) message = `value must contain no more than ${most} ${counted}`;
  else if (most === Infinity) message = `value must contain at least ${least} ${counted}`;
  else message = `value must contain between ${least} and ${most} ${many}, inclusive`;
  return (size) => (size < least || size > most ? message : undefined);
}

/** Index of the first scalar that occurred before. */
export function duplicateOf(items: readonly unknown[]): number | undefined {
  const seen = new Set<unknown>();
  for (const [i, item] of items.entries()) {
    if (seen.has(item)) return i;
    seen.add(item);
  }
  return undefined;
}

/** Checks one after the other; the first violation of a value is enough. */
function all(checks: readonly (Check | undefined)[], isIgnored?: (value: unknown) => boolean): Check | undefined {
  const present = checks.filter((check) => check !== undefined);
  if (present.length === 0) return undefined;
  return (value) => {
    if (isIgnored?.(value) === true) return undefined;
    for (const check of present) {
      const message = check(value);
      if (message !== undefined) return message;
    }
    return undefined;
  };
}

/** Whether a rule is written at all; the rules are proto2 messages, so that a default can be told from a value. */
function isSet(rules: Message, name: string): boolean {
  return Object.hasOwn(rules, name) && (rules as unknown as Record<string, unknown>)[name] !== undefined;
}

function rejectUnsupported(kind: string, rules: Message, names: readonly string[]): void {
  for (const name of names) {
    if (isSet(rules, name)) throw new Error(`validate.rules: ${kind}.${name} is not supported`);
  }
}

type Comparable = number | bigint;
interface Range {
  readonly lt?: Comparable | undefined;
  readonly lte?: Comparable | undefined;
  readonly gt?: Comparable | undefined;
  readonly gte?: Comparable | undefined;
}

/** A range whose upper bound is below its lower one means the values outside of it. */
function rangeCheck(range: Range, show: (bound: Comparable) => string): ((value: Comparable) => string | undefined) | undefined {
  const lower = range.gt ?? range.gte;
  const upper = range.lt ?? range.lte;
  const above = (value: Comparable): boolean =>
    range.gt !== undefined ? !(value <= range.gt) : range.gte === undefined || !(value < range.gte);
  const below = (value: Comparable): boolean =>
    range.lt !== undefined ? !(value >= range.lt) : range.lte === undefined || !(value > range.lte);
  const open = range.gt === undefined ? '[' : '(';
  const close = range.lt === undefined ? ']' : ')';
  if (lower !== undefined && upper !== undefined) {
    if (upper > lower || (upper === lower && range.gte !== undefined && range.lte !== undefined)) {
      const message = `value must be inside range ${open}${show(lower)}, ${show(upper)}${close}`;
      return (value) => (above(value) && below(value) ? undefined : message);
    }
    const message = `value must be outside range ${close === ')' ? '[' : '('}${show(upper)}, ${show(lower)}${open === '(' ? ']' : ')'}`;
    return (value) => (above(value) || below(value) ? undefined : message);
  }
  if (upper !== undefined) {
    const message = `value must be less than ${range.lt === undefined ? 'or equal to ' : ''}${show(upper)}`;
    return (value) => (below(value) ? undefined : message);
  }
  if (lower !== undefined) {
    const message = `value must be greater than ${range.gt === undefined ? 'or equal to ' : ''}${show(lower)}`;
    return (value) => (above(value) ? undefined : message);
  }
  return undefined;
}

interface NumberRules extends Message {
  readonly const: Comparable;
  readonly lt: Comparable;
  readonly lte: Comparable;
  readonly gt: Comparable;
  readonly gte: Comparable;
  readonly in: readonly Comparable[];
  readonly notIn: readonly Comparable[];
  readonly ignoreEmpty: boolean;
}

function numberCheck(rules: NumberRules): Check | undefined {
  const bound = (name: 'lt' | 'lte' | 'gt' | 'gte'): Comparable | undefined => (isSet(rules, name) ? rules[name] : undefined);
  const inRange = rangeCheck({ lt: bound('lt'), lte: bound('lte'), gt: bound('gt'), gte: bound('gte') }, String);
  return all(
    [
      isSet(rules, 'const') ? (value) => (value === rules.const ? undefined : `value must equal ${rules.const}`) : undefined,
      inRange as Check | undefined,
      ...listChecks(rules.in, rules.notIn),
    ],
    rules.ignoreEmpty ? (value) => value === 0 || value === 0n : undefined,
  );
}

function listChecks(
  allowed: readonly unknown[],
  denied: readonly unknown[],
  show: (value: unknown) => string = String,
): (Check | undefined)[] {
  const within = new Set(allowed);
  const without = new Set(denied);
  return [
    within.size === 0 ? undefined : (value) => (within.has(value) ? undefined : `value must be in list [${allowed.map(show).join(', ')}]`),
    without.size === 0
      ? undefined
      : (value) => (without.has(value) ? `value must not be in list [${denied.map(show).join(', ')}]` : undefined),
  ];
}

function enumCheck(rules: EnumRules, enumeration: DescEnum | undefined): Check | undefined {
  const numbers = new Set(enumeration?.values.map((v) => v.number));
  const show = (value: unknown): string => enumeration?.value[value as number]?.name ?? String(value);
  return all([
    isSet(rules, 'const') ? (value) => (value === rules.const ? undefined : `value must equal ${show(rules.const)}`) : undefined,
    ...listChecks(rules.in, rules.notIn, show),
    rules.definedOnly ? (value) => (numbers.has(value as number) ? undefined : 'value must be one of the defined enum values') : undefined,
  ]);
}

function anyCheck(rules: AnyRules): Check | undefined {
  const check = all(listChecks(rules.in, rules.notIn));
  return check === undefined ? undefined : (value) => check((value as Any).typeUrl)?.replace('value', 'type URL');
}

const maxDurationSeconds = 315_576_000_000n;

function durationCheck(rules: DurationRules): Check | undefined {
  rejectUnsupported('duration', rules, ['const']);
  if (rules.in.length > 0 || rules.notIn.length > 0) throw new Error('validate.rules: duration.in is not supported');
  const bound = (name: 'lt' | 'lte' | 'gt' | 'gte'): bigint | undefined =>
    isFieldSet(rules, DurationRulesSchema.field[name]) && rules[name] !== undefined ? nanoseconds(rules[name]) : undefined;
  const inRange = rangeCheck({ lt: bound('lt'), lte: bound('lte'), gt: bound('gt'), gte: bound('gte') }, (n) => showDuration(BigInt(n)));
  if (inRange === undefined) return undefined;
  return (value) => {
    const duration = value as Duration;
    const { seconds, nanos } = duration;
    const valid = Math.abs(nanos) <= 999_999_999 && seconds <= maxDurationSeconds && seconds >= -maxDurationSeconds;
    return valid ? inRange(nanoseconds(duration)) : 'value is not a valid duration';
  };
}

function nanoseconds(duration: Duration): bigint {
  return duration.seconds * 1_000_000_000n + BigInt(duration.nanos);
}

/** `1.5s`, exactly. */
function showDuration(nanos: bigint): string {
  const absolute = nanos < 0n ? -nanos : nanos;
  const fraction = (absolute % 1_000_000_000n).toString().padStart(9, '0').replace(/0+$/, '');
  return `${nanos < 0n ? '-' : ''}${absolute / 1_000_000_000n}${fraction === '' ? '' : `.${fraction}`}s`;
}

interface LengthRules {
  readonly exact: bigint | undefined;
  readonly min: bigint | undefined;
  readonly max: bigint | undefined;
}

function lengthCheck(rules: LengthRules, unit: string, length: (value: unknown) => number): Check | undefined {
  const min = Number(rules.exact ?? rules.min ?? 0n);
  const max = rules.exact ?? rules.max;
  const most = max === undefined ? Infinity : Number(max);
  if (min === 0 && most === Infinity) return undefined;
  let message: string;
  if (min === most) message = `value length must be ${min} ${unit}`;
  else if (min === 0) message = `value length must be at most ${most} ${unit}`;
  else if (most === Infinity) message = `value length must be at least ${min} ${unit}`;
  else message = `value length must be between ${min} and ${most} ${unit}, inclusive`;
  return (value) => {
    const n = length(value);
    return n < min || n > most ? message : undefined;
  };
}

/** The rule when it is written; `schema` tells presence for fields of proto2. */
function numberOf<R extends Message>(schema: DescMessage, rules: R, name: keyof R & string): bigint | undefined {
  const field = schema.field[name];
  return field !== undefined && isFieldSet(rules, field) ? (rules[name] as bigint) : undefined;
}

function stringCheck(rules: StringRules): Check | undefined {
  if (rules.wellKnown.case !== undefined && rules.wellKnown.case !== 'wellKnownRegex') {
    throw new Error(`validate.rules: string.${rules.wellKnown.case} is not supported`);
  }
  const number = (name: 'len' | 'minLen' | 'maxLen' | 'lenBytes' | 'minBytes' | 'maxBytes'): bigint | undefined =>
    numberOf(StringRulesSchema, rules, name);
  const text = (name: 'prefix' | 'suffix' | 'contains' | 'notContains' | 'pattern'): string | undefined =>
    isSet(rules, name) ? rules[name] : undefined;
  const quote = (value: string): string => JSON.stringify(value);
  const known =
    rules.wellKnown.case === 'wellKnownRegex' ? knownPattern(rules.wellKnown.value, !isSet(rules, 'strict') || rules.strict) : undefined;
  return all(
    [
      isSet(rules, 'const') ? (value) => (value === rules.const ? undefined : `value must equal ${quote(rules.const)}`) : undefined,
      ...listChecks(rules.in, rules.notIn),
      lengthCheck({ exact: number('len'), min: number('minLen'), max: number('maxLen') }, 'characters', codePoints),
      lengthCheck({ exact: number('lenBytes'), min: number('minBytes'), max: number('maxBytes') }, 'bytes', utf8Length),
      textCheck(text('prefix'), (value, part) => value.startsWith(part), 'value does not have prefix'),
      textCheck(text('suffix'), (value, part) => value.endsWith(part), 'value does not have suffix'),
      textCheck(text('contains'), (value, part) => value.includes(part), 'value does not contain substring'),
      textCheck(text('notContains'), (value, part) => !value.includes(part), 'value contains substring'),
      patternCheck(text('pattern') ?? known),
    ],
    rules.ignoreEmpty ? (value) => value === '' : undefined,
  );
}

function textCheck(part: string | undefined, holds: (value: string, part: string) => boolean, message: string): Check | undefined {
  if (part === undefined) return undefined;
  return (value) => (holds(value as string, part) ? undefined : `${message} ${JSON.stringify(part)}`);
}

/** A pattern has to match the whole value, as RE2::FullMatch does. Those of Envoy's API mean the same to RE2 and to JavaScript. */
function patternCheck(pattern: string | undefined): Check | undefined {
  if (pattern === undefined) return undefined;
  const regex = new RegExp(`^(?:${pattern})$`, 'u');
  // Quoted as Envoy does, so that one search finds our report and its refusal.
  const message = `value does not match regex pattern ${JSON.stringify(pattern).replaceAll('\\u00', '\\x')}`;
  return (value) => (regex.test(value as string) ? undefined : message);
}

/**
 * protoc-gen-validate's own patterns for headers, its slip included: `+-.` is a range, so that a comma passes.
 * `strict: false` only excludes what would split a header.
 */
function knownPattern(regex: KnownRegex, strict: boolean): string | undefined {
  if (regex === KnownRegex.UNKNOWN) return undefined;
  if (!strict) return '^[^\x00\n\r]*$';
  return regex === KnownRegex.HTTP_HEADER_NAME ? "^:?[0-9a-zA-Z!#$%&'*+-.^_|~`]+$" : '^[^\x00-\b\n-\x1f\x7f]*$';
}

function bytesCheck(rules: BytesRules): Check | undefined {
  rejectUnsupported('bytes', rules, ['const', 'pattern', 'prefix', 'suffix', 'contains']);
  if (rules.in.length > 0 || rules.notIn.length > 0 || rules.wellKnown.case !== undefined) {
    throw new Error('validate.rules: bytes.in, not_in and ip are not supported');
  }
  const number = (name: 'len' | 'minLen' | 'maxLen'): bigint | undefined => numberOf(BytesRulesSchema, rules, name);
  const length = (value: unknown): number => (value as Uint8Array).byteLength;
  return all(
    [lengthCheck({ exact: number('len'), min: number('minLen'), max: number('maxLen') }, 'bytes', length)],
    rules.ignoreEmpty ? (value) => length(value) === 0 : undefined,
  );
}

function codePoints(value: unknown): number {
  let n = 0;
  for (const _ of value as string) n++;
  return n;
}

function utf8Length(value: unknown): number {
  let n = 0;
  for (const character of value as string) {
    const code = character.codePointAt(0) ?? 0;
    n += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return n;
}
