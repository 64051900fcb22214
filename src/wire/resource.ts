import { concat, type Pieces, totalLength } from './join.ts';

/** One resource as it is kept: encoded once, shared by every part and stream that has it. */
export interface EncodedResource {
  readonly name: string;
  /** Hash of `bytes`. Equal bytes are no change. */
  readonly version: string;
  /**
   * The encoded message. A VirtualHost is kept without its name (field 1) and a RouteConfiguration of a table with virtual hosts of its own without
   * `vhds` (9) and without those `virtual_hosts` (2): both depend on the protocol and are appended on sending.
   */
  readonly bytes: Uint8Array;
  /** `bytes`, where parts of them are shared with other resources: what is put together from them need not copy. */
  readonly pieces?: Pieces;
  /** RouteConfiguration only: its virtual hosts are the resources `<name>/...` of the VirtualHost tables. */
  readonly vhds?: boolean;
  /** VirtualHost only, of one stream alone: the names that its proxy has asked for on demand and that this host answers. */
  readonly aliases?: readonly string[];
}

/** A large resource of which most is the same in many. Its `bytes` are put together whenever they are asked for. */
export class SplitResource implements EncodedResource {
  readonly name: string;
  readonly version: string;
  readonly pieces: Pieces;

  constructor(name: string, version: string, pieces: Pieces) {
    this.name = name;
    this.version = version;
    this.pieces = pieces;
  }

  get bytes(): Uint8Array {
    return concat(...this.pieces);
  }
}

/** Of its `bytes`. */
export function encodedSize(resource: EncodedResource): number {
  return resource.pieces === undefined ? resource.bytes.byteLength : totalLength(resource.pieces);
}

/**
 * `bytes` in pieces: in place of each copy of one of `common` that one itself, so that many such resources hold it once. The rest is copied, and
 * `bytes` can go. Undefined where none of `common` is in them.
 */
export function splitAtCommon(bytes: Uint8Array, common: readonly Uint8Array[]): Pieces | undefined {
  const found = placesOf(common, bytes);
  if (found.length === 0) return undefined;
  const rest = new Uint8Array(bytes.byteLength - totalLength(found.map(({ piece }) => piece)));
  const pieces: Uint8Array[] = [];
  let from = 0;
  let filled = 0;
  const copyTo = (end: number): void => {
    if (end === from) return;
    rest.set(bytes.subarray(from, end), filled);
    pieces.push(rest.subarray(filled, (filled += end - from)));
  };
  for (const { at, piece } of found) {
    copyTo(at);
    pieces.push(piece);
    from = at + piece.byteLength;
  }
  copyTo(bytes.byteLength);
  return pieces;
}

interface Place {
  readonly at: number;
  readonly piece: Uint8Array;
}

/** In order, and apart from each other. */
function placesOf(common: readonly Uint8Array[], bytes: Uint8Array): Place[] {
  const all: Place[] = [];
  for (const [first, pieces] of Map.groupBy(common, (piece) => piece[0])) {
    if (first === undefined) continue;
    for (let at = bytes.indexOf(first); at >= 0; at = bytes.indexOf(first, at + 1)) {
      const piece = pieces.find((candidate) => standsAt(bytes, at, candidate));
      if (piece !== undefined) all.push({ at, piece });
    }
  }
  all.sort((a, b) => a.at - b.at);
  let end = 0;
  return all.filter(({ at, piece }) => {
    if (at < end) return false;
    end = at + piece.byteLength;
    return true;
  });
}

function standsAt(bytes: Uint8Array, at: number, piece: Uint8Array): boolean {
  if (at + piece.byteLength > bytes.byteLength) return false;
  for (let i = 1; i < piece.byteLength; i++) if (bytes[at + i] !== piece[i]) return false;
  return true;
}
