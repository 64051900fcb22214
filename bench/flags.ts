/** The command line of the bench. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { defaultNames, scenarioNames } from './scenarios/scenarios.ts';
import * as types from './streams/types.ts';
import { parseTarget, type Target } from './target/target.ts';
import { type Layout, layouts } from './workload/mesh.ts';

export interface Flags {
  readonly services: number;
  readonly virtualServices: number;
  readonly proxies: number;
  readonly layout: Layout;
  readonly sweep?: Sweep;
  readonly changes: number;
  readonly scenario: readonly string[];
  readonly seconds: number;
  readonly podsPerSecond: number;
  readonly objects: number;
  readonly drop: number;
  readonly protocol: 'delta' | 'sotw' | 'mixed';
  readonly workers: number;
  readonly slowReaders: number;
  readonly slowBytes: number;
  readonly nack?: Nack;
  readonly tls: boolean;
  readonly sds: boolean;
  readonly feed: 'folder' | 'kubernetes';
  readonly folder?: string;
  readonly kubeconfig?: string;
  readonly target: readonly Target[];
  readonly alone: boolean;
  readonly replicas: number;
  readonly main?: string;
  readonly root?: string;
  readonly envoy: boolean;
  readonly profile?: string;
  readonly calibration: boolean;
  readonly quietMs: number;
  readonly limit: number;
  readonly output: 'table' | 'json' | 'yaml';
  readonly svg?: string;
  readonly budget?: string;
  readonly writeBudget?: string;
}

export interface Sweep {
  readonly dimension: 'services' | 'proxies';
  readonly values: readonly number[];
}

export interface Nack {
  /** As it was given: `cds=0.1`. */
  readonly text: string;
  readonly type: string;
  readonly share: number;
}

export function benchCommand(action: (flags: Flags, command: Command) => Promise<void>): Command {
  const command = new Command('bench')
    .description('simulated sidecars against a control plane: time, messages, bytes, CPU and memory of a change')
    .optionsGroup('The mesh:')
    .addOption(count('--services <n>', 'Services with 3 endpoints each', 1000))
    .addOption(count('--virtual-services <n>', 'VirtualServices', 100))
    .addOption(count('--proxies <n>', 'sidecars, each a workload and a connection of its own', 200))
    .addOption(
      new Option(
        '--layout <layout>',
        'default: 10 namespaces; namespaces: one for every two proxies; sidecars: 10, each with a Sidecar of its own',
      )
        .choices(layouts)
        .default('default'),
    )
    .option('--sweep <dimension=n,n,...>', 'the same for several sizes: services=100,1000,4000 or proxies=...', parsed(parseSweep))
    .optionsGroup('What happens:')
    .option(
      '--scenario <name,...>',
      `all, or of ${scenarioNames.join(', ')}; the default is ${defaultNames.length} that take seconds`,
      parsed(parseScenarios),
      defaultNames,
    )
    .addOption(count('--changes <n>', 'changes in each scenario of single changes', 10))
    .addOption(count('--seconds <n>', 'how long churn, a rolling restart and a renewal of all certificates last', 60))
    .addOption(count('--pods-per-second <n>', 'pods replaced in endpoint-churn', 50))
    .addOption(count('--objects <n>', 'objects applied at once in bulk', 1000))
    .option('--drop <share>', 'share of the connections that drop in reconnect', parsed(parseShare), 1)
    .optionsGroup('The proxies:')
    .addOption(new Option('--protocol <protocol>', 'mixed: half of them each').choices(['delta', 'sotw', 'mixed']).default('delta'))
    .addOption(count('--workers <n>', 'processes that share the sidecars', 1))
    .addOption(count('--slow-readers <n>', 'sidecars that read slowly; the others are measured', 0))
    .addOption(count('--slow-bytes <n>', 'what a slow one reads in a second', 65_536))
    .option(
      '--nack <type=share>',
      'a share that refuses every response of a type once in sync: cds, eds, lds, rds or vhds',
      parsed(parseNack),
    )
    .option('--tls', 'over TLS with tokens: those of the API server with --feed kubernetes', false)
    .option('--sds', 'each asks for its own certificate and the roots over SDS, as stock Envoy does; needs --tls', false)
    .option('--envoy', 'a real Envoy takes part; its CPU and memory are reported too (needs root)', false)
    .optionsGroup('The control plane and its objects:')
    .addOption(new Option('--feed <feed>', 'where the objects are').choices(['folder', 'kubernetes']).default('folder'))
    .option('--folder <dir>', 'folder for the manifests; the default is a temporary one')
    .option('--kubeconfig <file>', 'a cluster that runs, without kubelets (npm run cluster); the default is one of the bench')
    .option(
      '--target <name=host:port,pid[,metrics=url][+...]>',
      'a running server, or several replicas joined by +, that reads --folder or --kubeconfig; may be repeated; the default is a mizzen of this tree',
      collectTarget,
      [],
    )
    .option('--alone', 'the processes of the other targets are stopped (SIGSTOP) while one is measured, and then go on', false)
    .addOption(count('--replicas <n>', 'how many mizzens of this tree serve the proxies, divided among them', 1))
    .option(
      '--main <file>',
      'the mizzen to start: its built main.js; the default is the source of this tree, which Node strips of its types',
    )
    .option('--root <file>', 'root certificates of the targets, for --tls; the default is what they publish in the cluster')
    .option('--profile <dir>', 'write a CPU profile of the mizzen that the bench starts into this folder')
    .optionsGroup('The result:')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'json', 'yaml']).default('table'))
    .option('--svg <file>', 'write a picture: curves over the sizes of --sweep, else bars')
    .option('--budget <file>', 'fail when a change costs more than this file allows')
    .option('--write-budget <file>', 'write what the changes cost now as a budget')
    .option('--no-calibration', 'leave out the bare grpc-js server that CPU time is compared with')
    .addOption(count('--quiet-ms <ms>', 'when nothing has come for so long, a server has said everything', 400))
    .addOption(count('--limit <ms>', 'how long a change, or the connecting of all proxies, may take until it counts as missed', 60_000))
    .addHelpText(
      'after',
      `
Examples:
  npm run bench -- --services 1000 --proxies 200
  npm run bench -- --scenario endpoint,bulk --protocol sotw -o json
  npm run bench -- --sweep services=100,1000,4000 --proxies 100 --envoy --svg growth.svg
  npm run bench -- --feed kubernetes --tls --scenario all --seconds 60
  npm run bench -- --target old=127.0.0.1:15010,4711 --target new=127.0.0.1:16010,4712 --folder /tmp/mesh
  npm run bench -- --services 100 --proxies 20 --budget bench/budget.json

Exit status: 0 all is well, 1 a change never came to a proxy that it concerns or costs more than the budget allows, or the run broke off,
2 the command line is wrong.`,
    );
  return command.action((flags: Flags) => action(flags, command));
}

