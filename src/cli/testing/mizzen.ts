import { vi } from 'vitest';
import { runProgram } from '../run.ts';

export interface Ended {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** One command line in this process, with what it would print. */
export async function mizzen(...args: readonly string[]): Promise<Ended> {
  let out = '';
  let err = '';
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => (out += String(text)) !== ''),
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => (err += String(text)) !== ''),
    vi.spyOn(console, 'error').mockImplementation((text) => (err += `${String(text)}\n`)),
  ];
  try {
    process.exitCode = 0;
    await runProgram(args);
    return { status: Number(process.exitCode), out, err };
  } finally {
    process.exitCode = 0;
    for (const spy of spies) spy.mockRestore();
  }
}
