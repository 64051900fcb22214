/**
 * Replicas that serve about the same number of proxies. A stream stays where it began, so that a replica that is added would serve nobody: one that has
 * more than its share ends some of its streams, whose proxies come back wherever new connections lead. Nobody is told to take any, and what a
 * replica ends it decides by itself from the counts of all.
 */
import type { Replica, Replicas } from '../controllers/replicas.ts';
import type { MovableStream } from '../xds/hub.ts';

export interface Shares {
  readonly own: number;
  /** Of the other replicas that take streams. */
  readonly others: readonly number[];
  /** The last answer was more than 0. */
  readonly giving: boolean;
}

/** Between the own count and the smallest, in shares: it begins above the first and goes on to the second. A few streams are no reason. */
const beginGap = { share: 0.15, streams: 3 };
const endGap = { share: 0.1, streams: 2 };
/** Of `n` replicas one lacks connections and gets an n-th of them: with more replicas more is given at a time, so that it takes as long. */
const giveByReplica = 1 / 6;
const maxAtOnce = 40;

/** How many streams to end now, to be asked every `eveningMs`. */
export function toGive({ own, others, giving }: Shares): number {
  if (others.length === 0) return 0;
  const replicas = others.length + 1;
  const share = (own + others.reduce((sum, streams) => sum + streams, 0)) / replicas;
  const { share: gap, streams } = giving ? endGap : beginGap;
  if (own - Math.min(...others) <= Math.max(share * gap, streams) || own <= share) return 0;
  return Math.min(maxAtOnce, Math.ceil((own - share) * Math.min(1, replicas * giveByReplica)));
}

export const eveningMs = 2_000;

/** A proxy that has just come is not sent on. */
const minAgeMs = 20_000;

export interface EveningOptions {
  readonly replicas: Pick<Replicas, 'self' | 'current' | 'list'>;
  readonly streams: () => Iterable<MovableStream>;
  /** Of the clock of `connectedAtMs`. */
  readonly now: () => number;
  /** How many were ended. */
  readonly onGiven: (streams: number, replicas: readonly Replica[]) => void;
}

export class Evening {
  readonly #options: EveningOptions;
  #giving = false;

  constructor(options: EveningOptions) {
    this.#options = options;
  }

  /** Every `eveningMs`, while this replica takes streams. */
  tick(): void {
    const { replicas, streams, now, onGiven } = this.#options;
    // Counts of yesterday say nothing.
    if (!replicas.current) {
      this.#giving = false;
      return;
    }
    const ready = replicas.list().filter(({ live, ready: takes }) => live && takes);
    const all = [...streams()];
    const others = ready.filter(({ name }) => name !== replicas.self).map((replica) => replica.streams);
    const count = toGive({ own: all.length, others, giving: this.#giving });
    this.#giving = count > 0;
    if (count === 0) return;
    const oldest = all
      .filter((stream) => stream.quiet && now() - stream.connectedAtMs >= minAgeMs)
      .sort((a, b) => a.connectedAtMs - b.connectedAtMs)
      .slice(0, count);
    for (const stream of oldest)
      stream.leave('this replica of the control plane serves more proxies than the others; another one takes over');
    if (oldest.length > 0) onGiven(oldest.length, ready);
  }
}
