/** What a run found out, for people. */
import type { Report, ScenarioResult, SizeResult, TargetResult } from './result.ts';
import { growthLines } from './growth.ts';
import { ratioLines } from './ratios.ts';
import { columns, megabytes, milliseconds, sizeOf } from './text.ts';

export function tableOf(report: Report): string {
  const { conditions, machine, calibration, sizes } = report;
  const { protocol, feed, tls, sds, slowReaders, nack } = conditions;
  const how = [
    protocol === 'mixed' ? 'delta and SotW streams' : `${protocol === 'delta' ? 'delta' : 'SotW'} streams`,
    tls ? `TLS with tokens${sds ? ' and certificates over SDS' : ''}` : 'plaintext',
    feed === 'folder' ? 'objects from a folder' : 'objects from a Kubernetes API',
    ...(slowReaders > 0 ? [`${slowReaders} slow readers`] : []),
    ...(nack === '' ? [] : [`refused: ${nack}`]),
  ];
  const lines = [how.join(', '), `${machine.cpu}, ${machine.cores} cores, Node ${machine.node}`];
  if (calibration !== undefined)
    lines.push(
      `calibration: a bare grpc-js server sends 500 bytes to all proxies with ${milliseconds(calibration.serverCpuMs)} CPU, they receive it with ${milliseconds(calibration.clientCpuMs)}`,
    );
  for (const size of sizes) lines.push('', ...sizeLines(size));
  if (sizes.length > 1) lines.push('', ...growthLines(sizes));
  return lines.join('\n');
}

function sizeLines(result: SizeResult): string[] {
  const { services, virtualServices, proxies, layout } = result.size;
  const lines = [
    `${services} services, ${virtualServices} VirtualServices, ${proxies} proxies${layout === 'default' ? '' : `, layout ${layout}`}`,
  ];
  for (const target of result.targets) lines.push(...targetLines(target));
  return result.targets.length > 1 ? [...lines, '', ...ratioLines(result.targets)] : lines;
}

function targetLines({ target, start, envoyStart, scenarios, skipped, peakRssMb }: TargetResult): string[] {
  const began =
    start === undefined
      ? ''
      : `; ready ${milliseconds(start.ms)} after its start with ${milliseconds(start.cpuMs)} CPU and ${megabytes(start.peakRssMb)}`;
  const withEnvoy = scenarios.some(({ envoy }) => envoy !== undefined);
  const header = [
    '',
    'first',
    'p50',
    'p90',
    'p99',
    'max',
    'missed',
    'server CPU',
    'client CPU',
    'per message',
    'messages',
    'bytes',
    'peak RSS',
    'loop p99',
  ];
  const rows = scenarios.flatMap((scenario) => scenarioRows(scenario, withEnvoy));
  return [
    `${target}: peak RSS ${megabytes(peakRssMb)}${began}`,
    ...(envoyStart === undefined
      ? []
      : [
          `a real Envoy: ready ${milliseconds(envoyStart.ms)} after its start with ${milliseconds(envoyStart.cpuMs)} CPU and ${megabytes(envoyStart.rssMb)}`,
        ]),
    ...columns([withEnvoy ? [...header, 'Envoy CPU', 'Envoy RSS'] : header, ...rows]),
    ...skipped.map(({ scenario, reason }) => `${scenario} left out: ${reason}`),
  ];
}

function scenarioRows(result: ScenarioResult, withEnvoy: boolean): string[][] {
  const { title, changes, unit, receipts, refused = 0, pushes, envoy } = result;
  const again = refused > 0 ? `, ${refused} streams refused at first` : '';
  const each = unit === 'change' ? (changes > 1 ? ` (${changes} times)` : '') : `, costs of one ${unit}`;
  const cells = [
    `${title}${each}${again}`,
    ...receiptCells(receipts),
    milliseconds(result.serverCpuMs),
    milliseconds(result.clientCpuMs),
    result.received.messages > 0 ? `${Math.round((result.clientCpuMs * 1000) / result.received.messages)} µs` : '-',
    result.received.messages < 10 ? String(Number(result.received.messages.toFixed(2))) : String(Math.round(result.received.messages)),
    sizeOf(result.received.bytes),
    megabytes(result.peakRssMb),
    result.eventLoopP99Ms === undefined ? '-' : milliseconds(result.eventLoopP99Ms),
  ];
  if (withEnvoy) {
    const lost = envoy?.hasChange === false ? ' (missed)' : '';
    cells.push(envoy === undefined ? '-' : `${milliseconds(envoy.cpuMs)}${lost}`, envoy === undefined ? '-' : megabytes(envoy.rssMb));
  }
  if (pushes === undefined) return [cells];
  return [cells, ['  an endpoint changes meanwhile', ...receiptCells(pushes), ...cells.slice(7).map(() => '')]];
}

function receiptCells({ spread, failures }: ScenarioResult['receipts']): string[] {
  const times =
    spread === undefined ? ['-', '-', '-', '-', '-'] : [spread.first, spread.p50, spread.p90, spread.p99, spread.max].map(milliseconds);
  return [...times, String(failures)];
}
