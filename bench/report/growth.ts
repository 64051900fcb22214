/** What a change costs at several sizes of the mesh. */
import type { ScenarioResult, SizeResult } from './result.ts';
import { columns, milliseconds, ratio, sizeOf } from './text.ts';

/** A figure of one scenario and server, at one size. */
export interface GrowthPoint {
  readonly target: string;
  readonly scenario: string;
  readonly services: number;
  readonly proxies: number;
  readonly result: ScenarioResult;
}

export function growthPoints(sizes: readonly SizeResult[]): GrowthPoint[] {
  return sizes.flatMap(({ size, targets }) =>
    targets.flatMap(({ target, scenarios }) =>
      scenarios.map((result) => ({ target, scenario: result.scenario, services: size.services, proxies: size.proxies, result })),
    ),
  );
}

/** CPU of a change at each size, and how the largest compares with the smallest. */
export function growthLines(sizes: readonly SizeResult[]): string[] {
  const [first] = sizes;
  if (first === undefined) return [];
  const sameServices = sizes.every(({ size }) => size.services === first.size.services);
  const heads = sizes.map(({ size }) => (sameServices ? `${size.proxies} proxies` : `${size.services} services`));
  const bySeries = Map.groupBy(growthPoints(sizes), ({ target, scenario }) => `${target}: ${scenario}`);
  const rows = [...bySeries].map(([series, points]) => {
    const [smallest, largest] = [points[0]?.result, points.at(-1)?.result];
    return [
      series,
      ...points.map(({ result }) => `${milliseconds(result.serverCpuMs)} ${sizeOf(result.received.bytes)}`),
      ratio(largest?.serverCpuMs, smallest?.serverCpuMs),
      ratio(largest?.received.bytes, smallest?.received.bytes),
      ratio(largest?.envoy?.cpuMs, smallest?.envoy?.cpuMs),
    ];
  });
  return ['growth: server CPU and bytes of a change', ...columns([['', ...heads, 'CPU', 'bytes', 'Envoy CPU'], ...rows])];
}
