import type { Report, ScenarioResult } from '../result.ts';

interface Costs {
  readonly messages?: number;
  readonly bytes?: number;
  readonly serverCpuMs?: number;
  readonly failures?: number;
  readonly p50?: number;
}

export function resultOf(scenario: string, { messages = 1, bytes = 1, serverCpuMs = 1, failures = 0, p50 = 10 }: Costs): ScenarioResult {
  return {
    scenario,
    title: `title of ${scenario}`,
    mark: 'Cluster a',
    changes: 2,
    unit: 'change',
    receipts: { spread: { first: 1, p50, p90: 20, p99: 30, max: 40 }, failures },
    serverCpuMs,
    clientCpuMs: 1,
    received: { messages, bytes, byType: {} },
    peakRssMb: 100,
  };
}

/** Of one server; the calibration took 5 ms. */
export function reportOf(scenarios: readonly ScenarioResult[], services: readonly number[] = [10]): Report {
  return {
    conditions: { protocol: 'delta', feed: 'folder', tls: false, sds: false, slowReaders: 0, nack: '', workers: 1, replicas: 1 },
    machine: { cpu: 'test', cores: 2, node: 'v24.0.0' },
    calibration: { serverCpuMs: 5, clientCpuMs: 5, receiptMs: { first: 1, p50: 1, p90: 1, p99: 1, max: 1 } },
    sizes: services.map((count) => ({
      size: { services: count, virtualServices: 1, proxies: 3, layout: 'default' },
      targets: [{ target: 'mizzen', scenarios, skipped: [], peakRssMb: 120 }],
    })),
  };
}
