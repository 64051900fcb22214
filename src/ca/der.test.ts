import { describe, expect, it } from 'vitest';
import { DerReader, encode, explicit, integer, octets, oid, oidText, sequence, time, utf8, wrapSequence } from './der.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const from = (text: string): DerReader => new DerReader(Buffer.from(text.replaceAll(' ', ''), 'hex'));

describe('writing DER', () => {
  it('gives the encodings of X.690', () => {
    expect(hex(encode(sequence(oid('1.2.840.113549'), integer(Uint8Array.of(5)), utf8('é'))))).toBe(
      '300f 06062a864886f70d 020105 0c02c3a9'.replaceAll(' ', ''),
    );
    expect(hex(encode(explicit(3, octets(Uint8Array.of(0xff, 0x00)))))).toBe('a30404 02ff00'.replaceAll(' ', ''));
  });

  it.each([0, 127, 128, 255, 256, 65_535, 65_536])('wraps %i bytes with the shortest length', (size) => {
    const element = new DerReader(wrapSequence(new Uint8Array(size)));
    expect(element.next(0x30).contents.length).toBe(size);
    element.end();
  });

  it('changes the form of times in 2050', () => {
    expect(Buffer.from(encode(time(new Date('2049-12-31T23:59:59Z')))).toString('latin1')).toBe('\x17\x0d491231235959Z');
    expect(Buffer.from(encode(time(new Date('2050-01-01T00:00:00Z')))).toString('latin1')).toBe('\x18\x0f20500101000000Z');
  });
});

describe('reading DER', () => {
  it('takes one element after the other', () => {
    const reader = from('30 03 02 01 05 04 00').enter(0x30);
    expect(hex(reader.next(0x02).contents)).toBe('05');
    expect(reader.done).toBe(true);
  });

  it.each([
    ['a length beyond the end', '30 05 02 01'],
    ['an indefinite length', '30 80 00 00'],
    ['a long form for a short length', '30 81 03 02 01 05'],
    ['a padded length', `30 82 00 80 ${'00'.repeat(128)}`],
    ['a length of four bytes', '30 84 00 00 00 00'],
    ['a large tag number', '1f 01 00'],
    ['nothing', ''],
    ['half an element', '30'],
  ])('refuses %s', (_, text) => {
    expect(() => from(text).next()).toThrow(/./);
  });

  it('refuses another tag and what is left over', () => {
    expect(() => from('02 01 05').next(0x30)).toThrow('tag 0x2 in place of 0x30');
    expect(() => from('02 01 05').end()).toThrow('3 bytes too many');
    expect(() => oidText(new Uint8Array(0))).toThrow(/OID/);
    expect(oidText(Buffer.from('2a864886f70d', 'hex'))).toBe('1.2.840.113549');
  });
});
