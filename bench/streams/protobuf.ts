/**
 * Just enough of the protobuf wire format to find names in Envoy's resources. The simulated proxies must not be slower than what they measure:
 * decoding a first answer of 1,000 clusters into objects costs a hundred times more than walking over its fields.
 */

/** A field of a message: a view of its bytes, or the value of a varint. Fixed-width fields are views of 4 or 8 bytes. */
export interface Field {
  readonly number: number;
  /** Of a varint; 0 otherwise. */
  readonly value: number;
  /** Offsets of the content in the buffer that was walked; empty for a varint. */
  readonly start: number;
  readonly end: number;
}

/** Walks the fields of the message in `buffer[start, end)`. The object passed to `visit` is used again for the next field. */
export function eachField(buffer: Buffer, start: number, end: number, visit: (field: Field) => void): void {
  const field = { number: 0, value: 0, start: 0, end: 0 };
  let at = start;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = buffer[at++];
      if (byte === undefined || at > end || scale > 2 ** 63) throw new Error('a varint is cut off');
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < end) {
    const tag = varint();
    field.number = Math.floor(tag / 8);
    field.value = 0;
    const type = tag % 8;
    if (type === 0) {
      field.value = varint();
      field.start = field.end = at;
    } else {
      const length = type === 2 ? varint() : type === 1 ? 8 : type === 5 ? 4 : undefined;
      if (length === undefined) throw new Error(`wire type ${type} is unknown`);
      field.start = at;
      field.end = at + length;
      if (field.end > end) throw new Error('a field is cut off');
      at = field.end;
    }
    visit(field);
  }
}

/** The text of a field. */
export function textOf(buffer: Buffer, field: Field): string {
  return buffer.toString('utf8', field.start, field.end);
}

/** A length-delimited field, ready to be joined with others. */
export function lengthDelimited(number: number, content: string | Uint8Array): Buffer {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  const head: number[] = [];
  for (let value of [number * 8 + 2, bytes.length]) {
    for (; value > 127; value = Math.floor(value / 128)) head.push((value % 128) + 128);
    head.push(value);
  }
  return Buffer.concat([Buffer.from(head), bytes]);
}
