/** The end of all streams, spread over some seconds: proxies that come together at another replica would wait for each other there. */
import { pause, type Clock } from '../kubernetes/clock.ts';
import type { MovableStream } from '../xds/hub.ts';

export interface DrainOptions {
  readonly streams: () => Iterable<MovableStream>;
  readonly durationMs: number;
  readonly clock: Clock;
}

/** Before the first stream ends, so that whoever spreads connections has seen that this replica is not ready. */
const leadMs = 1_000;

/** Returns when all streams that were there are ended, at once where there are none. No new ones may come meanwhile. */
export async function drain({ streams, durationMs, clock }: DrainOptions, signal: AbortSignal): Promise<void> {
  const all = shuffled([...streams()], clock);
  if (all.length === 0) return;
  const startMs = clock.now();
  const firstMs = Math.min(leadMs, durationMs / 5);
  const stepMs = (durationMs - firstMs) / all.length;
  for (const [index, stream] of all.entries()) {
    await pause(clock, startMs + firstMs + (index + clock.random()) * stepMs - clock.now(), signal);
    stream.leave('this replica of the control plane is stopping; another one takes over');
    if (isEmpty(streams())) return;
  }
}

function shuffled<T>(list: T[], clock: Clock): T[] {
  for (let last = list.length - 1; last > 0; last--) {
    const other = Math.floor(clock.random() * (last + 1));
    [list[last], list[other]] = [list[other] as T, list[last] as T];
  }
  return list;
}

function isEmpty(values: Iterable<unknown>): boolean {
  for (const _ of values) return false;
  return true;
}
