/** `mizzen top`: which objects make the control plane work. */
import { Command, Option } from 'commander';
import { costOrders, type CostLine, type CostOrder, type CostsAnswer } from '../admin/costs.ts';
import { addressOption, getJson } from './admin-client.ts';
import { CliError, exitCodesHelp } from './exit.ts';
import { parsed } from './options.ts';
import { outputOption, render, type Column, type OutputFormat } from './output.ts';
import { parseCount } from './quantity.ts';
import type { HostPort } from './proxy/sockets.ts';
import { stopSignal } from './stop-signal.ts';

interface TopFlags {
  readonly number: number;
  readonly by: CostOrder;
  readonly watch?: true;
  readonly address: HostPort;
  readonly output: OutputFormat;
}

/** Between two pictures. */
const watchMs = 2_000;

const columns: readonly Column<CostLine>[] = [
  { title: 'OBJECT', value: (c) => c.object },
  { title: 'CHANGES', value: (c) => String(c.changes) },
  { title: 'TIME', value: (c) => duration(c.translationMs) },
  { title: 'RESOURCES', value: (c) => String(c.resources) },
  { title: 'ENCODED', value: (c) => amount(c.bytesEncoded) },
  { title: 'SENT', value: (c) => amount(c.bytesSent) },
  { title: 'PROXIES', value: (c) => String(c.proxies) },
  { title: 'LAST ACK', value: (c) => (c.lastAckMs === undefined ? '' : duration(c.lastAckMs)) },
  { title: 'REFUSED', value: (c) => String(c.refusals) },
];

export function topCommand(): Command {
  return new Command('top')
    .description('print the objects whose changes of the last 10 minutes cost the control plane most')
    .addOption(new Option('-n, --number <rows>', 'how many objects').argParser(parsed(parseCount)).default(20))
    .addOption(new Option('--by <figure>', 'what to sort by').choices(costOrders).default('bytes'))
    .option('-w, --watch', `again every ${watchMs / 1000} s: in place on a terminal, else one after the other`)
    .addOption(addressOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
TIME is the work of translating, RESOURCES how many changed and ENCODED their bytes, once for all proxies that share them. SENT is the bytes of the responses that
carried the changes, PROXIES how many the widest change was sent to, LAST ACK the longest time from the start of a translation until the last proxy accepted what
it led to. Objects that change together are translated together: TIME is divided evenly among them, and the rest by what each resource was made from as far as that is
known; it is exact for what changes alone. Each replica counts the streams that it serves.

Examples:
  mizzen top
  mizzen top -n 5 --by time
  mizzen top --watch
${exitCodesHelp}`,
    )
    .action(async (flags: TopFlags) => {
      if (flags.watch === true) await watch(flags);
      else process.stdout.write(topText(await ask(flags), flags.output));
    });
}

async function ask({ address, by, number }: TopFlags): Promise<CostsAnswer> {
  return (await getJson(address, `/debug/costs?by=${by}&n=${number}`)) as CostsAnswer;
}

/** Until a signal. A control plane that is restarted is waited for, one that was never there is not. */
async function watch(flags: TopFlags): Promise<void> {
  const signal = stopSignal();
  for (let first = true; !signal.aborted; first = false) {
    const text = await ask(flags).then(
      (answer) => topText(answer, flags.output),
      (error: unknown) => {
        if (first || !(error instanceof CliError)) throw error;
        return `${error.message}\n`;
      },
    );
    process.stdout.write(process.stdout.isTTY ? inPlace(text, process.stdout) : text);
    await passed(watchMs, signal);
  }
}

/** From the upper left corner, lines cut at the terminal's width; what was there before is erased line by line, so that nothing flickers. */
export function inPlace(text: string, { rows = 24, columns: width = 80 }: { readonly rows?: number; readonly columns?: number }): string {
  const lines = text
    .trimEnd()
    .split('\n')
    .slice(0, rows - 1);
  return `\u001b[H${lines.map((line) => `${line.slice(0, width)}\u001b[K\n`).join('')}\u001b[J`;
}

/** The table is followed by what went out for another reason than a change. */
export function topText(answer: CostsAnswer, format: OutputFormat): string {
  const text = render(format, answer.costs, columns, answer);
  if (format !== 'table') return text;
  const { objects, forgotten, other, windowSeconds } = answer;
  const more = objects - answer.costs.length + forgotten;
  return [
    text,
    ...(more > 0 ? [`${more} more objects have changed in the last ${windowSeconds / 60} minutes.\n`] : []),
    `Not for a change: ${amount(other.bytesSent)} sent and ${duration(other.translationMs)} of translation, for new streams and renewed certificates.\n`,
  ].join('');
}

function duration(ms: number): string {
  if (ms >= 10_000) return `${Math.round(ms / 1000)}s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)}s`;
  return ms >= 10 ? `${Math.round(ms)}ms` : `${ms.toFixed(1)}ms`;
}

const units = ['B', 'kB', 'MB', 'GB', 'TB'];

function amount(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)}${units[unit] ?? ''}`;
}

async function passed(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}
