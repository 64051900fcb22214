/** A run as a picture: curves over the size of the mesh, or bars where there is one size. Rendered by Vega, without a browser. */
import { parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import { growthPoints } from './growth.ts';
import type { Report } from './result.ts';

interface Row {
  readonly target: string;
  readonly scenario: string;
  readonly services: number;
  readonly proxies: number;
  readonly figure: string;
  readonly value: number;
}

export async function svgOf(report: Report): Promise<string> {
  const spec = report.sizes.length > 1 ? curves(report) : bars(report);
  const view = new View(parse(compile(spec).spec), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

const width = 360;
const height = 220;

/** Each figure over the size, on logarithmic axes: a cost that does not grow with the mesh is a level line. */
function curves(report: Report): TopLevelSpec {
  const rows = rowsOf(report);
  const sameServices = new Set(rows.map((row) => row.services)).size === 1;
  const size = sameServices ? 'proxies' : 'services';
  const severalTargets = new Set(rows.map((row) => row.target)).size > 1;
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'white',
    data: { values: rows.map((row) => ({ ...row })) },
    facet: { field: 'figure', type: 'nominal', title: null, sort: [...figureNames] },
    columns: 2,
    resolve: { scale: { y: 'independent' } },
    spec: {
      width,
      height,
      mark: { type: 'line', point: true },
      encoding: {
        x: {
          field: size,
          type: 'quantitative',
          scale: { type: 'log' },
          title: size,
          axis: { values: distinct(rows.map((row) => row[size])) },
        },
        y: { field: 'value', type: 'quantitative', scale: { type: 'log', nice: true }, title: null },
        color: { field: 'scenario', type: 'nominal' },
        ...(severalTargets ? { strokeDash: { field: 'target', type: 'nominal' as const } } : {}),
      },
    },
  };
}

function bars(report: Report): TopLevelSpec {
  const rows = rowsOf(report);
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'white',
    data: { values: rows.map((row) => ({ ...row })) },
    facet: { field: 'figure', type: 'nominal', title: null, sort: [...figureNames] },
    columns: 2,
    resolve: { scale: { x: 'independent' } },
    spec: {
      width,
      height: { step: 14 },
      mark: 'bar',
      encoding: {
        y: { field: 'scenario', type: 'nominal', title: null, sort: distinct(rows.map((row) => row.scenario)) },
        x: { field: 'value', type: 'quantitative', scale: { type: 'symlog' }, title: null },
        yOffset: { field: 'target', type: 'nominal' },
        color: { field: 'target', type: 'nominal' },
      },
    },
  };
}

const figureNames = [
  'server CPU a change, ms',
  'CPU of a real Envoy a change, ms',
  'receipt p50, ms',
  'receipt p99, ms',
  'bytes a change',
  'peak RSS of the server, MB',
] as const;

function rowsOf({ sizes }: Report): Row[] {
  return growthPoints(sizes).flatMap(({ target, scenario, services, proxies, result }) => {
    const values: Readonly<Record<(typeof figureNames)[number], number | undefined>> = {
      'server CPU a change, ms': result.serverCpuMs,
      'CPU of a real Envoy a change, ms': result.envoy?.cpuMs,
      'receipt p50, ms': result.receipts.spread?.p50,
      'receipt p99, ms': result.receipts.spread?.p99,
      'bytes a change': result.received.bytes,
      'peak RSS of the server, MB': result.peakRssMb,
    };
    return figureNames.flatMap((figure) => {
      const value = values[figure];
      // Nothing has no place on a logarithmic axis.
      return value === undefined || value <= 0 ? [] : [{ target, scenario, services, proxies, figure, value }];
    });
  });
}

function distinct<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}
