/** A small client of the Kubernetes API for tests, independent of the one that mizzen uses: what it says is what the API server says. */
import { Agent, request } from 'node:https';

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly deletionTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

export interface ObjectReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

/** A status of the API server that is no success. */
export class ApiFault extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface ApiRequest {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
  /** Acts as this user; only the administrator may. */
  readonly as?: { readonly user: string; readonly groups: readonly string[] };
}

interface ApiResource {
  readonly name: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

const timeoutMs = 30_000;

export interface ApiAccess {
  /** `https://address:port`. */
  readonly server: string;
  readonly ca: string;
  readonly user: { readonly certificate: string; readonly key: string } | { readonly token: string };
}

export class KubeApi implements Disposable {
  readonly #server: URL;
  readonly #agent: Agent;
  readonly #authorization: Readonly<Record<string, string>>;
  readonly #resources = new Map<string, Promise<readonly ApiResource[]>>();

  constructor({ server, ca, user }: ApiAccess) {
    this.#server = new URL(server);
    const certificate = 'token' in user ? {} : { cert: user.certificate, key: user.key };
    this.#authorization = 'token' in user ? { authorization: `Bearer ${user.token}` } : {};
    this.#agent = new Agent({ keepAlive: true, maxSockets: 16, ca, ...certificate });
  }

  /** The decoded answer; throws an ApiFault for any status of 400 and more. */
  async request<T>(options: ApiRequest): Promise<T> {
    const { status, body } = await this.#send(options);
    const answer = body.startsWith('{') ? (JSON.parse(body) as unknown) : body;
    if (status < 400) return answer as T;
    const { message = body } = answer as { message?: string };
    throw new ApiFault(status, `${options.method ?? 'GET'} ${options.path}: ${status} ${message}`);
  }

  async #send(options: ApiRequest): Promise<{ status: number; body: string }> {
    for (;;) {
      const connection: { reused?: boolean } = {};
      try {
        return await this.#sendOnce(options, connection);
      } catch (thrown) {
        // An idle connection that the server closed at this moment: the request was not served.
        if (connection.reused === true && (thrown as NodeJS.ErrnoException).code === 'ECONNRESET') continue;
        throw thrown;
      }
    }
  }

  #sendOnce(options: ApiRequest, connection: { reused?: boolean }): Promise<{ status: number; body: string }> {
    const { method = 'GET', path, body, contentType = 'application/json', as } = options;
    const impersonation = as === undefined ? {} : { 'impersonate-user': as.user, 'impersonate-group': [...as.groups] };
    const sent = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    // Said by us, because Node sends the body of a DELETE without it.
    const length = sent === undefined ? {} : { 'content-type': contentType, 'content-length': sent.length };
    const headers = { accept: 'application/json', ...length, ...this.#authorization, ...impersonation };
    const { hostname: host, port } = this.#server;
    return new Promise((resolve, reject) => {
      const outgoing = request({ host, port, path, method, headers, agent: this.#agent, timeout: timeoutMs }, (incoming) => {
        let text = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk: string) => (text += chunk));
        incoming.on('error', reject);
        incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, body: text }));
      });
      outgoing.on('timeout', () => outgoing.destroy(new Error(`${method} ${path}: no answer within ${timeoutMs} ms`)));
      outgoing.on('error', (fault) => {
        connection.reused = outgoing.reusedSocket;
        reject(fault);
      });
      outgoing.end(sent);
    });
  }

  /** Where an object, or with `collection` all of its kind in its namespace, are served. */
  async pathOf({ apiVersion, kind, metadata }: ObjectReference, part: 'object' | 'collection' | 'status' = 'object'): Promise<string> {
    const { name, namespaced } = await this.#resource(apiVersion, kind);
    const scope = namespaced ? `/namespaces/${metadata.namespace ?? 'default'}` : '';
    const collection = `${prefixOf(apiVersion)}${scope}/${name}`;
    if (part === 'collection') return collection;
    return `${collection}/${metadata.name}${part === 'status' ? '/status' : ''}`;
  }

  async #resource(apiVersion: string, kind: string): Promise<ApiResource> {
    const find = (list: readonly ApiResource[]): ApiResource | undefined => list.find((r) => r.kind === kind && !r.name.includes('/'));
    const known = this.#resources.get(apiVersion);
    const found = known === undefined ? undefined : find(await known.catch(() => []));
    if (found !== undefined) return found;
    const asked = this.request<{ resources: ApiResource[] }>({ path: prefixOf(apiVersion) }).then((answer) => answer.resources);
    this.#resources.set(apiVersion, asked);
    const resource = find(await asked);
    if (resource === undefined) throw new Error(`the API server serves no ${kind} of ${apiVersion}`);
    return resource;
  }

  async create<T = KubeObject>(object: KubeObject): Promise<T> {
    return this.request<T>({ method: 'POST', path: await this.pathOf(object, 'collection'), body: object });
  }

  /** Server-side apply: creates the object or changes the fields that are given. */
  async apply<T = KubeObject>(object: KubeObject): Promise<T> {
    const path = `${await this.pathOf(object)}?fieldManager=mizzen-test&force=true`;
    return this.request<T>({ method: 'PATCH', path, body: object, contentType: 'application/apply-patch+yaml' });
  }

  /** A JSON merge patch (RFC 7386) of the object or its status. */
  async patch<T = KubeObject>(of: ObjectReference, change: object, part: 'object' | 'status' = 'object'): Promise<T> {
    const path = await this.pathOf(of, part);
    return this.request<T>({ method: 'PATCH', path, body: change, contentType: 'application/merge-patch+json' });
  }

  async get<T = KubeObject>(of: ObjectReference): Promise<T> {
    return this.request<T>({ path: await this.pathOf(of) });
  }

  /** Undefined when there is none. */
  async find<T = KubeObject>(of: ObjectReference): Promise<T | undefined> {
    return this.get<T>(of).catch((fault: unknown) => {
      if (fault instanceof ApiFault && fault.status === 404) return undefined;
      throw fault;
    });
  }

  /** All objects of a kind in a namespace; `selector` is a label selector. */
  async list<T = KubeObject>(apiVersion: string, kind: string, namespace: string, selector = ''): Promise<readonly T[]> {
    const path = await this.pathOf({ apiVersion, kind, metadata: { name: '', namespace } }, 'collection');
    const query = selector === '' ? '' : `?labelSelector=${encodeURIComponent(selector)}`;
    return (await this.request<{ items: T[] }>({ path: path + query })).items;
  }

  /** Returns when the deletion is accepted: finalizers and grace periods may keep the object longer. */
  async delete(of: ObjectReference, options: { readonly gracePeriodSeconds?: number } = {}): Promise<void> {
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background', ...options };
    await this.request({ method: 'DELETE', path: await this.pathOf(of), body });
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

const prefixOf = (apiVersion: string): string => (apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`);
