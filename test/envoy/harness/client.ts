import type { Task, TaskAnswer, TaskResult, TlsOptions } from '../apps/protocol.ts';
import { JsonChild } from './child-json.ts';
import type { Pod } from './pods.ts';

export interface HttpOptions {
  readonly path?: string;
  readonly host?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly tls?: TlsOptions;
  readonly timeoutMs?: number;
}

/** Someone in a pod who makes single requests, each on a connection of its own. A refused or reset connection is thrown by its code. */
export class Client implements AsyncDisposable {
  readonly #child: JsonChild;
  readonly #waiting = new Map<number, PromiseWithResolvers<TaskAnswer>>();
  #ids = 0;
  #stopped = false;

  private constructor(child: JsonChild) {
    this.#child = child;
  }

  static async start(pod?: Pod): Promise<Client> {
    const child = new JsonChild('client.ts', {}, pod);
    await child.next<{ ready: true }>('readiness');
    const client = new Client(child);
    void client.#read();
    return client;
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const result = await this.#child.next<TaskResult>('a result', 24 * 3600_000);
        const waiting = this.#waiting.get(result.id);
        this.#waiting.delete(result.id);
        if ('answer' in result) waiting?.resolve(result.answer);
        else waiting?.reject(new Error(result.fault));
      }
    } catch (fault) {
      if (!this.#stopped) for (const { reject } of this.#waiting.values()) reject(fault);
    }
  }

  #perform(task: Task): Promise<TaskAnswer> {
    const id = ++this.#ids;
    const waiting = Promise.withResolvers<TaskAnswer>();
    this.#waiting.set(id, waiting);
    this.#child.send({ id, task });
    return waiting.promise;
  }

  http(address: string, port: number, options: HttpOptions = {}): Promise<TaskAnswer> {
    const { path = '/', host, method = 'GET', headers = {}, tls, timeoutMs = 5_000 } = options;
    const all = host === undefined ? headers : { ...headers, host };
    return this.#perform({ kind: 'http', address, port, path, method, headers: all, timeoutMs, ...(tls === undefined ? {} : { tls }) });
  }

  /** What comes until the peer closes, or `until` bytes are there. */
  async tcp(address: string, port: number, { data = '', until = Infinity, timeoutMs = 5_000 } = {}): Promise<string> {
    const limit = Math.min(until, Number.MAX_SAFE_INTEGER);
    return (await this.#perform({ kind: 'tcp', address, port, data, until: limit, timeoutMs })).body;
  }

  /** The echo of a message. */
  async websocket(address: string, port: number, message: string, { host = address, timeoutMs = 5_000 } = {}): Promise<string> {
    return (await this.#perform({ kind: 'websocket', address, port, host, message, timeoutMs })).body;
  }

  /** The echo of a message. */
  async grpc(address: string, port: number, message: string, { host = address, timeoutMs = 5_000 } = {}): Promise<string> {
    return (await this.#perform({ kind: 'grpc', address, port, host, message, timeoutMs })).body;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.#child[Symbol.asyncDispose]();
  }
}

export type { TaskAnswer, TlsOptions } from '../apps/protocol.ts';
