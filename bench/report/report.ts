/** What a run found out, and its two forms: JSON and a table for people. */
import type { Traffic } from '../streams/messages.ts';
import type { MeshSize } from '../workload/mesh.ts';
import type { Spread } from './statistics.ts';

/** What the proxies received, in all and by type. */
export interface Received extends Traffic {
  readonly byType: Readonly<Record<string, Traffic>>;
}

/** What came between two counts. */
export function receivedBetween(before: ReadonlyMap<string, Traffic>, after: ReadonlyMap<string, Traffic>): Received {
  const byType: Record<string, Traffic> = {};
  let messages = 0;
  let bytes = 0;
  for (const [type, now] of after) {
    const then = before.get(type) ?? { messages: 0, bytes: 0 };
    if (now.messages === then.messages) continue;
    const name = type.slice(type.lastIndexOf('.') + 1);
    byType[name] = { messages: now.messages - then.messages, bytes: now.bytes - then.bytes };
    messages += byType[name].messages;
    bytes += byType[name].bytes;
  }
  return { messages, bytes, byType };
}

export interface ConnectResult {
  /** From the first connection to the last proxy in sync, and to each proxy. */
  readonly ms: number;
  readonly perProxy: Spread;
  readonly serverCpuMs: number;
  readonly clientCpuMs: number;
  readonly received: Received;
}

export interface ChangeResult {
  readonly scenario: string;
  readonly title: string;
  readonly changes: number;
  /** From the rename of the file to each proxy's receipt, over all changes. */
  readonly receiptMs: Spread;
  /** Medians over the changes, of the traffic that of the last; what comes until the streams are quiet again is counted in. */
  readonly lastReceiptMs: number;
  readonly serverCpuMs: number;
  readonly clientCpuMs: number;
  readonly received: Received;
}

export interface TargetResult {
  readonly target: string;
  /** From its start until it was ready, and what that took; only of a server that the bench started. */
  readonly start?: { readonly ms: number; readonly cpuMs: number; readonly peakRssMb: number };
  readonly connect: ConnectResult;
  readonly reconnect?: ConnectResult;
  readonly changes: readonly ChangeResult[];
  /** The most since its start: when all were connected, and in the end. */
  readonly connectedPeakRssMb: number;
  readonly peakRssMb: number;
}

export interface Report {
  readonly size: MeshSize;
  readonly slowReaders: number;
  readonly tls: boolean;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly node: string };
  readonly results: readonly TargetResult[];
}

export function tableOf({ size, slowReaders, tls, machine, results }: Report): string {
  const { services, virtualServices, proxies } = size;
  const title = `${services} services, ${virtualServices} VirtualServices, ${proxies} proxies over delta ADS${tls ? ' with TLS' : ''}`;
  const slow = slowReaders === 0 ? '' : `, ${slowReaders} of them slow readers (not in the times)`;
  const lines = [`${title}${slow}`, `${machine.cpu}, ${machine.cores} cores, node ${machine.node}`];
  for (const result of results) lines.push('', ...targetLines(result));
  return lines.join('\n');
}

const header = ['', 'first', 'p50', 'p90', 'p99', 'max', 'server CPU', 'client CPU', 'messages', 'bytes'];

function targetLines({ target, start, connect, reconnect, changes, connectedPeakRssMb, peakRssMb }: TargetResult): string[] {
  const began = start === undefined ? '' : `; ready ${ms(start.ms)} after its start with ${ms(start.cpuMs)} CPU and ${mb(start.peakRssMb)}`;
  const rows = [
    connectRow('all connect and are in sync', connect),
    ...(reconnect === undefined ? [] : [connectRow('all reconnect with their versions', reconnect)]),
    ...changes.map((change) => [
      `${change.title} (${change.changes} times)`,
      ...spreadCells(change.receiptMs),
      ms(change.serverCpuMs),
      ms(change.clientCpuMs),
      String(change.received.messages),
      size(change.received.bytes),
    ]),
  ];
  return [
    `${target}: peak RSS ${mb(connectedPeakRssMb)} when all were connected, ${mb(peakRssMb)} in the end${began}`,
    ...columns([header, ...rows]),
  ];
}

function connectRow(title: string, result: ConnectResult): string[] {
  const { perProxy, serverCpuMs, clientCpuMs, received } = result;
  return [title, ...spreadCells(perProxy), ms(serverCpuMs), ms(clientCpuMs), String(received.messages), size(received.bytes)];
}

function spreadCells({ first, p50, p90, p99, max }: Spread): string[] {
  return [first, p50, p90, p99, max].map(ms);
}

function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_cell, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

function ms(value: number): string {
  return value >= 10_000 ? `${(value / 1000).toFixed(1)} s` : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

function mb(value: number): string {
  return `${Math.round(value)} MB`;
}

function size(bytes: number): string {
  if (bytes >= 1e6) return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 0)} MB`;
  return `${(bytes / 1e3).toFixed(1)} kB`;
}