function count(flag: string, what: string, initial: number): Option {
  return new Option(flag, what).default(initial).argParser(parsed(parseCount));
}

function parseCount(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new Error('It must be a whole number.');
  return value;
}

function parseShare(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 1)) throw new Error('It must be a number above 0 and up to 1.');
  return value;
}

export function parseSweep(text: string): Sweep {
  const [, dimension, list] = /^(services|proxies)=([\d,]+)$/.exec(text) ?? [];
  if (dimension === undefined || list === undefined) throw new Error('It must be services=N,N,... or proxies=N,N,...');
  const values = list.split(',').map(parseCount);
  // Objects are added from size to size.
  if (values.length < 2 || values.some((value, i) => value <= (values[i - 1] ?? 0)))
    throw new Error('The sizes must be two or more, and grow.');
  return { dimension: dimension as Sweep['dimension'], values };
}

export function parseScenarios(text: string): string[] {
  if (text === 'all') return [...scenarioNames];
  const names = text.split(',');
  const unknown = names.find((name) => !scenarioNames.includes(name));
  if (unknown !== undefined) throw new Error(`There is no scenario ${unknown}: choose from ${scenarioNames.join(', ')}, or all.`);
  return names;
}

const shortTypes: Readonly<Record<string, string>> = {
  cds: types.clusters,
  eds: types.endpoints,
  lds: types.listeners,
  rds: types.routes,
  vhds: types.virtualHosts,
};

export function parseNack(text: string): Nack {
  const [name = '', share = ''] = text.split('=');
  const type = shortTypes[name];
  if (type === undefined) throw new Error(`It must be TYPE=SHARE with a type of ${Object.keys(shortTypes).join(', ')}.`);
  return { text, type, share: parseShare(share) };
}

function collectTarget(text: string, before: readonly Target[]): Target[] {
  return [...before, parsed(parseTarget)(text)];
}

function parsed<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError((error as Error).message);
    }
  };
}
