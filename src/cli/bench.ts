/** `mizzen bench`: the bench of this repository, which is no part of an installed mizzen. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { CliError, exitCodes } from './exit.ts';

/** Beside src/ and dist/ alike. */
const main = join(import.meta.dirname, '..', '..', 'bench', 'main.ts');

export function benchCommand(): Command {
  // Its flags are its own, `--help` among them: buildProgram takes the help option away.
  return new Command('bench')
    .description('measure what changes cost a control plane, with simulated sidecars')
    .argument('[flags...]')
    .allowUnknownOption()
    .action(async (_flags: readonly string[], _options: unknown, command: Command) => {
      process.exitCode = await runBench(command.args);
    });
}

async function runBench(args: readonly string[]): Promise<number> {
  if (!existsSync(main))
    throw new CliError(exitCodes.usage, `the bench is in a clone of the repository, and not here: ${main} is not there`);
  const child = spawn(process.execPath, [main, ...args], { stdio: 'inherit' });
  // Ctrl-C reaches it from the terminal. It stops what it has started, and this process waits for that.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? exitCodes.problem));
  });
}
