import type { LoadConfig, LoadProgress, LoadResult } from '../apps/protocol.ts';
import { JsonChild } from './child-json.ts';
import type { Pod } from './pods.ts';

export type LoadOptions = Pick<LoadConfig, 'address' | 'port'> & Partial<LoadConfig>;

/**
 * A steady load while something is changed:
 *
 *     await using load = await Load.start({ address: '10.0.0.10', port: 80, host: 'reviews' }, client);
 *     ...
 *     expect((await load.stop()).failed).toEqual({});
 */
export class Load implements AsyncDisposable {
  readonly #child: JsonChild;
  readonly #name: string;
  #result: LoadResult | undefined;

  private constructor(child: JsonChild, name: string) {
    this.#child = child;
    this.#name = name;
  }

  /** Returns when the first answer has come, of whatever kind. 200 requests a second unless said otherwise. */
  static async start(options: LoadOptions, pod?: Pod): Promise<Load> {
    const config: LoadConfig = { path: '/', rate: 200, timeoutMs: 5_000, limitMs: 120_000, ...options };
    const load = new Load(new JsonChild('load.ts', config, pod), `${config.host ?? config.address}:${config.port}`);
    try {
      await load.#child.next<{ started: true }>('the first answer');
    } catch (fault) {
      await load.#child[Symbol.asyncDispose]();
      throw fault;
    }
    return load;
  }

  /** How far it is; it goes on. */
  async progress(): Promise<LoadProgress> {
    if (this.#result !== undefined) return { ...this.#result, done: this.#result.sent };
    this.#child.send({});
    return this.#child.next<LoadProgress>('how far it is');
  }

  /** Stops sending, waits for the answers to what was sent, and prints the numbers. */
  async stop(): Promise<LoadResult> {
    if (this.#result !== undefined) return this.#result;
    this.#child.finish();
    return this.finished();
  }

  /** Waits for the load to reach its own limit. */
  async finished(limitMs = 150_000): Promise<LoadResult> {
    this.#result ??= await this.#child.next<LoadResult>('the result', limitMs);
    const { sent, ok, failed, onNewConnections, durationMs, latencyMs } = this.#result;
    console.log(
      `load ${this.#name}: N=${sent} in ${durationMs} ms, ${ok} ok, ${sent - ok} failed ${JSON.stringify(failed)}, ` +
        `${onNewConnections} on new connections, p50 ${latencyMs.p50} ms, p99 ${latencyMs.p99} ms`,
    );
    return this.#result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
  }
}

export type { LoadResult } from '../apps/protocol.ts';
