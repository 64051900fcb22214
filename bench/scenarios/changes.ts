/** One change after the other, each until all that it concerns have it and the streams are quiet. */
import type { ScenarioResult } from '../report/result.ts';
import { median, receiptsOf, spreadOf } from '../report/statistics.ts';
import type { ChangeScenario } from '../workload/changes.ts';
import type { Change } from '../workload/edit.ts';
import { describeMark } from '../workload/mark.ts';
import { envoyProxy } from '../workload/mesh.ts';
import { type Context, type Cost, overallFields } from './context.ts';
import { costOf, envoyResult } from './measure.ts';

export async function measureChanges(context: Context, scenario: ChangeScenario): Promise<ScenarioResult> {
  const { settings, meter, numbers } = context;
  const first = numbers.changes;
  const count = scenario.once === true ? 1 : settings.changes;
  numbers.changes += count;
  if (scenario.prepare !== undefined) await carryOut(context, scenario.prepare(first, count), `what "${scenario.title}" needs`);
  await meter.begin();
  const measured: { readonly receivedMs: readonly number[]; readonly cost: Cost }[] = [];
  for (let n = first; n < first + count; n++) {
    const change = scenario.change(n, first);
    const { result, cost } = await costOf(context, () => receive(context, change));
    measured.push({ receivedMs: result, cost });
  }
  const overall = await meter.end();
  const last = scenario.change(first + count - 1, first);
  const costs = measured.map(({ cost }) => cost);
  const envoyCpu = costs.flatMap(({ envoyCpuMs }) => envoyCpuMs ?? []);
  const envoy = await envoyResult(
    context,
    envoyCpu.length === 0 ? undefined : median(envoyCpu),
    overall,
    last.concerns(envoyProxy(context.size)) ? last.mark : undefined,
  );
  if (scenario.restore !== undefined) await carryOut(context, scenario.restore(first + count - 1), `the end of "${scenario.title}"`);
  const lasts = measured.flatMap(({ receivedMs }) => spreadOf(receivedMs.filter((at) => !Number.isNaN(at)))?.max ?? []);
  return {
    scenario: scenario.name,
    title: scenario.title,
    mark: describeMark(last.mark),
    changes: count,
    unit: 'change',
    receipts: receiptsOf(measured.flatMap(({ receivedMs }) => receivedMs)),
    ...(lasts.length === 0 ? {} : { lastMs: median(lasts) }),
    serverCpuMs: median(costs.map((cost) => cost.serverCpuMs)),
    clientCpuMs: median(costs.map((cost) => cost.clientCpuMs)),
    received: meanOf(costs),
    ...overallFields(overall),
    ...envoy,
  };
}

/** When each proxy that it concerns received it, in ms from its last write; NaN: it never did. */
export async function receive(context: Context, { edit, mark, concerns }: Change): Promise<number[]> {
  const { fleet, feed, proxies, settings } = context;
  const watch = await fleet.watch(mark, proxies.map(concerns));
  const { firstMs, lastMs } = await feed.apply(edit);
  // A service is a write or two, of which the first is seen; of many objects all are waited for, and so the last one counts.
  const writtenMs = (edit.put ?? []).length + (edit.remove ?? []).length > 1 ? lastMs : firstMs;
  return (await watch.received(settings.limitMs)).map((at) => at - writtenMs);
}

/** Not measured, but without it what follows means nothing. */
async function carryOut(context: Context, change: Change, what: string): Promise<void> {
  const { failures } = receiptsOf(await receive(context, change));
  if (failures > 0)
    throw new Error(`${what} did not come to ${failures} proxies within ${context.settings.limitMs} ms (${describeMark(change.mark)})`);
  await context.fleet.settle(context.settings.quietMs);
}

function meanOf(costs: readonly Cost[]): Cost['received'] {
  const byType: Record<string, { messages: number; bytes: number }> = {};
  for (const { received } of costs)
    for (const [type, { messages, bytes }] of Object.entries(received.byType)) {
      const sum = (byType[type] ??= { messages: 0, bytes: 0 });
      sum.messages += messages / costs.length;
      sum.bytes += bytes / costs.length;
    }
  const sum = (of: (cost: Cost) => number): number => costs.reduce((total, cost) => total + of(cost) / costs.length, 0);
  return { messages: sum(({ received }) => received.messages), bytes: sum(({ received }) => received.bytes), byType };
}
