/** What a process has used, as Linux counts it. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

export interface Usage {
  /** User and system time of all threads. */
  readonly cpuMs: number;
  readonly rssMb: number;
  /** The most since its start, or since `forgetPeak`. */
  readonly peakRssMb: number;
}

/** The kernel counts nanoseconds per thread, if it was built so; else ticks of 10 ms per process. */
const hasNanoseconds = existsSync('/proc/self/schedstat');
const tickMs = 10;

/** Throws when there is no such process. */
export function usageOf(pid: number): Usage {
  const status = statusOf(pid);
  const megabytes = (key: string): number => Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN) / 1024;
  return { cpuMs: hasNanoseconds ? threadsMs(pid) : ticksMs(pid), rssMb: megabytes('VmRSS'), peakRssMb: megabytes('VmHWM') };
}

const idleWindowMs = 500;
/** Of a window: what timers of an idle server need. */
const idleShare = 0.05;

/** Returns when the process has done next to nothing for half a second: it has read what was there for it. Throws after the limit. */
export async function idle(pid: number, limitMs: number): Promise<void> {
  const end = performance.now() + limitMs;
  for (let before = usageOf(pid).cpuMs; ;) {
    await delay(idleWindowMs);
    const now = usageOf(pid).cpuMs;
    if (now - before < idleWindowMs * idleShare) return;
    before = now;
    if (performance.now() > end) throw new Error(`process ${pid} is not idle after ${limitMs} ms: something else keeps it busy`);
  }
}

/** Lets the kernel measure the peak anew. False where we may not: then it stays that since the start. */
export function forgetPeak(pid: number): boolean {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
    return true;
  } catch {
    return false;
  }
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch (cause) {
    throw new Error(`process ${pid} is not there: it has ended, or runs on another machine`, { cause });
  }
}

/** Without the threads that have ended: Node and Go keep theirs. */
function threadsMs(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + threadMs(`/proc/${pid}/task/${thread}/schedstat`), 0);
}

function threadMs(file: string): number {
  try {
    return Number(readFileSync(file, 'utf8').split(' ')[0]) / 1e6;
  } catch {
    // The thread ended while its directory was read.
    return 0;
  }
}

function ticksMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name of the program, in parentheses, may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
}
