import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { HeaderValueSchema } from '#gen/envoy/config/core/v3/base_pb.js';
import { FieldRulesSchema, KnownRegex } from '#gen/validate/validate_pb.js';
import { duplicateOf, sizeCheck, valueCheck } from './rules.ts';

type Type = NonNullable<MessageInitShape<typeof FieldRulesSchema>['type']>;

/** The outcome of one rule on each value. */
function outcomes(type: Type, ...values: readonly unknown[]): (string | undefined)[] {
  const check = valueCheck(create(FieldRulesSchema, { type }), undefined);
  if (check === undefined) throw new Error('no check');
  return values.map(check);
}

const ok = undefined;

test('lengths count characters, or bytes where the rule says bytes', () => {
  const short = 'value length must be at least 1 characters';
  expect(outcomes({ case: 'string', value: { minLen: 1n } }, '', 'a')).toEqual([short, ok]);
  const long = 'value length must be at most 2 characters';
  expect(outcomes({ case: 'string', value: { maxLen: 2n } }, 'éé', '😀😀', 'abc')).toEqual([ok, ok, long]);
  const bytes = 'value length must be at most 4 bytes';
  expect(outcomes({ case: 'string', value: { maxBytes: 4n } }, 'éé', '😀', '😀a', 'eéê')).toEqual([ok, ok, bytes, bytes]);
  const exact = 'value length must be 64 characters';
  expect(outcomes({ case: 'string', value: { len: 64n } }, 'a', 'a'.repeat(64))).toEqual([exact, ok]);
  const between = 'value length must be between 1 and 2 bytes, inclusive';
  expect(outcomes({ case: 'bytes', value: { minLen: 1n, maxLen: 2n } }, new Uint8Array(0), new Uint8Array(2), new Uint8Array(3))).toEqual([
    between,
    ok,
    between,
  ]);
});

test('an ignored empty value passes whatever the rest says', () => {
  const rules = { minLen: 3n, ignoreEmpty: true };
  expect(outcomes({ case: 'string', value: rules }, '', 'ab')).toEqual([ok, 'value length must be at least 3 characters']);
  const positive = { gt: 5n, ignoreEmpty: true };
  expect(outcomes({ case: 'uint64', value: positive }, 0n, 5n, 6n)).toEqual([ok, 'value must be greater than 5', ok]);
});

test('affixes, lists and patterns', () => {
  const affixes = { prefix: '%', suffix: '%', notContains: ' ' };
  expect(outcomes({ case: 'string', value: affixes }, '%A%', 'A%', '%A', '% %')).toEqual([
    ok,
    'value does not have prefix "%"',
    'value does not have suffix "%"',
    'value contains substring " "',
  ]);
  expect(outcomes({ case: 'string', value: { in: ['http', 'https'] } }, 'http', 'ftp')).toEqual([
    ok,
    'value must be in list [http, https]',
  ]);
  const pattern = outcomes({ case: 'string', value: { pattern: '^[^?#]+[^?#/]$' } }, '/a', '/a/', '/a?');
  const mismatch = 'value does not match regex pattern "^[^?#]+[^?#/]$"';
  expect(pattern).toEqual([ok, mismatch, mismatch]);
  // A pattern with alternatives and anchors still has to match the whole value.
  expect(outcomes({ case: 'string', value: { pattern: '^$|^a$' } }, '', 'a', 'ab').map((o) => o === ok)).toEqual([true, true, false]);
});

