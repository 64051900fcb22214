import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fchmodSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { own } from './owned.ts';
import { patienceMs, within } from './wait.ts';

export interface ChildOptions {
  readonly command: readonly [string, ...string[]];
  /** Both outputs go here; shown when something fails. */
  readonly log: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** A process of the test's own: always stopped, its output kept in a file. */
export class Child implements AsyncDisposable {
  readonly log: string;
  readonly #process: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #disown: () => void;

  constructor({ command: [file, ...args], log, env, cwd }: ChildOptions) {
    this.log = log;
    mkdirSync(dirname(log), { recursive: true });
    const out = openSync(log, 'a');
    // Envoy opens its standard output a second time for access logs, and in a pod it is another user.
    fchmodSync(out, 0o666);
    this.#process = spawn(file, args, {
      stdio: ['ignore', out, out],
      env: { ...process.env, ...env },
      ...(cwd === undefined ? {} : { cwd }),
    });
    closeSync(out);
    this.#exited = new Promise((resolve) => {
      this.#process.once('exit', resolve);
      this.#process.once('error', resolve);
    });
    this.#disown = own(() => this.#process.kill('SIGKILL'));
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get running(): boolean {
    return this.#process.pid !== undefined && this.#process.exitCode === null && this.#process.signalCode === null;
  }

  get exitCode(): number | null {
    return this.#process.exitCode;
  }

  exited(limitMs = patienceMs): Promise<unknown> {
    return within(`exit of ${this.#process.spawnargs.join(' ')}`, this.#exited, limitMs);
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** The last lines of its output. */
  tail(lines = 40): string {
    return readFileSync(this.log, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  }

  /** Asks it to end and, when it does not in time, ends it. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', limitMs = 5_000): Promise<void> {
    if (this.running) {
      this.#process.kill(signal);
      await this.exited(limitMs).catch(async () => {
        this.#process.kill('SIGKILL');
        await this.exited(5_000);
      });
    }
    this.#disown();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
