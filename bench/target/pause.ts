import { own } from '../../test/envoy/harness/owned.ts';

/**
 * Stops processes until it is disposed: a control plane without proxies still reads every change, and takes its share of the cores for that. They go on
 * when this process ends, too, unless it is killed. Throws when one of them is not there or is not ours to stop; then none is stopped.
 */
export function pause(pids: readonly number[]): Disposable {
  const stopped: number[] = [];
  const resumeAll = (): void => stopped.splice(0).forEach(resume);
  const disown = own(resumeAll);
  const end = (): void => {
    resumeAll();
    disown();
  };
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGSTOP');
    } catch (cause) {
      end();
      throw new Error(`process ${pid} cannot be paused: ${(cause as Error).message}`, { cause });
    }
    stopped.push(pid);
  }
  return { [Symbol.dispose]: end };
}

function resume(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT');
  } catch (error) {
    // It has ended meanwhile.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
