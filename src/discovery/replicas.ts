/** This replica among the others of its control plane. */
import type { Log } from '../admin/log.ts';
import type { Controller } from '../controllers/controller.ts';
import { ReplicaRecords } from '../controllers/replica-records.ts';
import { SingleReplica, type Replica, type Replicas, type ReplicaState } from '../controllers/replicas.ts';
import { systemClock } from '../kubernetes/clock.ts';
import { faultLog } from './fault-log.ts';
import type { Instance } from './options.ts';
import type { ClusterAccess } from './origin.ts';

export interface JoinedReplicas {
  readonly replicas: Replicas;
  /** Those of all revisions in the namespace. */
  all(): readonly Replica[];
  /** What the leader does for the records. */
  readonly controllers: readonly Controller[];
  /** What `state` answers has changed. */
  stateChanged(): void;
  /** Takes this replica off the list. */
  leave(): Promise<void>;
}

/** Without a cluster this is the only one. */
export function joinReplicas(options: {
  readonly cluster?: ClusterAccess;
  readonly instance: Instance;
  readonly state: () => ReplicaState;
  readonly log: Log;
}): JoinedReplicas {
  const { cluster, instance, state } = options;
  if (cluster === undefined) {
    const replicas = new SingleReplica(instance.replica, state);
    return { replicas, all: () => replicas.list(), controllers: [], stateChanged: () => {}, leave: async () => {} };
  }
  const log = options.log.scope('controllers');
  const records = new ReplicaRecords({
    identity: instance,
    transport: cluster.transport,
    api: cluster.api,
    clock: systemClock,
    wallClock: Date.now,
    state,
    onFault: faultLog(log, 'the Leases by which replicas know of each other cannot be reached'),
  });
  const stop = new AbortController();
  const running = records.run(stop.signal);
  running.catch((error: unknown) => log.error({ err: error }, 'fault in the list of replicas'));
  return {
    replicas: records,
    all: () => records.listAll(),
    controllers: [records.cleaner],
    stateChanged: () => records.stateChanged(),
    leave: async () => {
      stop.abort();
      await running;
    },
  };
}
