/** `mizzen proxy-status`: which proxies are connected and how far each is. */
import { Command } from 'commander';
import type { SyncStatus, TypeSync } from '../admin/syncz.ts';
import { shortName, typeOfShortName } from '../wire/types.ts';
import { addressOption, getJson } from './admin-client.ts';
import { CliError, exitCodes, exitCodesHelp } from './exit.ts';
import { type Column, outputOption, type OutputFormat, render } from './output.ts';
import type { HostPort } from './proxy/sockets.ts';

const types = ['CDS', 'LDS', 'EDS', 'RDS', 'VHDS', 'SDS'] as const;

const columns: readonly Column<SyncStatus>[] = [
  { title: 'NAME', value: (s) => s.proxy },
  { title: 'TYPE', value: (s) => s.proxy_type },
  ...types.map((type) => ({ title: type, value: (s: SyncStatus) => statusOf(s, type)?.state.replace('_', ' ') ?? '' })),
  { title: 'IDENTITY', value: (s) => s.identity },
];

/** Of a type by its short name. */
export function statusOf({ resources }: SyncStatus, short: (typeof types)[number]): TypeSync | undefined {
  const type = typeOfShortName(short);
  return type === undefined ? undefined : resources[type];
}

export function proxyStatusCommand(): Command {
  return new Command('proxy-status')
    .aliases(['ps'])
    .description('print which proxies are connected, and whether each has accepted what it was sent')
    .argument('[proxy]', 'name.namespace, or part of a connection id: this one only, with its errors')
    .addOption(addressOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
A type is SYNCED when the proxy has accepted the last response, STALE while it has not answered, ERROR when it has rejected it, NOT SENT when it
asked and nothing exists.

Examples:
  mizzen proxy-status
  mizzen proxy-status page-v1.bookshop -o yaml
${exitCodesHelp}`,
    )
    .action(async (proxy: string | undefined, options: { address: HostPort; output: OutputFormat }) => {
      const all = (await getJson(options.address, '/debug/syncz')) as readonly SyncStatus[];
      const shown = proxy === undefined ? all : all.filter((s) => s.proxy === proxy || s.connection_id.includes(proxy));
      if (proxy !== undefined && shown.length === 0) {
        throw new CliError(
          exitCodes.usage,
          `no proxy "${proxy}" is connected; connected are ${all.map((s) => s.proxy).join(', ') || 'none'}`,
        );
      }
      process.stdout.write(statusText(shown, options.output));
      if (shown.some((s) => s.state === 'ERROR')) process.exitCode = exitCodes.problem;
    });
}

/** The table is followed by what proxies have rejected and which resources are held back because of it. */
export function statusText(statuses: readonly SyncStatus[], format: OutputFormat): string {
  const sorted = statuses.toSorted((a, b) => (a.proxy < b.proxy ? -1 : a.proxy > b.proxy ? 1 : 0));
  const text = render(format, sorted, columns);
  return format === 'table' ? text + sorted.flatMap(rejections).join('') : text;
}

function rejections(status: SyncStatus): string[] {
  return Object.entries(status.resources)
    .filter(([, r]) => r.lastError !== undefined)
    .map(([type, r]) => {
      const held = r.heldBack.map((h) => `  held back: ${h.name}, made from ${h.madeFrom.join(', ') || 'no object'}\n`);
      return `\n${status.proxy} rejected ${shortName(type)}: ${r.lastError ?? ''}\n${held.join('')}`;
    });
}
