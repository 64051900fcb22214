/** Objects of one collection in memory, with the API server's rules for versions. Faults on demand. */
import type { CollectionRef, KubernetesApi, ObjectBody, ObjectRef } from '../api.ts';
import { ApiRefusal, isRecord, type RawObject } from '../list.ts';
import { ApiUnreachable } from '../transport.ts';

type Calls = Pick<KubernetesApi, 'get' | 'create' | 'replace' | 'apply' | 'delete'>;

export class MemoryApi implements Calls {
  readonly objects = new Map<string, RawObject>();
  #version = 0;
  /** No answers: calls wait for their signal, or for `thaw`. */
  frozen = false;
  readonly #stuck = new Set<() => void>();
  /** Called before a write is decided, so that another can be first. */
  beforeWrite: (() => void) | undefined;
  writes = 0;

  async get(ref: ObjectRef, signal: AbortSignal): Promise<RawObject | undefined> {
    await this.#answering(signal);
    return this.objects.get(ref.name);
  }

  async create(_collection: CollectionRef, body: ObjectBody, signal: AbortSignal): Promise<RawObject> {
    await this.#answering(signal);
    this.beforeWrite?.();
    const name = metadataOf(body)['name'] as string;
    if (this.objects.has(name)) throw new ApiRefusal(409, `leases "${name}" already exists`);
    return this.put(name, body);
  }

  async replace(ref: ObjectRef, body: ObjectBody, signal: AbortSignal): Promise<RawObject> {
    await this.#answering(signal);
    this.beforeWrite?.();
    const before = this.objects.get(ref.name);
    if (before === undefined) throw new ApiRefusal(404, `leases "${ref.name}" not found`);
    const { resourceVersion } = metadataOf(body);
    if (resourceVersion !== undefined && resourceVersion !== before.metadata.resourceVersion)
      throw new ApiRefusal(409, 'has been modified');
    return this.put(ref.name, body);
  }

  async apply(ref: ObjectRef, body: ObjectBody, signal: AbortSignal): Promise<RawObject> {
    await this.#answering(signal);
    return this.put(ref.name, body);
  }

  async delete(ref: ObjectRef, signal: AbortSignal, resourceVersion?: string): Promise<boolean> {
    await this.#answering(signal);
    const before = this.objects.get(ref.name);
    if (before === undefined) return false;
    if (resourceVersion !== undefined && resourceVersion !== before.metadata.resourceVersion)
      throw new ApiRefusal(409, 'has been modified');
    this.writes++;
    return this.objects.delete(ref.name);
  }

  /** As anybody else would write it. */
  put(name: string, body: ObjectBody): RawObject {
    this.writes++;
    const object = { ...body, metadata: { ...metadataOf(body), name, resourceVersion: String(++this.#version) } };
    this.objects.set(name, object);
    return object;
  }

  async #answering(signal: AbortSignal): Promise<void> {
    if (!this.frozen && !signal.aborted) return;
    if (!signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#stuck.add(resolve);
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    throw new ApiUnreachable('no answer in time');
  }

  /** Calls are answered again; those that waited have failed. */
  thaw(): void {
    this.frozen = false;
    for (const fail of this.#stuck) fail();
    this.#stuck.clear();
  }
}

function metadataOf(body: ObjectBody): Record<string, unknown> {
  return isRecord(body['metadata']) ? body['metadata'] : {};
}
