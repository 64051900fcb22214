import { execFile } from 'node:child_process';
import { join } from 'node:path';
import type { Report } from '../report/result.ts';

export interface BenchRun {
  readonly status: number;
  /** Standard error: progress, and what went wrong. */
  readonly errors: string;
  /** Throws when it printed none. */
  readonly report: Report;
}

const main = join(import.meta.dirname, '..', 'main.ts');

/** Runs the bench in a process of its own. */
export function runBench(...args: readonly string[]): Promise<BenchRun> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [main, '-o', 'json', ...args], { maxBuffer: 64 << 20 }, (fault, stdout, stderr) => {
      const status = fault === null ? 0 : fault.code;
      if (typeof status !== 'number') {
        reject(new Error(`the bench did not run: ${fault?.message ?? ''}`, { cause: fault }));
        return;
      }
      resolve({
        status,
        errors: stderr,
        get report(): Report {
          if (stdout === '') throw new Error(`the bench printed nothing:\n${stderr}`);
          return JSON.parse(stdout) as Report;
        },
      });
    });
  });
}
