/** `mizzen demo`, for `npm run demo`. */
import { join, relative, resolve } from 'node:path';
import { Command } from 'commander';
import { stopSignal } from '../stop-signal.ts';
import { parsed } from '../options.ts';
import { runDemo } from './demo.ts';
import { plainScreen, terminalScreen } from './screen.ts';

const samples = join(import.meta.dirname, '..', '..', '..', 'deploy', 'samples', 'bookshop');

export function demoCommand(): Command {
  return new Command('demo')
    .description('run the bookshop sample with real Envoys on this machine and show what happens')
    .option('--config <folder>', 'manifests of the mesh; edit them while it runs', samples)
    .option('--rate <requests>', 'requests a second through the gateway', parsed(parseRate), 10)
    .addHelpText(
      'after',
      `
Needs no root. Envoy is fetched once when there is none. In a terminal the view is live, elsewhere it is lines; Ctrl-C or SIGTERM stops all
processes and removes their files.

Example:
  mizzen demo --rate 20`,
    )
    .action(async (options: { config: string; rate: number }) => {
      const configDir = resolve(options.config);
      const { stdout } = process;
      const screen = stdout.isTTY ? terminalScreen(stdout) : plainScreen((text) => stdout.write(text));
      const shown = { configDir, canaryFile: relative(process.cwd(), join(configDir, 'reviews.yaml')) };
      await runDemo({ ...shown, requestsPerSecond: options.rate, refreshMs: stdout.isTTY ? 500 : 250 }, screen, stopSignal());
    });
}

function parseRate(text: string): number {
  const rate = Number(text);
  if (!(rate > 0 && rate <= 1000)) throw new Error(`"${text}" is not a number above 0 and up to 1000`);
  return rate;
}
