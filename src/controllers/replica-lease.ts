/** A replica's record: a Lease of its own, whose annotations hold what it says. */
import type { ObjectBody } from '../kubernetes/api.ts';
import { isRecord, type RawObject } from '../kubernetes/list.ts';
import { microTime } from '../kubernetes/lease.ts';
import { maxValueBytes, type Replica, type ReplicaState } from './replicas.ts';

export const replicaLabel = 'mizzen.io/replica';
export const revisionLabel = 'mizzen.io/revision';
const statePrefix = 'mizzen.io/';
const dataPrefix = 'data.mizzen.io/';

/** The pod that a replica runs in: its record goes with it. */
export interface OwnPod {
  readonly name: string;
  readonly uid: string;
}

export interface ReplicaIdentity {
  readonly namespace: string;
  readonly revision: string;
  readonly replica: string;
  readonly pod?: OwnPod;
}

/** What a record says, and what changes with each renewal. */
export interface ReplicaRecord {
  readonly replica: Omit<Replica, 'live'>;
  readonly mark: string;
}

export function recordName({ revision, replica }: Pick<ReplicaIdentity, 'revision' | 'replica'>): string {
  return revision === 'default' ? `mizzen-replica-${replica}` : `mizzen-replica-${revision}-${replica}`;
}

export function recordBody(
  identity: ReplicaIdentity,
  state: ReplicaState,
  data: ReadonlyMap<string, string>,
  renewedAtMs: number,
  durationMs: number,
): ObjectBody {
  const { namespace, revision, replica, pod } = identity;
  const { version, startedAt, monitoringAddress, ready, streams } = state;
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      namespace,
      name: recordName(identity),
      labels: { [replicaLabel]: 'true', [revisionLabel]: revision },
      annotations: {
        [`${statePrefix}version`]: version,
        [`${statePrefix}started-at`]: startedAt,
        [`${statePrefix}monitoring-address`]: monitoringAddress,
        [`${statePrefix}ready`]: String(ready),
        [`${statePrefix}streams`]: String(streams),
        ...Object.fromEntries([...data].map(([key, value]) => [`${dataPrefix}${key}`, value])),
      },
      ...(pod !== undefined && { ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: pod.name, uid: pod.uid }] }),
    },
    spec: {
      holderIdentity: replica,
      leaseDurationSeconds: Math.ceil(durationMs / 1000),
      renewTime: microTime(renewedAtMs),
    },
  };
}

/** Undefined for a Lease that is no record of a replica. */
export function readRecord(lease: RawObject): ReplicaRecord | undefined {
  const spec = isRecord(lease['spec']) ? lease['spec'] : {};
  const { holderIdentity, renewTime } = spec;
  if (typeof holderIdentity !== 'string' || holderIdentity === '') return undefined;
  const annotations = isRecord(lease.metadata['annotations']) ? lease.metadata['annotations'] : {};
  const text = (name: string): string => {
    const value = annotations[`${statePrefix}${name}`];
    return typeof value === 'string' ? value : '';
  };
  const streams = Number(text('streams'));
  const data = Object.entries(annotations).flatMap(([name, value]): [string, string][] =>
    name.startsWith(dataPrefix) && typeof value === 'string' && value.length <= maxValueBytes
      ? [[name.slice(dataPrefix.length), value]]
      : [],
  );
  return {
    replica: {
      name: holderIdentity,
      version: text('version'),
      startedAt: text('started-at'),
      monitoringAddress: text('monitoring-address'),
      ready: text('ready') === 'true',
      streams: Number.isSafeInteger(streams) && streams >= 0 ? streams : 0,
      data: Object.fromEntries(data),
    },
    mark: typeof renewTime === 'string' ? renewTime : '',
  };
}
