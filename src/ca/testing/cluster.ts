import type { KubernetesApi, ObjectBody } from '../../kubernetes/api.ts';
import { HttpTransport } from '../../kubernetes/http-transport.ts';
import { ApiRefusal, type RawObject } from '../../kubernetes/list.ts';
import { FakeApiServer } from '../../kubernetes/testing/fake-api-server.ts';

type Api = Pick<KubernetesApi, 'get' | 'create' | 'replace'>;

export const namespace = 'istio-system';
const path = `/api/v1/namespaces/${namespace}/secrets`;

/** Secrets of one namespace behind a small API server: watched over HTTP, written with the server's rules. */
export class FakeCluster implements AsyncDisposable {
  readonly server = new FakeApiServer();
  readonly transport: HttpTransport;
  /** Called before a write is decided, so that another replica can be first. */
  beforeWrite: (() => void) | undefined;
  /** Answers every write so, as long as it is set. */
  refuse: number | undefined;

  private constructor(url: string, server: FakeApiServer) {
    this.transport = new HttpTransport({ server: url });
    this.server = server;
  }

  static async start(): Promise<FakeCluster> {
    const server = new FakeApiServer();
    return new FakeCluster(await server.listen(), server);
  }

  readonly api: Api = {
    get: async ({ name }) => this.#find(name),
    create: async (_, body) => {
      const name = this.#writing(body);
      if (this.#find(name) !== undefined) throw new ApiRefusal(409, `secrets "${name}" already exists`);
      return this.#put(name, body);
    },
    replace: async (_, body) => {
      const name = this.#writing(body);
      const before = this.#find(name);
      if (before === undefined) throw new ApiRefusal(404, `secrets "${name}" not found`);
      const { resourceVersion } = body['metadata'] as { resourceVersion?: string };
      if (resourceVersion !== undefined && resourceVersion !== before.metadata.resourceVersion)
        throw new ApiRefusal(409, 'has been modified');
      return this.#put(name, body);
    },
  };

  secret(name: string): Readonly<Record<string, string>> {
    const data = (this.#find(name)?.['data'] ?? {}) as Record<string, string>;
    return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]));
  }

  typeOf(name: string): unknown {
    return this.#find(name)?.['type'];
  }

  put(name: string, data: Readonly<Record<string, string>>): void {
    const encoded = Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]));
    this.server.put(path, namespace, name, undefined, { type: 'Opaque', data: encoded });
  }

  delete(name: string): void {
    this.server.delete(path, namespace, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close();
  }

  #find(name: string): RawObject | undefined {
    return this.server.objects(path).get(`${namespace}/${name}`) as RawObject | undefined;
  }

  #writing(body: ObjectBody): string {
    if (this.refuse !== undefined) throw new ApiRefusal(this.refuse, 'refused by the test');
    this.beforeWrite?.();
    return (body['metadata'] as { name: string }).name;
  }

  #put(name: string, body: ObjectBody): RawObject {
    const { metadata: _, ...rest } = body;
    return this.server.put(path, namespace, name, undefined, rest) as unknown as RawObject;
  }
}
