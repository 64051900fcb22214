/** One program of the cluster: started, awaited, ended gently or not, started again with the same ports and data. */
import { request } from 'node:https';
import { Child } from '../../envoy/harness/child.ts';
import { http } from '../../envoy/harness/http.ts';
import { eventually } from '../../envoy/harness/wait.ts';

export interface ComponentOptions {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly log: string;
  /** Answers 200 when it is ready. */
  readonly ready: { readonly address: string; readonly port: number; readonly path: string; readonly ca?: string };
}

/** The API server needs 4 s on an idle machine, and many times that beside load tests. */
const startLimitMs = 120_000;
const stopLimitMs = 20_000;

export class Component implements AsyncDisposable {
  readonly #options: ComponentOptions;
  #child: Child | undefined;

  constructor(options: ComponentOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  get running(): boolean {
    return this.#child?.running === true;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Returns when the process that runs now has ended, for whatever reason. */
  async ended(): Promise<void> {
    await this.#child?.exited(2 ** 31 - 1);
  }

  /** The end of its output, of all its runs. */
  log(lines = 40): string {
    return this.#child?.tail(lines) ?? '';
  }

  /** Returns when it is ready. Does nothing when it runs already. */
  async start(): Promise<void> {
    if (this.running) return;
    const { name, command, log } = this.#options;
    const child = (this.#child = new Child({ command, log }));
    try {
      const died = await eventually(
        `${name} is ready`,
        async () => (child.running ? ((await this.#answers()) ? 'ready' : undefined) : 'died'),
        startLimitMs,
      );
      if (died === 'died') throw new Error(`it ended with code ${child.exitCode}`);
    } catch (fault) {
      const said = child.tail();
      await child.stop('SIGKILL');
      throw new Error(`${name} did not start: ${(fault as Error).message}\n${said}`, { cause: fault });
    }
  }

  async #answers(): Promise<boolean> {
    const { address, port, path, ca } = this.#options.ready;
    const status = ca === undefined ? (await http({ address, port, path })).status : await statusOverTls({ address, port, path, ca });
    return status === 200;
  }

  /** SIGTERM, and SIGKILL when that does not help. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child?.running === true) {
      child.signal('SIGTERM');
      await child.exited(stopLimitMs).catch(() => undefined);
    }
    await child?.stop('SIGKILL');
  }

  /** Ends it without a chance to say goodbye. */
  async kill(): Promise<void> {
    await this.#child?.stop('SIGKILL');
  }

  /** Stops the process from running, with its connections left open, as a machine that hangs does; `resume` lets it go on. */
  freeze(): void {
    this.#child?.signal('SIGSTOP');
  }

  resume(): void {
    this.#child?.signal('SIGCONT');
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

interface TlsProbe {
  readonly address: string;
  readonly port: number;
  readonly path: string;
  readonly ca: string;
}

function statusOverTls({ address, port, path, ca }: TlsProbe): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: address, port, path, ca, agent: false, timeout: 5_000 }, (incoming) => {
      incoming.resume();
      incoming.on('error', reject);
      incoming.on('end', () => resolve(incoming.statusCode));
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer within 5 s')));
    outgoing.on('error', reject);
    outgoing.end();
  });
}
