/** `npm run bench`: what connecting and changes cost a control plane. See docs/benchmarks.md. */
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { own } from '../test/envoy/harness/owned.ts';
import { tableOf, type TargetResult } from './report/report.ts';
import { run, type RunOptions } from './run.ts';
import { startMizzen } from './target/mizzen.ts';
import { parseTarget, type Target } from './target/target.ts';
import { maxChanges, scenarioNames, scenarios } from './workload/changes.ts';
import { ManifestFolder } from './workload/folder.ts';
import { checkSize, meshFiles, simulatedProxies, type MeshSize } from './workload/mesh.ts';

interface Flags {
  readonly services: number;
  readonly virtualServices: number;
  readonly proxies: number;
  readonly changes: number;
  readonly scenario: readonly string[];
  readonly processes: number;
  readonly slowReaders: number;
  readonly slowBytes: number;
  readonly reconnect: boolean;
  readonly tls: boolean;
  readonly target: readonly Target[];
  readonly folder?: string;
  readonly profile?: string;
  readonly limit: number;
  readonly output: 'table' | 'json';
}

const command = new Command('bench')
  .description('simulated sidecars against a control plane that watches a folder of manifests: time, bytes, CPU and memory of a change')
  .addOption(count('--services <n>', 'Kubernetes Services with 3 endpoints each, in 10 namespaces', 1000))
  .addOption(count('--virtual-services <n>', 'VirtualServices', 100))
  .addOption(count('--proxies <n>', 'sidecars, each a workload and a connection of its own', 200))
  .addOption(count('--changes <n>', `changes in each scenario, up to ${maxChanges} for all servers together`, 10))
  .option(
    '--scenario <name>',
    `${scenarioNames.join(', ')}; may be repeated; the default is all`,
    (name: string, before: string[]) => [...before, name],
    [],
  )
  .addOption(count('--processes <n>', 'processes that share the sidecars', 1))
  .addOption(count('--slow-readers <n>', 'sidecars that read slowly; the others are measured', 0))
  .addOption(count('--slow-bytes <n>', 'what a slow one reads in a second', 65_536))
  .option('--reconnect', 'in the end all reconnect with the versions that they hold', false)
  .option('--tls', 'over TLS with tokens (only for the mizzen that the bench starts)', false)
  .option(
    '--target <name=host:port,pid>',
    'a running server that watches --folder; may be repeated; the default is a mizzen of this tree',
    target,
    [],
  )
  .option('--folder <dir>', 'folder for the manifests; the default is a temporary one')
  .option('--profile <dir>', 'write a CPU profile of the mizzen that the bench starts into this folder')
  .addOption(count('--limit <ms>', 'how long anything may take until the bench gives up', 120_000))
  .addOption(new Option('-o, --output <form>', 'table or json').choices(['table', 'json']).default('table'))
  .addHelpText(
    'after',
    `
Examples:
  npm run bench -- --services 1000 --proxies 200
  npm run bench -- --target old=127.0.0.1:15010,4711 --target new=127.0.0.1:16010,4712 --folder /tmp/mesh -o json`,
  )
  .action(bench);

await command.parseAsync();

async function bench(flags: Flags): Promise<void> {
  const { services, virtualServices, proxies, slowReaders, tls } = flags;
  const size = { services, virtualServices, proxies };
  const wrong = checkFlags(flags) ?? checkSize(size);
  if (wrong !== undefined) command.error(`error: ${wrong}`, { exitCode: 2 });
  const work = mkdtempSync(join(tmpdir(), 'mizzen-bench-'));
  const remove = (): void => rmSync(work, { recursive: true, force: true });
  const disown = own(remove);
  try {
    using folder = new ManifestFolder(resolve(flags.folder ?? join(work, 'mesh')));
    progress(`manifests in ${folder.path}`);
    folder.write(meshFiles(size));
    const results = await runAll(flags, size, folder, work);
    const machine = { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, node: process.version };
    const report = { size, slowReaders, tls, machine, results };
    console.log(flags.output === 'json' ? JSON.stringify(report, undefined, 2) : tableOf(report));
  } finally {
    remove();
    disown();
  }
}

async function runAll(flags: Flags, size: MeshSize, folder: ManifestFolder, work: string): Promise<TargetResult[]> {
  const { changes, processes, slowReaders, reconnect, limit: limitMs } = flags;
  const settings: Omit<RunOptions, 'target' | 'firstChange'> = {
    folder,
    proxies: simulatedProxies(size),
    scenarios: scenarios(size).filter(({ name }) => flags.scenario.length === 0 || flags.scenario.includes(name)),
    changes,
    processes,
    slowReaders,
    slowBytesPerSecond: flags.slowBytes,
    reconnect,
    limitMs,
    progress,
  };
  if (flags.target.length === 0) {
    const nodeFlags = flags.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${resolve(flags.profile)}`];
    await using target = await startMizzen({ config: folder.path, work, tls: flags.tls, nodeFlags });
    return [await run({ ...settings, target, firstChange: 0 })];
  }
  const results: TargetResult[] = [];
  // Other changes for each server: it has read those of the servers before it.
  for (const [i, target] of flags.target.entries()) results.push(await run({ ...settings, target, firstChange: i * changes }));
  return results;
}

/** What is wrong with the flags together, if anything. */
function checkFlags({ changes, target, scenario, slowReaders, proxies, folder, tls, profile }: Flags): string | undefined {
  const runs = Math.max(1, target.length);
  if (changes * runs > maxChanges) return `${changes} changes for each of ${runs} servers are more than ${maxChanges}`;
  const unknown = scenario.find((name) => !scenarioNames.includes(name));
  if (unknown !== undefined) return `there is no scenario ${unknown}: choose from ${scenarioNames.join(', ')}`;
  if (slowReaders >= proxies) return 'at least one proxy must not be a slow reader';
  if (target.length > 0 && folder === undefined) return '--target needs --folder, the folder that the servers watch';
  if (target.length > 0 && (tls || profile !== undefined)) return '--tls and --profile are for the mizzen that the bench starts';
  return undefined;
}

function progress(line: string): void {
  process.stderr.write(`${line}\n`);
}

function count(flag: string, what: string, initial: number): Option {
  return new Option(flag, what).default(initial).argParser((text: string) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('It must be a whole number.');
    return value;
  });
}

function target(text: string, before: readonly Target[]): Target[] {
  try {
    return [...before, parseTarget(text)];
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}
