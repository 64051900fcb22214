import { execFile } from 'node:child_process';
import { expect, test } from 'vitest';

function mizzen(...args: readonly string[]): Promise<{ status: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['src/main.ts', ...args], (error, out, err) =>
      resolve({ status: error === null ? 0 : Number(error.code), out, err }),
    );
  });
}

test('mizzen bench is the bench of this repository: its flags, its help and its exit status', { timeout: 60_000 }, async () => {
  const [help, wrong] = await Promise.all([mizzen('bench', '--help'), mizzen('bench', '--services', '2', '-o', 'json')]);
  expect(help).toMatchObject({ status: 0, out: expect.stringContaining('npm run bench -- --services 1000 --proxies 200') as string });
  expect(wrong).toMatchObject({ status: 2, err: expect.stringContaining('services must be 3 to 10000, not 2') as string });
});
