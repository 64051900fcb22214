/** Child processes of ours that talk in lines of JSON: one on standard output when they are ready, one at the end. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { own } from './owned.ts';
import type { Pod } from './pods.ts';
import { within } from './wait.ts';

export class JsonChild implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #lines: unknown[] = [];
  readonly #waiting: ((line: unknown) => void)[] = [];
  readonly #exited: Promise<void>;
  readonly #disown: () => void;
  readonly #script: string;

  /** `script` is a file of `test/envoy/apps`; `config` its only argument. */
  constructor(script: string, config: unknown, pod?: Pod) {
    this.#script = script;
    const node = [process.execPath, join(import.meta.dirname, '..', 'apps', script), JSON.stringify(config)];
    const [file = '', ...args] = pod === undefined ? node : pod.asApp(node);
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#process = child;
    this.#disown = own(() => child.kill('SIGKILL'));
    createInterface({ input: child.stdout }).on('line', (text) => {
      const line: unknown = JSON.parse(text);
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#lines.push(line);
      else waiting(line);
    });
    this.#exited = new Promise((resolve) => {
      child.once('close', () => resolve());
      child.once('error', () => resolve());
    });
  }

  /** The next line that it prints. */
  async next<T>(what: string, limitMs?: number): Promise<T> {
    if (this.#lines.length > 0) return this.#lines.shift() as T;
    const line = new Promise<T>((resolve) => this.#waiting.push(resolve as (line: unknown) => void));
    const ended = this.#exited.then(() => {
      throw new Error(`${this.#script} ended without ${what} (code ${this.#process.exitCode})`);
    });
    return within(`${what} of ${this.#script}`, Promise.race([line, ended]), limitMs);
  }

  /** Gives it a line of JSON. */
  send(line: unknown): void {
    this.#process.stdin?.write(`${JSON.stringify(line)}\n`);
  }

  /** Closing its standard input asks it to finish. */
  finish(): void {
    this.#process.stdin?.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.finish();
    await within(`end of ${this.#script}`, this.#exited, 5_000).catch(async () => {
      this.#process.kill('SIGKILL');
      await this.#exited;
    });
    this.#disown();
  }
}
