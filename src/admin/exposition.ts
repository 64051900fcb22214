/** `/metrics` in Prometheus' text format. */
import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';
import type { Registry } from 'prom-client';

const compress = promisify(gzip);

/** A rendering serves everybody who asks within this time. */
const keepMs = 250;

interface Rendering {
  readonly atMs: number;
  readonly text: Promise<Buffer>;
  /** Made when first asked for. */
  zipped?: Promise<Buffer>;
}

export interface Exposed {
  readonly body: Buffer;
  readonly encoding?: 'gzip';
}

/**
 * Renders at most four times a second, however many scrape, and all answers share the bytes. The format is always 0.0.4, which every scraper reads: in
 * OpenMetrics counters must end in `_total`, so that one metric would have two names, depending on who asks.
 */
export class Exposition {
  readonly contentType: string;
  readonly #registry: Registry;
  readonly #nowMs: () => number;
  #last: Rendering | undefined;

  constructor(registry: Registry, nowMs: () => number = () => performance.now()) {
    this.#registry = registry;
    this.contentType = registry.contentType;
    this.#nowMs = nowMs;
  }

  async answer(acceptEncoding: string | undefined): Promise<Exposed> {
    const rendering = this.#rendering();
    if (!acceptsGzip(acceptEncoding)) return { body: await rendering.text };
    rendering.zipped ??= rendering.text.then((text) => compress(text, { level: constants.Z_BEST_SPEED }));
    return { body: await rendering.zipped, encoding: 'gzip' };
  }

  #rendering(): Rendering {
    const nowMs = this.#nowMs();
    if (this.#last === undefined || nowMs - this.#last.atMs >= keepMs) {
      const text = this.#registry.metrics().then((rendered) => Buffer.from(rendered));
      const rendering = (this.#last = { atMs: nowMs, text });
      text.catch(() => {
        // The next one who asks tries again.
        if (this.#last === rendering) this.#last = undefined;
      });
    }
    return this.#last;
  }
}

/** `gzip`, also among others, unless its weight is 0. */
function acceptsGzip(header = ''): boolean {
  return header.split(',').some((one) => /^\s*gzip\s*(;(?!\s*q=0(\.0*)?\s*$)|$)/i.test(one));
}
