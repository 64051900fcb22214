import { describe, expect, test } from 'vitest';
import { concat } from './join.ts';
import { encodedSize, splitAtCommon, SplitResource } from './resource.ts';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

describe('bytes in pieces', () => {
  const common = [bytes(1, 1, 2), bytes(1, 1, 3, 4)];

  test('refer to what is common, wherever it stands, and copy the rest', () => {
    const whole = bytes(9, 1, 1, 2, 1, 1, 3, 4, 8, 1, 1, 1, 2, 1, 1);
    const pieces = splitAtCommon(whole, common) ?? [];
    expect(pieces.map((piece) => [...piece])).toEqual([[9], [1, 1, 2], [1, 1, 3, 4], [8, 1], [1, 1, 2], [1, 1]]);
    expect([pieces[1], pieces[2], pieces[4]].map((piece) => common.findIndex((one) => one === piece))).toEqual([0, 1, 0]);
    expect(concat(...pieces)).toEqual(whole);
    expect(pieces.every((piece) => piece.buffer !== whole.buffer)).toBe(true);
  });

  test('of places that overlap the first counts', () => {
    expect(splitAtCommon(bytes(5, 5, 5), [bytes(5, 5)])?.map((piece) => [...piece])).toEqual([[5, 5], [5]]);
    expect(splitAtCommon(bytes(5, 6, 7), [bytes(6, 7), bytes(5, 6)])?.map((piece) => [...piece])).toEqual([[5, 6], [7]]);
  });

  test('there are none where nothing is common', () => {
    expect(splitAtCommon(bytes(1, 1), common)).toBeUndefined();
    expect(splitAtCommon(bytes(), common)).toBeUndefined();
    expect(splitAtCommon(bytes(1), [bytes()])).toBeUndefined();
  });

  test('are a resource as its bytes are', () => {
    const resource = new SplitResource('virtualInbound', 'v', [bytes(1, 2), bytes(3)]);
    expect(resource.bytes).toEqual(bytes(1, 2, 3));
    expect(encodedSize(resource)).toBe(3);
    expect(encodedSize({ name: 'a', version: 'v', bytes: bytes(1) })).toBe(1);
  });
});
