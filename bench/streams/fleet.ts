/** All simulated proxies of a run, in processes of their own. */
import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { Answers, Command, Connected, ConnectCommand, Reply, Totals, Traffic } from './messages.ts';

export class Fleet implements AsyncDisposable {
  readonly #workers: readonly Worker[];

  /** `processes`: each takes an equal share of the proxies. */
  constructor(processes: number) {
    this.#workers = Array.from({ length: processes }, () => new Worker());
  }

  /** Returns when all are in sync. */
  async connect(command: Omit<ConnectCommand, 'do'>): Promise<Connected> {
    const { length } = this.#workers;
    const parts = await Promise.all(
      this.#workers.map((worker, i) =>
        worker.call({ ...command, do: 'connect', proxies: command.proxies.filter((_proxy, p) => p % length === i) }),
      ),
    );
    return joined(parts);
  }

  async reconnect(limitMs: number): Promise<Connected> {
    return joined(await this.#all({ do: 'reconnect', limitMs }));
  }

  async watch(types: readonly string[], marker: string): Promise<void> {
    await this.#all({ do: 'watch', types, marker });
  }

  /** When each proxy has received what is watched; NaN where a slow reader has not. */
  async received(limitMs: number): Promise<number[]> {
    return (await this.#all({ do: 'await', limitMs })).flatMap((part) => part.receivedMs);
  }

  /** Returns when no proxy has received anything for so long. */
  async settle(quietMs: number): Promise<Totals> {
    const parts = await this.#all({ do: 'settle', quietMs });
    const sum = (of: (part: Totals) => number): number => parts.reduce((total, part) => total + of(part), 0);
    return {
      received: sumOf(parts.map((part) => part.received)),
      cpuMs: sum((part) => part.cpuMs),
      lastMessageMs: Math.max(...parts.map((part) => part.lastMessageMs)),
    };
  }

  async close(): Promise<void> {
    await this.#all({ do: 'close' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
  }

  #all<K extends Command['do']>(command: Command & { do: K }): Promise<Answers[K][]> {
    return Promise.all(this.#workers.map((worker) => worker.call<K>(command)));
  }
}

function joined(parts: readonly Connected[]): Connected {
  return { beganMs: Math.min(...parts.map((part) => part.beganMs)), syncedMs: parts.flatMap((part) => part.syncedMs) };
}

function sumOf(parts: readonly ReadonlyMap<string, Traffic>[]): Map<string, Traffic> {
  const sums = new Map<string, Traffic>();
  for (const part of parts)
    for (const [type, { messages, bytes }] of part) {
      const sum = sums.get(type);
      sums.set(type, { messages: messages + (sum?.messages ?? 0), bytes: bytes + (sum?.bytes ?? 0) });
    }
  return sums;
}

class Worker {
  readonly #process: ChildProcess;
  readonly #pending = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  readonly #exited: Promise<unknown>;
  #calls = 0;

  constructor() {
    this.#process = fork(join(import.meta.dirname, 'worker.ts'), { serialization: 'advanced' });
    this.#process.on('message', ({ id, result, error }: Reply) => {
      const call = this.#pending.get(id);
      this.#pending.delete(id);
      if (error === undefined) call?.resolve(result);
      else call?.reject(new Error(error));
    });
    this.#exited = new Promise((resolve) => {
      this.#process.once('exit', (code, signal) => {
        for (const { reject } of this.#pending.values()) reject(new Error(`a process of proxies ended (${code ?? signal})`));
        resolve(undefined);
      });
    });
  }

  call<K extends Command['do']>(command: Command & { do: K }): Promise<Answers[K]> {
    const id = ++this.#calls;
    return new Promise<Answers[K]>((resolve, reject) => {
      // The worker answers each command with its own result.
      this.#pending.set(id, { resolve: (result) => resolve(result as Answers[K]), reject });
      this.#process.send({ id, command }, (error) => {
        if (error !== null && this.#pending.delete(id)) reject(error);
      });
    });
  }

  async stop(): Promise<void> {
    if (this.#process.connected) this.#process.disconnect();
    await this.#exited;
  }
}
