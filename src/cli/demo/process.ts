/** Child processes of the demo: each writes into a file of its own and is stopped, whatever happens. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { CliError, exitCodes } from '../exit.ts';

/** Envoy needs about a second to close its listeners; nothing here has a reason for more. */
const graceMs = 5000;

/** What still runs. A process that ends at once, without stopping anything, takes them with it. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class OwnProcess {
  readonly name: string;
  readonly log: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  #stopping = false;

  /** `onDeath` is called when it ends without having been asked to. */
  constructor(name: string, command: readonly [string, ...string[]], log: string, onDeath: (fault: Error) => void) {
    this.name = name;
    this.log = log;
    const [file, ...args] = command;
    const output = openSync(log, 'a', 0o600);
    // A session of its own: Ctrl-C in a terminal reaches the demo alone, which then stops everything in order.
    this.#child = spawn(file, args, { stdio: ['ignore', output, output], detached: true });
    closeSync(output);
    running.add(this.#child);
    this.#exited = new Promise((resolve) => {
      const ended = (why: string): void => {
        running.delete(this.#child);
        resolve();
        if (!this.#stopping) onDeath(new CliError(exitCodes.problem, `${name} ended (${why}); the end of its log:\n${this.tail()}`));
      };
      this.#child.once('exit', (code, signal) => ended(signal ?? `status ${String(code)}`));
      this.#child.once('error', (cause) => ended(cause.message));
    });
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGTERM');
    const timeout = AbortSignal.timeout(graceMs);
    await Promise.race([this.#exited, once(timeout, 'abort')]);
    if (timeout.aborted) this.#child.kill('SIGKILL');
    await this.#exited;
  }

  /** The last lines of what it wrote. */
  tail(lines = 15): string {
    return readFileSync(this.log, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  }
}
