import { receivedBetween, type EnvoyResult } from '../report/result.ts';
import type { Overall } from '../target/meter.ts';
import type { Mark } from '../workload/mark.ts';
import type { Context, Cost } from './context.ts';

/** What everyone spends on it until the streams are quiet again, for each of so many changes. */
export async function costOf<T>(
  { fleet, meter, settings }: Context,
  run: () => Promise<T>,
  changes = 1,
): Promise<{ result: T; cost: Cost }> {
  const before = await fleet.settle(settings.quietMs);
  const spent = meter.start();
  const result = await run();
  const after = await fleet.settle(settings.quietMs);
  const { serverCpuMs, envoyCpuMs } = spent();
  return {
    result,
    cost: {
      serverCpuMs: serverCpuMs / changes,
      envoyCpuMs: envoyCpuMs === undefined ? undefined : envoyCpuMs / changes,
      clientCpuMs: (after.cpuMs - before.cpuMs) / changes,
      received: receivedBetween(before.received, after.received, changes),
    },
  };
}

/** `mark`: what its configuration must show by now. */
export async function envoyResult(
  { envoy, settings }: Context,
  cpuMs: number | undefined,
  { envoyRssMb }: Overall,
  mark?: Mark,
): Promise<{ readonly envoy?: EnvoyResult }> {
  if (envoy === undefined || cpuMs === undefined || envoyRssMb === undefined) return {};
  const hasChange = mark === undefined ? {} : { hasChange: await envoy.shows(mark, settings.limitMs) };
  return { envoy: { cpuMs, rssMb: envoyRssMb, ...hasChange } };
}
