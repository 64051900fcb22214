/** Which streams this replica takes, keeps and gives away. */
import type { Log } from '../admin/log.ts';
import type { Instruments } from '../admin/metrics/instruments.ts';
import type { Replicas } from '../controllers/replicas.ts';
import { systemClock } from '../kubernetes/clock.ts';
import { StreamAdmission } from '../xds/admission.ts';
import type { Hub } from '../xds/hub.ts';
import { drain } from './drain.ts';
import { Evening, eveningMs } from './evening.ts';
import { MemoryGauge, memoryUse, type MemoryLevel } from './memory.ts';
import type { StreamPolicy } from './options.ts';

export interface StreamControlOptions {
  readonly policy: StreamPolicy;
  readonly metrics: Instruments;
  readonly log: Log;
}

/** Between two looks at the memory while no stream comes. */
const memoryMs = 250;
/** Between two streams while memory is full. What was freed is used again, but the process seldom gives it back: without these it would refuse all for ever. */
const trickleMs = 250;
/**
 * Between two connections while memory is short or full: TLS takes 90 KB for each, at once for all that come at once, before any of them can be refused. Those that
 * come sooner are reset.
 */
const connectionMs = { short: 10, full: 50 } as const;

const noMemory = {
  code: 'RESOURCE_EXHAUSTED',
  reason: 'this replica of the control plane has no memory left for one more stream (see --memory-limit); try again, another may have',
  elsewhere: true,
} as const;

const stopping = { code: 'UNAVAILABLE', reason: 'this replica of the control plane is stopping', elsewhere: true } as const;

export class StreamControl {
  readonly admission: StreamAdmission;
  readonly #options: StreamControlOptions;
  readonly #memory: MemoryGauge;
  readonly #stops: (() => void)[] = [];
  #hub: Hub | undefined;
  #stopping = false;
  #given = 0;
  #trickledAtMs = -Infinity;
  #connectedAtMs = -Infinity;
  #reset = 0;

  constructor(options: StreamControlOptions) {
    this.#options = options;
    const { policy, metrics } = options;
    const log = options.log.scope('ads');
    this.#memory = new MemoryGauge({
      limitBytes: policy.memoryLimitBytes,
      use: memoryUse,
      now: () => performance.now(),
      onLevel: (level, use) => {
        this.#applyMemory(level);
        const fields = { ...use, limitBytes: policy.memoryLimitBytes };
        if (level === 'full') log.warn(fields, 'memory is nearly used up: of new streams four a second are taken, the others refused');
        else if (level === 'exhausted') log.error(fields, 'memory is used up: no stream is taken');
        else if (level === 'short') log.warn(fields, 'memory is short: large answers are sent one at a time');
        else log.info(fields, 'there is memory again');
      },
    });
    this.admission = new StreamAdmission({
      now: () => performance.now(),
      maxStreams: policy.maxStreams,
      maxPerSecond: policy.maxNewPerSecond,
      closed: () => {
        if (this.#stopping) return stopping;
        return this.#hasMemory() ? undefined : noMemory;
      },
    });
    metrics.total(
      'mizzen_xds_turned_away_streams_total',
      'Streams that were refused for a limit or because the replica is stopping',
      () => {
        return this.admission.refused;
      },
    );
    metrics.total('mizzen_xds_reset_connections_total', 'Connections for which there was no memory', () => this.#reset);
    metrics.total('mizzen_xds_given_streams_total', 'Streams that were ended because other replicas have fewer', () => this.#given);
    metrics.read(
      'mizzen_memory_level',
      '0: there is plenty; 1: large answers are sent one at a time; 2: few new streams are taken; 3: none is',
      () => {
        return { plenty: 0, short: 1, full: 2, exhausted: 3 }[this.#memory.read()];
      },
    );
  }

  /** From now on memory is watched, and streams are evened out among the replicas. */
  start(hub: Hub, replicas: Replicas): void {
    this.#hub = hub;
    const log = this.#options.log.scope('ads');
    const evening = new Evening({
      replicas,
      streams: () => hub.streams,
      now: () => performance.timeOrigin + performance.now(),
      onGiven: (streams, all) => {
        this.#given += streams;
        log.info(
          { streams, replicas: Object.fromEntries(all.map((each) => [each.name, each.streams])) },
          'streams given to other replicas',
        );
      },
    });
    for (const [ms, task] of [
      [memoryMs, () => this.#memory.read()],
      [eveningMs, () => this.#stopping || evening.tick()],
    ] as const) {
      const timer = setInterval(task, ms);
      this.#stops.push(() => clearInterval(timer));
    }
  }

  /** Whether there is memory for one more connection. */
  accepts(): boolean {
    const level = this.#memory.read();
    if (level === 'plenty') return true;
    const now = performance.now();
    if (level !== 'exhausted' && now - this.#connectedAtMs >= connectionMs[level]) {
      this.#connectedAtMs = now;
      return true;
    }
    this.#reset++;
    return false;
  }

  /** Takes no more streams and ends those that are there, over `drainMs`. */
  async drain(): Promise<void> {
    this.#stopping = true;
    const hub = this.#hub;
    if (hub === undefined) return;
    const { drainMs } = this.#options.policy;
    this.#options.log.scope('ads').info({ streams: hub.streams.size, drainMs }, 'streams are ended');
    await drain({ streams: () => hub.streams, durationMs: drainMs, clock: systemClock }, new AbortController().signal);
  }

  stop(): void {
    for (const stop of this.#stops.splice(0)) stop();
  }

  #hasMemory(): boolean {
    const level = this.#memory.read();
    if (level !== 'full') return level !== 'exhausted';
    const now = performance.now();
    if (now - this.#trickledAtMs < trickleMs) return false;
    this.#trickledAtMs = now;
    return true;
  }

  #applyMemory(level: MemoryLevel): void {
    if (this.#hub !== undefined) this.#hub.memoryShort = level !== 'plenty';
  }
}
