/** How much memory lives in a daemon: what is left of its heap after a full garbage collection, which nothing but a hook of the test asks for. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Discovery } from '../../envoy/harness/discovery.ts';
import { eventually } from '../../envoy/harness/wait.ts';

const hook = pathToFileURL(join(import.meta.dirname, 'heap-hook.ts')).href;

export interface LiveMemory {
  readonly pid: number;
  readonly heapUsed: number;
  /** Bytes outside of the heap that its objects hold. */
  readonly external: number;
}

export class HeapProbe {
  readonly #file: string;

  /** `file`: where the daemon writes its answers. */
  constructor(file: string) {
    this.#file = file;
  }

  /** For the daemon that is to be asked. */
  get env(): Readonly<Record<string, string>> {
    return { HEAP_FILE: this.#file, NODE_OPTIONS: `--expose-gc --import=${hook}` };
  }

  async measure(discovery: Discovery): Promise<LiveMemory> {
    const before = this.#answers().length;
    discovery.signal('SIGUSR2');
    return eventually('the daemon has collected its garbage', async () => this.#answers()[before], 60_000);
  }

  #answers(): LiveMemory[] {
    const text = existsSync(this.#file) ? readFileSync(this.#file, 'utf8') : '';
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as LiveMemory);
  }
}
