/** What sources deliver, what it sets off, and how long its translation takes. */
import type { Instruments } from './instruments.ts';

export type ObjectEvent = 'add' | 'update' | 'delete';

export interface InputMetrics {
  /** Every `received` object since the last call belongs to a change that has reached a part. */
  triggered(): void;
  received(kind: string, event: ObjectEvent): void;
  /** Milliseconds that the translation took, and from the first change to its end. */
  translated(tookMs: number, sinceChangeMs: number | undefined): void;
  /** A fault of ours in a translation. */
  translationFailed(): void;
  /** The collections of a cluster that cannot be read at present; what was last read of them stays in force. */
  stale(cluster: string, collections: readonly string[]): void;
  /** The cluster is not read any more. */
  forget(cluster: string): void;
}

/** Kinds that istiod's service registry reads, as it calls them; all others are configuration. */
const registryKinds: Readonly<Record<string, string>> = {
  Service: 'Services',
  EndpointSlice: 'EndpointSlice',
  Pod: 'Pods',
  Node: 'Nodes',
  Namespace: 'Namespaces',
};

/** istiod's reason of a push. */
function triggerOf(kind: string): string {
  switch (kind) {
    case 'Service':
    case 'ServiceEntry':
      return 'service';
    case 'EndpointSlice':
    case 'Pod':
    case 'WorkloadEntry':
      return 'endpoint';
    case 'Secret':
      return 'secret';
    case 'Namespace':
      return 'namespace';
    case 'ConfigMap':
      return 'global';
    default:
      return 'config';
  }
}

function updateOf(kind: string, event: ObjectEvent): string {
  if (kind === 'Service') return event === 'delete' ? 'svcdelete' : 'svc';
  return triggerOf(kind) === 'endpoint' ? 'eds' : 'config';
}

/** `translationMs`: by feature, since the start. */
export function inputMetrics(make: Instruments, translationMs: () => ReadonlyMap<string, number>): InputMetrics {
  const config = make.counter('pilot_k8s_cfg_events', 'Objects of configuration that sources have added, updated or deleted', [
    'type',
    'event',
  ]);
  const registry = make.counter('pilot_k8s_reg_events', 'Services, endpoints, pods and nodes that sources have added, updated or deleted', [
    'type',
    'event',
  ]);
  const updates = make.counter('pilot_inbound_updates', 'Objects received, by what they are about', ['type']);
  const triggers = make.counter('pilot_push_triggers', 'Objects whose change became visible to the streams, by what they are about', [
    'type',
  ]);
  const translation = make.histogram('pilot_pushcontext_init_seconds', 'Translation of the changes of one flush');
  make.totals('mizzen_translation_seconds_total', 'Time of translation, by feature', 'feature', () => {
    return new Map([...translationMs()].map(([feature, ms]) => [feature, ms / 1000]));
  });
  const debounce = make.histogram('pilot_debounce_time', 'From the first change to the end of its translation');
  const faults = make.counter('mizzen_translation_faults_total', 'Faults of mizzen in a translation, whose last result stays in force');
  const syncErrors = make.counter('controller_sync_errors_total', 'Failures to list or watch a collection of a cluster', ['cluster']);
  const stale = make.gauge('mizzen_source_stale_collections', 'Collections of a cluster that cannot be read at present', ['cluster']);
  const known = new Map<string, ReadonlySet<string>>();
  const pending = new Map<string, number>();
  return {
    received: (kind, event) => {
      const registryKind = Object.hasOwn(registryKinds, kind) ? registryKinds[kind] : undefined;
      if (registryKind === undefined) config.inc({ type: kind, event });
      else registry.inc({ type: registryKind, event });
      updates.inc({ type: updateOf(kind, event) });
      const trigger = triggerOf(kind);
      pending.set(trigger, (pending.get(trigger) ?? 0) + 1);
    },
    triggered: () => {
      for (const [type, count] of pending) triggers.inc({ type }, count);
      pending.clear();
    },
    translated: (tookMs, sinceChangeMs) => {
      pending.clear();
      translation.observe(tookMs / 1000);
      if (sinceChangeMs !== undefined) debounce.observe(sinceChangeMs / 1000);
    },
    translationFailed: () => faults.inc(),
    stale: (cluster, collections) => {
      const before = known.get(cluster);
      const now = new Set(collections);
      known.set(cluster, now);
      stale.set({ cluster }, now.size);
      syncErrors.inc({ cluster }, [...now].filter((collection) => before?.has(collection) !== true).length);
    },
    forget: (cluster) => {
      known.delete(cluster);
      stale.remove({ cluster });
      syncErrors.remove({ cluster });
    },
  };
}
