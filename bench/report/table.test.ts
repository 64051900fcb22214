import { expect, test } from 'vitest';
import { svgOf } from './picture.ts';
import { ratioLines } from './ratios.ts';
import type { Report } from './result.ts';
import { tableOf } from './table.ts';
import { reportOf, resultOf } from './testing/reports.ts';
import { milliseconds, ratio, sizeOf } from './text.ts';

test('figures have as many digits as they deserve', () => {
  expect([0.123, 3.21, 32.1, 9999, 12_345].map(milliseconds)).toEqual(['0.12 ms', '3.2 ms', '32 ms', '9999 ms', '12.3 s']);
  expect([120, 1_234_000, 123_400_000].map(sizeOf)).toEqual(['0.1 kB', '1.23 MB', '123 MB']);
  expect([ratio(3, 2), ratio(3, 0), ratio(undefined, 2), ratio(-1, 2)]).toEqual(['1.50x', '-', '-', '-']);
  expect([ratio(1, 10), ratio(1, 400), ratio(0, 2)]).toEqual(['0.10x', '0.0025x', '0.00x']);
});

test('a row for each scenario; what happened to pushes meanwhile is one of its own; what a real Envoy spent has columns', () => {
  const certificates = { ...resultOf('certificates', {}), unit: 'proxy' as const, pushes: { failures: 4 } };
  const endpoint = {
    ...resultOf('endpoint', { failures: 1, bytes: 5000 }),
    eventLoopP99Ms: 12,
    envoy: { cpuMs: 0.5, rssMb: 80, hasChange: false },
  };
  const report = reportOf([endpoint, certificates]);
  const lines = tableOf(report).split('\n');
  const header = lines.findIndex((line) => line.includes('loop p99'));
  const cells = (line: string | undefined): string[] => (line ?? '').trim().split(/ {2,}/);
  expect(cells(lines[header])).toEqual(['first', 'p50', 'p90', 'p99', 'max', 'missed', 'server CPU', 'client CPU', 'per message', 'messages', 'bytes', 'peak RSS', 'loop p99', 'Envoy CPU', 'Envoy RSS']); // prettier-ignore
  expect(cells(lines[header + 1])).toEqual(['title of endpoint (2 times)', '1.0 ms', '10 ms', '20 ms', '30 ms', '40 ms', '1', '1.0 ms', '1.0 ms', '1000 µs', '1', '5.0 kB', '100 MB', '12 ms', '0.50 ms (missed)', '80 MB']); // prettier-ignore
  expect(cells(lines[header + 2])[0]).toBe('title of certificates, costs of one proxy');
  expect(cells(lines[header + 3])).toEqual(['an endpoint changes meanwhile', '-', '-', '-', '-', '-', '4']);
});

test('streams that were refused at first are told', () => {
  const report = reportOf([
    { ...resultOf('connect', {}), changes: 1, refused: 7 },
    { ...resultOf('reconnect', {}), changes: 1, refused: 0 },
  ]);
  const titles = tableOf(report)
    .split('\n')
    .map((line) => line.split(/ {2,}/)[0]);
  expect(titles.slice(-2)).toEqual(['title of connect, 7 streams refused at first', 'title of reconnect']);
});

test('ratios are those to the first server', () => {
  const [base] = reportOf([resultOf('endpoint', { serverCpuMs: 10, bytes: 100, p50: 20 }), resultOf('bulk', {})]).sizes[0]?.targets ?? [];
  const [other] = reportOf([resultOf('endpoint', { serverCpuMs: 1, bytes: 50, p50: 10 })]).sizes[0]?.targets ?? [];
  const lines = ratioLines(
    [base, other].flatMap((target, i) => (target === undefined ? [] : [{ ...target, target: i === 0 ? 'old' : 'new' }])),
  );
  expect(lines).toHaveLength(2);
  expect(lines[1]?.trim().split(/ {2,}/)).toEqual(['new / old: title of endpoint', '0.50x', '1.00x', '0.10x', '1.00x', '0.50x', '1.00x']);
});

const grown: Report = (() => {
  const small = reportOf([resultOf('endpoint', { serverCpuMs: 10, bytes: 100 })]);
  const large = reportOf([resultOf('endpoint', { serverCpuMs: 13, bytes: 100 })], [1000]);
  return { ...small, sizes: [...small.sizes, ...large.sizes] };
})();

test('growth is what the largest size costs in those of the smallest', () => {
  const line = tableOf(grown)
    .split('\n')
    .findLast((l) => l.startsWith('mizzen: endpoint'));
  expect(line?.trim().split(/ {2,}/)).toEqual(['mizzen: endpoint', '10 ms 0.1 kB', '13 ms 0.1 kB', '1.30x', '1.00x', '-']);
});

test('the picture has a panel for each figure that was measured: curves over sizes, bars without', async () => {
  const curves = await svgOf(grown);
  expect(curves).toMatch(/^<svg .*<\/svg>$/s);
  for (const panel of ['server CPU a change, ms', 'receipt p99, ms', 'bytes a change']) expect(curves).toContain(panel);
  expect(curves).not.toContain('CPU of a real Envoy');
  expect(curves).toContain('role-axis-label');
  expect(curves).toContain('>1,000<');
  const bars = await svgOf(reportOf([{ ...resultOf('endpoint', {}), envoy: { cpuMs: 2, rssMb: 80 } }]));
  expect(bars).toContain('CPU of a real Envoy a change, ms');
});
