import type { App, Fault } from '../apps/protocol.ts';
import { JsonChild } from './child-json.ts';
import { http } from './http.ts';
import type { Pod } from './pods.ts';

/** The applications of one pod (or of the test's own namespace), in one process. */
export class Apps implements AsyncDisposable {
  readonly #child: JsonChild;

  private constructor(child: JsonChild) {
    this.#child = child;
  }

  /** Returns when all of them listen. */
  static async start(apps: readonly App[], pod?: Pod): Promise<Apps> {
    const child = new JsonChild('serve.ts', { apps }, pod);
    try {
      await child.next<{ listening: number[] }>('listening');
    } catch (fault) {
      await child[Symbol.asyncDispose]();
      throw fault;
    }
    return new Apps(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
  }
}

/** Makes an HTTP application misbehave from the next request on. */
export async function setFault(address: string, port: number, fault: Fault): Promise<void> {
  const { status } = await http({ address, port, path: '/fault', method: 'PUT', body: JSON.stringify(fault) });
  if (status !== 200) throw new Error(`the application answered ${status}`);
}

export type { App, Fault, HttpEcho } from '../apps/protocol.ts';
