/** The live view in a terminal: a state becomes lines. */
import { stripVTControlCharacters, styleText } from 'node:util';
import { originText } from '../../apis/object.ts';
import { statusOf } from '../proxy-status.ts';
import { mutualTlsText, type DemoState } from './state.ts';

const types = ['CDS', 'LDS', 'EDS', 'RDS', 'VHDS', 'SDS'] as const;
const barWidth = 50;
const maxProblems = 5;

/** Lines of at most `columns` characters that one can see. */
export function viewLines(state: DemoState, columns: number): string[] {
  return [
    `${bold('mizzen demo')}   ${clock(state.uptimeSeconds)}`,
    '',
    `gateway  ${styleText('cyan', state.gatewayUrl)}`,
    `debug    ${state.debugUrl}`,
    '',
    ...proxyLines(state),
    '',
    ...trafficLines(state),
    '',
    ...problemLines(state),
    `Shift the canary: edit the weights in ${bold(state.canaryFile)} and save.`,
    `Logs: ${state.logDir}   Ctrl-C stops everything and removes it.`,
  ].map((line) => cut(line, columns));
}

function proxyLines({ expected, proxies }: DemoState): string[] {
  const width = Math.max(...expected.map((n) => n.length), 5);
  const rows = expected.map((name) => {
    const proxy = proxies.find((p) => p.proxy === name);
    if (proxy === undefined) return `${name.padEnd(width)}  ${dim('not connected')}`;
    const cells = types.map((type) => mark(statusOf(proxy, type)?.state).padEnd(type.length + markPadding));
    return `${name.padEnd(width)}  ${cells.join('  ')}  ${dim(proxy.identity)}`;
  });
  const synced = expected.filter((name) => proxies.some((p) => p.proxy === name && p.state === 'SYNCED')).length;
  return [dim(`${'PROXY'.padEnd(width)}  ${types.join('  ')}  IDENTITY`), ...rows, `${synced} of ${expected.length} connected and in sync`];
}

/** Escape sequences take room in a string and none on the screen. */
const markPadding = styleText('green', 'x').length - 1;

function mark(state: string | undefined): string {
  switch (state) {
    case 'SYNCED':
      return styleText('green', '✓');
    case 'STALE':
      return styleText('yellow', '…');
    case 'ERROR':
      return styleText('red', '✗');
    default:
      return styleText('gray', '·');
  }
}

function trafficLines({ traffic }: DemoState): string[] {
  const answered = traffic.recent.length;
  const bars = ['v1', 'v2', 'v3'].map((version) => {
    const n = traffic.versions[version] ?? 0;
    const filled = answered === 0 ? 0 : Math.round((n / answered) * barWidth);
    return `reviews ${version}  ${styleText('blue', '█'.repeat(filled))}${dim('░'.repeat(barWidth - filled))} ${n}`;
  });
  const latencies = traffic.recent.map((o) => o.latencyMs).sort((a, b) => a - b);
  const median = latencies[Math.floor(latencies.length / 2)];
  const failed = traffic.failed === 0 ? 'no errors' : styleText('red', `${traffic.failed} errors, the last: ${traffic.lastError}`);
  return [
    dim(`WHO ANSWERED the last ${answered} requests through the gateway`),
    ...bars,
    `${traffic.sent} requests, ${failed}${median === undefined ? '' : `, median ${median.toFixed(0)} ms`}`,
    `mutual TLS: ${mutualTlsText(traffic)}`,
  ];
}

function problemLines({ problems }: DemoState): string[] {
  if (problems.length === 0) return [];
  const shown = problems.slice(0, maxProblems).map((p) => {
    const place = p.origin === undefined ? p.object : originText(p.origin);
    return `${styleText(p.severity === 'error' ? 'red' : 'yellow', p.severity)}  ${place}  ${p.path === '' ? '' : `${p.path}: `}${p.message}`;
  });
  const more = problems.length - shown.length;
  return [dim('PROBLEMS'), ...shown, ...(more > 0 ? [`and ${more} more: mizzen validate, or /debug/problems`] : []), ''];
}

function clock(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;
}

function bold(text: string): string {
  return styleText('bold', text);
}

function dim(text: string): string {
  return styleText('dim', text);
}

/** A line that would wrap is cut, and loses its colours with that. */
function cut(line: string, columns: number): string {
  const seen = stripVTControlCharacters(line);
  return seen.length <= columns ? line : seen.slice(0, columns);
}
