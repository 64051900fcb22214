/** Which version of an object the API server has, and what of our conditions is in it: for whoever writes status or waits for a change to be seen. */
import { objectKey, type ObjectKey } from '../../apis/object.ts';
import { isRecord } from '../../kubernetes/list.ts';
import type { Observed, ObservedObjects } from '../source.ts';
import type { WatchedKind } from './streams.ts';

export class ObservedVersions implements ObservedObjects {
  private readonly versions = new Map<ObjectKey, Observed>();
  private readonly handlers = new Set<(object: ObjectKey, changed: boolean) => void>();

  /** `raw`: as it was trimmed. */
  put(kind: WatchedKind, apiVersion: string, { metadata, status }: Readonly<Record<string, unknown>>): void {
    if (!isFollowed(kind) || !isRecord(metadata)) return;
    const { name, namespace, resourceVersion, generation } = metadata;
    if (typeof name !== 'string' || typeof resourceVersion !== 'string') return;
    const key = objectKey(kind.kind, typeof namespace === 'string' ? namespace : '', name);
    const before = this.versions.get(key);
    const conditions = isRecord(status) && typeof status['conditions'] === 'string' ? status['conditions'] : '';
    this.versions.set(key, {
      apiVersion,
      resourceVersion,
      ...(typeof generation === 'number' && { generation }),
      conditions,
    });
    // What has no generation is compared by content, by whoever reads it.
    this.tell(key, before === undefined || (generation !== undefined && before.generation !== generation));
  }

  delete(key: ObjectKey): void {
    if (this.versions.delete(key)) this.tell(key, true);
  }

  get(object: ObjectKey): Observed | undefined {
    return this.versions.get(object);
  }

  keys(): Iterable<ObjectKey> {
    return this.versions.keys();
  }

  listen(handler: (object: ObjectKey, changed: boolean) => void): () => void {
    this.handlers.add(handler);
    return () => this.handlers.delete(handler);
  }

  private tell(key: ObjectKey, changed: boolean): void {
    for (const handler of this.handlers) handler(key, changed);
  }
}

/** Istio's kinds have a status for conditions; a Service is what most of the others are for. */
function isFollowed({ group, kind }: WatchedKind): boolean {
  return group.endsWith('.istio.io') || (group === '' && kind === 'Service');
}
