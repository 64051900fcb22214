import type { Origin } from '../../apis/object.ts';
import { type FieldLines, stepsOf } from './yaml.ts';

/** Where a document stands at the moment. */
export interface Position {
  readonly file: string;
  /** Of the chunk, 1-based. */
  readonly chunkLine: number;
  /** Of the object in the chunk, 1-based. */
  readonly line: number;
  readonly text: string;
  /** Index of the document in the chunk. */
  readonly document: number;
  /** Path of the object in its document: empty, or `items[3]` in a List. */
  readonly prefix: string;
}

/**
 * The origin of an object whose position may change while the object does not: a line that is added above it must not make a new version of it, and
 * yet explanations shall name the line where it stands now.
 */
export interface Place {
  position: Position;
  readonly origin: Origin;
}

export function createPlace(position: Position, lines: FieldLines): Place {
  return new OfDocument(position, lines);
}

class OfDocument implements Place {
  position: Position;
  readonly origin: Origin;

  constructor(position: Position, lines: FieldLines) {
    this.position = position;
    this.origin = new PresentOrigin(this, lines);
  }
}

/** A class: getters of an object literal would take 400 bytes for each object. */
class PresentOrigin implements Origin {
  readonly #place: Place;
  readonly #lines: FieldLines;

  constructor(place: Place, lines: FieldLines) {
    this.#place = place;
    this.#lines = lines;
  }

  get file(): string {
    return this.#place.position.file;
  }

  get line(): number {
    const { chunkLine, line } = this.#place.position;
    return chunkLine + line - 1;
  }

  lineOf(path: string): number | undefined {
    const { text, document, prefix, chunkLine } = this.#place.position;
    const line = this.#lines.lineOf(text, document, stepsOf(prefix, path));
    return line === undefined ? undefined : chunkLine + line - 1;
  }
}
