/** What Node says of the process: prom-client's default metrics, and the limits against which memory is to be read. */
import { getHeapStatistics } from 'node:v8';
import { collectDefaultMetrics } from 'prom-client';
import type { Instruments } from './instruments.ts';

/** Once in a process: it begins to measure the event loop and garbage collection. */
export function processMetrics(make: Instruments): void {
  collectDefaultMetrics({ register: make.registry });
  make.read('mizzen_heap_limit_bytes', 'Size of the heap at which the process ends', () => getHeapStatistics().heap_size_limit);
  make.read('mizzen_memory_limit_bytes', 'Memory that the control group gives the process; 0: no limit', () => memoryLimit());
}

function memoryLimit(): number {
  const limit = process.constrainedMemory();
  // Without a limit a control group of version 1 says 2^63 less a page.
  return limit > 2 ** 60 ? 0 : limit;
}
