/** What writes to the cluster, by one replica of each control plane at a time. */
import type { Log } from '../admin/log.ts';
import type { Controller } from '../controllers/controller.ts';
import { runLeader } from '../controllers/leader.ts';
import { systemClock } from '../kubernetes/clock.ts';
import { LeaseElection } from '../kubernetes/lease.ts';
import type { Instance } from './options.ts';
import type { ClusterAccess } from './origin.ts';

export interface ControllersOptions {
  readonly cluster: ClusterAccess;
  readonly instance: Instance;
  readonly controllers: readonly Controller[];
  readonly log: Log;
}

/** Takes part in the election from now on. The result stops it, and gives the lease up if this replica leads. */
export function startControllers({ cluster, instance, controllers, log }: ControllersOptions): () => Promise<void> {
  const logger = log.scope('controllers');
  const { namespace, revision, replica } = instance;
  const election = new LeaseElection({
    api: cluster.api,
    clock: systemClock,
    wallClock: Date.now,
    namespace,
    name: leaseName(revision),
    holder: replica,
    onFault: (error) => logger.warn({ err: error }, 'the leader election cannot reach its Lease'),
  });
  const stop = new AbortController();
  const running = runLeader(
    {
      election,
      controllers,
      clock: systemClock,
      onLeading: (leading) => logger.info({ replica, lease: leaseName(revision) }, leading ? 'leads' : 'no longer leads'),
      onFault: (controller, error) => logger.error({ controller, err: error }, 'a controller has failed; it is begun anew'),
    },
    stop.signal,
  );
  return async () => {
    stop.abort();
    await running;
  };
}

/** Control planes side by side each have a leader. */
export function leaseName(revision: string): string {
  return revision === 'default' ? 'mizzen-leader' : `mizzen-leader-${revision}`;
}
