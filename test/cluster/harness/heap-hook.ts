/** Loaded into a daemon before its own code, see heap.ts: on SIGUSR2 it collects garbage and adds what is left to a file. */
import { appendFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { isMainThread } from 'node:worker_threads';

const file = process.env['HEAP_FILE'];

if (file !== undefined && isMainThread) {
  process.on('SIGUSR2', async () => {
    // What a finalizer lets go of is collected by the next one.
    for (let round = 0; round < 3; round++) {
      globalThis.gc?.();
      await setImmediate();
    }
    appendFileSync(file, `${JSON.stringify({ pid: process.pid, ...process.memoryUsage() })}\n`);
  });
}
