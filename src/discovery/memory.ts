/** How near the process is to the end of its memory. */
import { getHeapStatistics } from 'node:v8';

/** `short`: large answers fly one at a time; `full`: new streams are taken one now and then; `exhausted`: none is. */
export type MemoryLevel = 'plenty' | 'short' | 'full' | 'exhausted';

export interface MemoryUse {
  readonly rssBytes: number;
  readonly heapBytes: number;
  readonly heapLimitBytes: number;
}

export interface MemoryOptions {
  /** Of the process; undefined: only the heap has one. */
  readonly limitBytes: number | undefined;
  readonly use: () => MemoryUse;
  readonly now: () => number;
  readonly onLevel: (level: MemoryLevel, use: MemoryUse) => void;
}

/** From the least to the most. */
const levels = [
  { level: 'short', from: 0.8 },
  { level: 'full', from: 0.9 },
  { level: 'exhausted', from: 0.95 },
] as const;
/** A level is left a twentieth below where it begins. */
const margin = 0.05;
/** In a storm it is asked for with each stream. */
const freshMs = 20;

export class MemoryGauge {
  readonly #options: MemoryOptions;
  #level: MemoryLevel = 'plenty';
  #readAtMs = -Infinity;

  constructor(options: MemoryOptions) {
    this.#options = options;
  }

  get limitBytes(): number | undefined {
    return this.#options.limitBytes;
  }

  /** The level now. */
  read(): MemoryLevel {
    const { limitBytes = Infinity, use: read, now, onLevel } = this.#options;
    const at = now();
    if (at - this.#readAtMs < freshMs) return this.#level;
    this.#readAtMs = at;
    const use = read();
    const share = Math.max(use.rssBytes / limitBytes, use.heapBytes / use.heapLimitBytes);
    const before = this.#level;
    this.#level = levelOf(share, before);
    if (this.#level !== before) onLevel(this.#level, use);
    return this.#level;
  }
}

function levelOf(share: number, before: MemoryLevel): MemoryLevel {
  const present = levels.findIndex(({ level }) => level === before);
  return levels.findLast(({ from }, index) => share >= from - (index <= present ? margin : 0))?.level ?? 'plenty';
}

/** Of this process. */
export function memoryUse(): MemoryUse {
  const { used_heap_size: heapBytes, heap_size_limit: heapLimitBytes } = getHeapStatistics();
  return { rssBytes: process.memoryUsage.rss(), heapBytes, heapLimitBytes };
}

/** What the control group gives the process; undefined where it has no limit. */
export function memoryLimitOfGroup(): number | undefined {
  const limit = process.constrainedMemory();
  // Without a limit it is 0, or by control groups of version 1 some number close to 2^63.
  return limit === 0 || limit > 2 ** 60 ? undefined : limit;
}
