/** Which version of an object the API server has, and what of our conditions is in it: for whoever writes status or waits for a change to be seen. */
import { objectKey, type ObjectKey } from '../../apis/object.ts';
import { isRecord } from '../../kubernetes/list.ts';
import type { Observed, ObservedObjects } from '../source.ts';
import type { WatchedKind } from './streams.ts';

export class ObservedVersions implements ObservedObjects {
  private readonly versions = new Map<ObjectKey, Observed>();
  private readonly handlers = new Set<(object: ObjectKey) => void>();

  /** `raw`: as it was trimmed. */
  put(kind: WatchedKind, apiVersion: string, { metadata, status }: Readonly<Record<string, unknown>>): void {
    if (!isFollowed(kind) || !isRecord(metadata)) return;
    const { name, namespace, resourceVersion, generation } = metadata;
    if (typeof name !== 'string' || typeof resourceVersion !== 'string') return;
    const key = objectKey(kind.kind, typeof namespace === 'string' ? namespace : '', name);
    const conditions = isRecord(status) && typeof status['conditions'] === 'string' ? status['conditions'] : '';
    this.versions.set(key, {
      apiVersion,
      resourceVersion,
      ...(typeof generation === 'number' && { generation }),
      conditions,
    });
    this.tell(key);
  }

  delete(key: ObjectKey): void {
    if (this.versions.delete(key)) this.tell(key);
  }

  get(object: ObjectKey): Observed | undefined {
    return this.versions.get(object);
  }

  keys(): Iterable<ObjectKey> {
    return this.versions.keys();
  }

  listen(handler: (object: ObjectKey) => void): () => void {
    this.handlers.add(handler);
    return () => this.handlers.delete(handler);
  }

  private tell(key: ObjectKey): void {
    for (const handler of this.handlers) handler(key);
  }
}

/** Istio's kinds have a status for conditions; a Service is what most of the others are for. */
function isFollowed({ group, kind }: WatchedKind): boolean {
  return group.endsWith('.istio.io') || (group === '' && kind === 'Service');
}
