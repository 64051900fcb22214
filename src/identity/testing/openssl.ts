import { spawnSync } from 'node:child_process';

/** Runs the real openssl, an implementation that knows nothing of ours. Returns its output; throws with its error. */
export function openssl(args: readonly string[], input?: string): string {
  const result = spawnSync('openssl', [...args], { input: input ?? '', encoding: 'utf8', timeout: 20_000 });
  if (result.status !== 0) throw new Error(`openssl ${args[0]}: ${result.stderr}${result.stdout}`);
  return result.stdout + result.stderr;
}
