/** What writes to the cluster, by one replica of each control plane at a time. */
import type { Log } from '../admin/log.ts';
import type { Controller } from '../controllers/controller.ts';
import { runLeader } from '../controllers/leader.ts';
import { systemClock } from '../kubernetes/clock.ts';
import { LeaseElection } from '../kubernetes/lease.ts';
import { faultLog } from './fault-log.ts';
import type { Instance } from './options.ts';
import type { ClusterAccess } from './origin.ts';

export interface ControllersOptions {
  readonly cluster: ClusterAccess;
  readonly instance: Instance;
  readonly controllers: readonly Controller[];
  readonly log: Log;
}

export interface Leadership {
  readonly leading: boolean;
  /** The replica that leads, as last seen; empty for none. */
  readonly leader: string;
  /** Ends the controllers and gives the lease up if this replica leads. */
  stop(): Promise<void>;
}

/** Takes part in the election from now on. */
export function startControllers({ cluster, instance, controllers, log }: ControllersOptions): Leadership {
  const logger = log.scope('controllers');
  const { namespace, revision, replica } = instance;
  const election = new LeaseElection({
    api: cluster.api,
    clock: systemClock,
    wallClock: Date.now,
    namespace,
    name: leaseName(revision),
    holder: replica,
    onFault: faultLog(logger, 'the leader election cannot reach its Lease'),
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
  running.catch((error: unknown) => logger.error({ err: error }, 'fault in the leader election'));
  return {
    get leading() {
      return election.leading;
    },
    get leader() {
      return election.currentHolder;
    },
    stop: async () => {
      stop.abort();
      await running;
    },
  };
}

/** Control planes side by side each have a leader. */
export function leaseName(revision: string): string {
  return revision === 'default' ? 'mizzen-leader' : `mizzen-leader-${revision}`;
}
