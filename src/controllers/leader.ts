/** Runs controllers while this replica leads. */
import { Backoff } from '../kubernetes/backoff.ts';
import { pause, type Clock } from '../kubernetes/clock.ts';
import type { LeaseElection } from '../kubernetes/lease.ts';
import type { Controller } from './controller.ts';

export interface LeaderOptions {
  readonly election: Pick<LeaseElection, 'run'>;
  readonly controllers: readonly Controller[];
  readonly clock: Clock;
  /** Elected, or no longer. */
  readonly onLeading: (leading: boolean) => void;
  /** A controller has failed; it is begun anew. */
  readonly onFault: (controller: string, error: unknown) => void;
}

/** Until the signal: takes part in the election and runs all controllers each time it is won. */
export async function runLeader({ election, controllers, clock, onLeading, onFault }: LeaderOptions, signal: AbortSignal): Promise<void> {
  await election.run(async (leading) => {
    onLeading(true);
    await Promise.all(controllers.map((controller) => keepRunning(controller, clock, onFault, leading)));
    onLeading(false);
  }, signal);
}

async function keepRunning(
  controller: Controller,
  clock: Clock,
  onFault: (controller: string, error: unknown) => void,
  signal: AbortSignal,
): Promise<void> {
  const backoff = new Backoff(clock, { firstMs: 1_000, maxMs: 60_000 });
  while (!signal.aborted) {
    try {
      await controller.run(signal);
      backoff.succeeded();
    } catch (error) {
      if (signal.aborted) return;
      onFault(controller.name, error);
    }
    await pause(clock, backoff.failed(), signal);
  }
}
