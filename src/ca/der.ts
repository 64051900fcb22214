/**
 * DER: written with node-forge's ASN.1, read by a strict cursor of our own. What is read comes from the network, and a signature covers the exact
 * bytes, so that the reader hands out slices and never decodes more than it was asked for.
 */
import forge from 'node-forge';

const { asn1 } = forge;
type Node = forge.asn1.Asn1;
const { UNIVERSAL, CONTEXT_SPECIFIC } = asn1.Class;
const binary = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
const primitive = (type: number, value: string): Node => asn1.create(UNIVERSAL, type, false, value);

export const sequence = (...items: Node[]): Node => asn1.create(UNIVERSAL, asn1.Type.SEQUENCE, true, items);
export const set = (...items: Node[]): Node => asn1.create(UNIVERSAL, asn1.Type.SET, true, items);
export const oid = (dotted: string): Node => primitive(asn1.Type.OID, asn1.oidToDer(dotted).getBytes());
export const boolean = (value: boolean): Node => primitive(asn1.Type.BOOLEAN, value ? '\xff' : '\0');
export const nil = (): Node => primitive(asn1.Type.NULL, '');
export const octets = (bytes: Uint8Array): Node => primitive(asn1.Type.OCTETSTRING, binary(bytes));
export const utf8 = (text: string): Node => primitive(asn1.Type.UTF8, binary(Buffer.from(text)));
/** Big-endian two's complement, as DER demands it: no padding. */
export const integer = (bytes: Uint8Array): Node => primitive(asn1.Type.INTEGER, binary(bytes));
export const bits = (bytes: Uint8Array, unused = 0): Node => primitive(asn1.Type.BITSTRING, String.fromCharCode(unused) + binary(bytes));
/** `[tag] EXPLICIT`. */
export const explicit = (tag: number, inner: Node): Node => asn1.create(CONTEXT_SPECIFIC, tag, true, [inner]);
/** `[tag] IMPLICIT` of a primitive type. */
export const implicit = (tag: number, bytes: Uint8Array): Node => asn1.create(CONTEXT_SPECIFIC, tag, false, binary(bytes));

/** RFC 5280 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050; whole seconds. */
export function time(date: Date): Node {
  return date.getUTCFullYear() < 2050
    ? primitive(asn1.Type.UTCTIME, asn1.dateToUtcTime(date))
    : primitive(asn1.Type.GENERALIZEDTIME, asn1.dateToGeneralizedTime(date));
}

export function encode(node: Node): Buffer {
  return Buffer.from(asn1.toDer(node).getBytes(), 'latin1');
}

/** Encoded elements joined inside a SEQUENCE, for parts that must be copied byte by byte. */
export function wrapSequence(...elements: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(elements);
  const length = body.length < 0x80 ? [body.length] : lengthBytes(body.length);
  return Buffer.concat([Buffer.from([tags.sequence, ...length]), body]);
}

function lengthBytes(length: number): number[] {
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return [0x80 | bytes.length, ...bytes];
}

/** Identifier octets that we meet. */
export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  sequence: 0x30,
  set: 0x31,
  context0: 0xa0,
  context3: 0xa3,
} as const;

/** What was read is not DER, or not what was expected there. */
export class DerError extends Error {}

export interface Element {
  readonly tag: number;
  /** Identifier, length and contents. */
  readonly whole: Uint8Array;
  readonly contents: Uint8Array;
}

/** Reads one element after the other from a slice. */
export class DerReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** The next element, which must have the tag if one is given. */
  next(tag?: number): Element {
    const start = this.#at;
    const found = this.#byte();
    if ((found & 0x1f) === 0x1f) throw new DerError('tag number above 30');
    if (tag !== undefined && found !== tag) throw new DerError(`tag 0x${found.toString(16)} in place of 0x${tag.toString(16)}`);
    const length = this.#length();
    const begin = this.#at;
    if (length > this.#bytes.length - begin) throw new DerError('element is longer than what holds it');
    this.#at = begin + length;
    return { tag: found, whole: this.#bytes.subarray(start, this.#at), contents: this.#bytes.subarray(begin, this.#at) };
  }

  /** The next element if it has the tag. */
  optional(tag: number): Element | undefined {
    return !this.done && this.#bytes[this.#at] === tag ? this.next(tag) : undefined;
  }

  enter(tag: number): DerReader {
    return new DerReader(this.next(tag).contents);
  }

  end(): void {
    if (!this.done) throw new DerError(`${this.#bytes.length - this.#at} bytes too many`);
  }

  #length(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0 || count > 3) throw new DerError('indefinite or giant length');
    let length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + this.#byte();
    if (length < 0x80 || length < 256 ** (count - 1)) throw new DerError('length is not in its shortest form');
    return length;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new DerError('ends too early');
    this.#at++;
    return byte;
  }
}

/** Dotted text of an OID's contents. */
export function oidText(contents: Uint8Array): string {
  if (contents.length === 0 || contents.length > 64) throw new DerError('OID of no or too many bytes');
  return asn1.derToOid(binary(contents));
}

/** The octets of a BIT STRING that has no unused bits, as keys and signatures are. */
export function bitStringOctets(element: Element): Uint8Array {
  if (element.contents.length < 1 || element.contents[0] !== 0) throw new DerError('BIT STRING is not of whole octets');
  return element.contents.subarray(1);
}
