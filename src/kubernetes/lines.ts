/** Cuts a stream of bytes into lines. Bytes are joined before they are decoded, so that a chunk may end inside a character. */
export type Line = { readonly text: string } | { readonly oversized: number };

const newline = 0x0a;

export class LineSplitter {
  private readonly maxBytes: number;
  private parts: Uint8Array[] = [];
  private length = 0;

  /** Longer lines are not kept: they come out as their size alone. */
  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** Lines that this chunk completes; empty ones are left out. */
  *push(chunk: Uint8Array): Generator<Line> {
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      this.keep(chunk.subarray(start, end));
      start = end + 1;
      const line = this.take();
      if (line !== undefined) yield line;
    }
    this.keep(chunk.subarray(start));
  }

  /** Bytes after the last line's end. */
  get pending(): number {
    return this.length;
  }

  private keep(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.length += bytes.length;
    if (this.length > this.maxBytes) this.parts = [];
    // A copy: the part would otherwise hold the whole chunk.
    else this.parts.push(bytes.slice());
  }

  private take(): Line | undefined {
    const { parts, length } = this;
    this.parts = [];
    this.length = 0;
    if (length === 0) return undefined;
    if (length > this.maxBytes) return { oversized: length };
    const only = parts[0];
    return {
      text: (parts.length === 1 && only !== undefined
        ? Buffer.from(only.buffer, only.byteOffset, only.byteLength)
        : Buffer.concat(parts)
      ).toString('utf8'),
    };
  }
}
