/** Single objects of an API server: read, and written with the preconditions that keep two writers apart. */
import { ApiRefusal, isRawObject, type RawObject } from './list.ts';
import { statusMessage, type ApiAnswer, type ApiRequest, type Transport } from './transport.ts';

export interface CollectionRef {
  /** `v1`, `coordination.k8s.io/v1`. */
  readonly apiVersion: string;
  readonly plural: string;
  /** Absent for kinds of the cluster. */
  readonly namespace?: string;
}

export interface ObjectRef extends CollectionRef {
  readonly name: string;
  readonly subresource?: 'status';
}

/** What is sent: an object as a manifest has it. */
export type ObjectBody = Readonly<Record<string, unknown>>;

export interface KubernetesApiOptions {
  readonly transport: Transport;
  /** Owner of the fields that are written, for `managedFields`. Default `mizzen`. */
  readonly fieldManager?: string;
  /** For one answer. Default 10 s: a write that takes longer is tried again by whoever wanted it. */
  readonly timeoutMs?: number;
}

/** All calls reject with an ApiRefusal (409: somebody else was first) where the server says no, with an ApiUnreachable where it says nothing. */
export class KubernetesApi {
  readonly #transport: Transport;
  readonly #query: string;
  readonly #timeoutMs: number;

  constructor({ transport, fieldManager = 'mizzen', timeoutMs = 10_000 }: KubernetesApiOptions) {
    this.#transport = transport;
    this.#query = `fieldManager=${encodeURIComponent(fieldManager)}`;
    this.#timeoutMs = timeoutMs;
  }

  /** Undefined where there is none. */
  async get(ref: ObjectRef, signal: AbortSignal): Promise<RawObject | undefined> {
    return orUndefined(() => this.#send({ method: 'GET', path: pathOf(ref) }, signal));
  }

  async create(collection: CollectionRef, body: ObjectBody, signal: AbortSignal): Promise<RawObject> {
    return this.#send({ method: 'POST', path: `${pathOf(collection)}?${this.#query}`, body }, signal);
  }

  /** With `metadata.resourceVersion` in the body, only if nobody has written since. */
  async replace(ref: ObjectRef, body: ObjectBody, signal: AbortSignal): Promise<RawObject> {
    return this.#send({ method: 'PUT', path: `${pathOf(ref)}?${this.#query}`, body }, signal);
  }

  /** JSON merge patch (RFC 7386): `null` removes a field, a list is replaced whole. */
  async mergePatch(ref: ObjectRef, body: ObjectBody, signal: AbortSignal): Promise<RawObject> {
    return this.#send(
      { method: 'PATCH', path: `${pathOf(ref)}?${this.#query}`, body, contentType: 'application/merge-patch+json' },
      signal,
    );
  }

  /** Server-side apply: the fields of the body are ours from then on, also where another had set them. Creates the object if need be. */
  async apply(ref: ObjectRef, body: ObjectBody, signal: AbortSignal): Promise<RawObject> {
    const path = `${pathOf(ref)}?${this.#query}&force=true`;
    return this.#send({ method: 'PATCH', path, body, contentType: 'application/apply-patch+yaml' }, signal);
  }

  /** False where there was none. `resourceVersion`: only that version. */
  async delete(ref: ObjectRef, signal: AbortSignal, resourceVersion?: string): Promise<boolean> {
    const body = {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      ...(resourceVersion !== undefined && { preconditions: { resourceVersion } }),
    };
    const answer = await this.#transport.request({ method: 'DELETE', path: pathOf(ref), body }, this.#limited(signal));
    if (answer.status === 404) return false;
    if (answer.status >= 300) throw new ApiRefusal(answer.status, statusMessage(answer));
    return true;
  }

  async #send(request: ApiRequest, signal: AbortSignal): Promise<RawObject> {
    return objectOf(await this.#transport.request(request, this.#limited(signal)));
  }

  #limited(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, AbortSignal.timeout(this.#timeoutMs)]);
  }
}

function objectOf(answer: ApiAnswer): RawObject {
  if (answer.status >= 300) throw new ApiRefusal(answer.status, statusMessage(answer));
  if (!isRawObject(answer.body)) throw new ApiRefusal(answer.status, 'the answer is no object');
  return answer.body;
}

async function orUndefined<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof ApiRefusal && error.status === 404) return undefined;
    throw error;
  }
}

function pathOf({ apiVersion, plural, namespace, name, subresource }: CollectionRef & Partial<ObjectRef>): string {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const parts = [...(namespace === undefined ? [] : ['namespaces', namespace]), plural, name, subresource];
  return [root, ...parts.filter((part) => part !== undefined).map(encodeURIComponent)].join('/');
}
