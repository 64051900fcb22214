/** All simulated proxies of a run, in processes of their own. */
import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { Mark } from '../workload/mark.ts';
import type { Answers, Command, Connected, ConnectCommand, Reply, Totals, Traffic } from './messages.ts';

export class Fleet implements AsyncDisposable {
  readonly #workers: readonly Worker[];
  #watches = 0;

  /** `processes`: each takes an equal share of the proxies. */
  constructor(processes: number) {
    this.#workers = Array.from({ length: processes }, () => new Worker());
  }

  /** Returns when all are in sync, or after the limit. */
  async connect(command: Omit<ConnectCommand, 'do'>): Promise<Connected> {
    const shares = this.#shares(command.proxies);
    return joined(await this.#each((i) => ({ ...command, do: 'connect', proxies: shares[i] ?? [] })));
  }

  async reconnect(share: number, limitMs: number): Promise<Connected> {
    return joined(await this.#each(() => ({ do: 'reconnect', share, limitMs })));
  }

  /** Ends one after the other, spread over some time, and begins each again with nothing. */
  async restart(overMs: number, limitMs: number): Promise<Connected> {
    return joined(await this.#each(() => ({ do: 'restart', overMs, limitMs })));
  }

  /** Notes from now on when the mark is received. Several can be under way. */
  async watch(mark: Mark, concerns: readonly boolean[]): Promise<{ received: (limitMs: number) => Promise<number[]> }> {
    const id = ++this.#watches;
    const shares = this.#shares(concerns);
    await this.#each((i) => ({ do: 'watch', id, mark, concerns: shares[i] ?? [] }));
    return {
      received: async (limitMs) => (await this.#each(() => ({ do: 'await', id, limitMs }))).flatMap((part) => part.receivedMs),
    };
  }

  /** How long each proxy waited for a certificate. */
  async certify(request: string, overMs: number, limitMs: number): Promise<number[]> {
    return (await this.#each(() => ({ do: 'certify', request, overMs, limitMs }))).flatMap((part) => part.tookMs);
  }

  /** Returns when no proxy has received anything for so long. */
  async settle(quietMs: number): Promise<Totals> {
    const parts = await this.#each(() => ({ do: 'settle', quietMs }));
    const sum = (of: (part: Totals) => number): number => parts.reduce((total, part) => total + of(part), 0);
    return {
      received: sumOf(parts.map((part) => part.received)),
      cpuMs: sum((part) => part.cpuMs),
      lastMessageMs: Math.max(...parts.map((part) => part.lastMessageMs)),
    };
  }

  async close(): Promise<void> {
    await this.#each(() => ({ do: 'close' }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
  }

  #each<K extends Command['do']>(command: (worker: number) => Command & { do: K }): Promise<Answers[K][]> {
    return Promise.all(this.#workers.map((worker, i) => worker.call<K>(command(i))));
  }

  /** What each worker gets of a list that has one entry for each proxy. */
  #shares<T>(all: readonly T[]): T[][] {
    const { length } = this.#workers;
    return this.#workers.map((_worker, i) => all.filter((_entry, p) => p % length === i));
  }
}

function joined(parts: readonly Connected[]): Connected {
  return {
    beganMs: Math.min(...parts.map((part) => part.beganMs)),
    tookMs: parts.flatMap((part) => part.tookMs),
    refused: parts.reduce((sum, part) => sum + part.refused, 0),
  };
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