test('header names and values, strict and not', () => {
  const passes = (value: KnownRegex, strict: boolean | undefined, ...texts: string[]): boolean[] =>
    outcomes(
      { case: 'string', value: { wellKnown: { case: 'wellKnownRegex', value }, ...(strict === undefined ? {} : { strict }) } },
      ...texts,
    ).map((o) => o === ok);
  expect(passes(KnownRegex.HTTP_HEADER_NAME, undefined, 'x-a', ':path', 'a,b', 'a b', 'a:b', '', 'é')).toEqual([
    true,
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
  expect(passes(KnownRegex.HTTP_HEADER_VALUE, true, 'a b\tc', '', 'é', 'a\u0001', 'a\nb', 'a\u007f')).toEqual([
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
  for (const known of [KnownRegex.HTTP_HEADER_NAME, KnownRegex.HTTP_HEADER_VALUE]) {
    expect(passes(known, false, 'a b', '', 'a\u0001', 'a\nb', 'a\r', 'a\u0000')).toEqual([true, true, true, false, false, false]);
  }
});

test('ranges of numbers, closed, open, one-sided and turned inside out', () => {
  expect(outcomes({ case: 'uint32', value: { lte: 100, gte: 1 } }, 0, 1, 100, 101)).toEqual([
    'value must be inside range [1, 100]',
    ok,
    ok,
    'value must be inside range [1, 100]',
  ]);
  expect(outcomes({ case: 'double', value: { gt: 0, lt: 1 } }, 0, 0.5, 1)).toEqual([
    'value must be inside range (0, 1)',
    ok,
    'value must be inside range (0, 1)',
  ]);
  expect(outcomes({ case: 'int64', value: { gt: 0n } }, 0n, 1n)).toEqual(['value must be greater than 0', ok]);
  expect(outcomes({ case: 'uint32', value: { lte: 65535 } }, 65535, 65536)).toEqual([ok, 'value must be less than or equal to 65535']);
  expect(outcomes({ case: 'uint32', value: { lt: 5 } }, 4, 5)).toEqual([ok, 'value must be less than 5']);
  expect(outcomes({ case: 'int32', value: { lt: 1, gt: 5 } }, 0, 1, 5, 6)).toEqual([
    ok,
    'value must be outside range [1, 5]',
    'value must be outside range [1, 5]',
    ok,
  ]);
  expect(outcomes({ case: 'int32', value: { const: 3, in: [3] } }, 3, 4)).toEqual([ok, 'value must equal 3']);
  // As in C++, no comparison with NaN holds, so that it breaks no rule.
  expect(outcomes({ case: 'double', value: { gte: 0, lte: 100 } }, NaN)).toEqual([ok]);
});

test('durations are compared to the nanosecond and have to be valid', () => {
  const least = { gte: { seconds: 0n, nanos: 1_000_000 } };
  expect(outcomes({ case: 'duration', value: least }, { seconds: 0n, nanos: 999_999 }, { seconds: 0n, nanos: 1_000_000 })).toEqual([
    'value must be greater than or equal to 0.001s',
    ok,
  ]);
  const positive = { gt: { seconds: 0n, nanos: 0 } };
  expect(
    outcomes(
      { case: 'duration', value: positive },
      { seconds: 0n, nanos: 0 },
      { seconds: -1n, nanos: 0 },
      { seconds: 1n, nanos: 1_000_000_000 },
      { seconds: 315_576_000_001n, nanos: 0 },
    ),
  ).toEqual([
    'value must be greater than 0s',
    'value must be greater than 0s',
    'value is not a valid duration',
    'value is not a valid duration',
  ]);
});

test('enums, booleans and types of Any', () => {
  expect(outcomes({ case: 'enum', value: { notIn: [6] } }, 6, 5)).toEqual(['value must not be in list [6]', ok]);
  expect(outcomes({ case: 'bool', value: { const: true } }, true, false)).toEqual([ok, 'value must equal true']);
  expect(outcomes({ case: 'any', value: { in: ['t/a'] } }, { typeUrl: 't/a' }, { typeUrl: 't/b' })).toEqual([
    ok,
    'type URL must be in list [t/a]',
  ]);
});

test('sizes and duplicates', () => {
  expect([0, 1].map(sizeCheck(1n, undefined, 'item(s)', 'items')!)).toEqual(['value must contain at least 1 item(s)', ok]);
  expect([16, 17].map(sizeCheck(undefined, 16n, 'pair(s)', 'pairs')!)).toEqual([ok, 'value must contain no more than 16 pair(s)']);
  expect([1, 3].map(sizeCheck(2n, 2n, 'item(s)', 'items')!)).toEqual(Array(2).fill('value must contain exactly 2 item(s)'));
  expect([0, 2].map(sizeCheck(1n, 4n, 'item(s)', 'items')!)).toEqual(['value must contain between 1 and 4 items, inclusive', ok]);
  expect(sizeCheck(undefined, undefined, 'item(s)', 'items')).toBeUndefined();
  expect(duplicateOf(['a', 'b', 'a', 'b'])).toBe(2);
  expect(duplicateOf(['a', 'b'])).toBeUndefined();
});

test('no rules mean no check, and a kind of rule that Envoy does not use is refused, not ignored', () => {
  expect(valueCheck(undefined, undefined)).toBeUndefined();
  expect(valueCheck(create(FieldRulesSchema, { type: { case: 'string', value: {} } }), HeaderValueSchema.fields[0]?.enum)).toBeUndefined();
  expect(() => outcomes({ case: 'string', value: { wellKnown: { case: 'email', value: true } } })).toThrow('string.email is not supported');
  expect(() => outcomes({ case: 'timestamp', value: { ltNow: true } })).toThrow('timestamp.ltNow is not supported');
});
