/** Servers of one run beside the first of them. */
import type { ScenarioResult, TargetResult } from './result.ts';
import { columns, ratio } from './text.ts';

export function ratioLines([base, ...others]: readonly TargetResult[]): string[] {
  if (base === undefined) return [];
  const rows = others.flatMap((other) =>
    other.scenarios.flatMap((result) => {
      const before = base.scenarios.find(({ scenario }) => scenario === result.scenario);
      return before === undefined ? [] : [[`${other.target} / ${base.target}: ${result.title}`, ...ratiosOf(result, before)]];
    }),
  );
  return columns([['', 'p50', 'p99', 'server CPU', 'messages', 'bytes', 'peak RSS'], ...rows]);
}

function ratiosOf(a: ScenarioResult, b: ScenarioResult): string[] {
  return [
    ratio(a.receipts.spread?.p50, b.receipts.spread?.p50),
    ratio(a.receipts.spread?.p99, b.receipts.spread?.p99),
    ratio(a.serverCpuMs, b.serverCpuMs),
    ratio(a.received.messages, b.received.messages),
    ratio(a.received.bytes, b.received.bytes),
    ratio(a.peakRssMb, b.peakRssMb),
  ];
}
