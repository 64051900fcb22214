import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { pause } from './pause.ts';

async function start(): Promise<ChildProcess & { readonly pid: number }> {
  const script = 'process.on("disconnect", () => process.exit()); process.send(1)';
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  await once(child, 'message');
  return child as ChildProcess & { readonly pid: number };
}

/** The kernel's letter for what it does; `T`: stopped by a signal. */
function stateOf({ pid }: { readonly pid: number }): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.charAt(stat.lastIndexOf(')') + 2);
}

test('processes stand still until it is disposed', async () => {
  const processes = [await start(), await start()];
  {
    using _paused = pause(processes.map(({ pid }) => pid));
    await expect.poll(() => processes.map(stateOf)).toEqual(['T', 'T']);
  }
  expect(processes.map(stateOf)).not.toContain('T');
});

test('a process that is not there leaves none stopped', async () => {
  const there = await start();
  expect(() => pause([there.pid, 2 ** 30])).toThrow('process 1073741824 cannot be paused: kill ESRCH');
  expect(stateOf(there)).not.toBe('T');
});

test('one that has ended meanwhile does not hold back the others', async () => {
  const [ends, stays] = [await start(), await start()];
  const paused = pause([ends.pid, stays.pid]);
  const ended = once(ends, 'exit');
  ends.kill('SIGKILL');
  await ended;
  paused[Symbol.dispose]();
  expect(stateOf(stays)).not.toBe('T');
});
