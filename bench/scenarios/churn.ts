/** Pods come and go all the time; an endpoint of a service that they do not touch shows how pushes fare. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ScenarioResult } from '../report/result.ts';
import { nowMs } from '../streams/clock.ts';
import { type Context, overallFields } from './context.ts';
import { costOf, envoyResult } from './measure.ts';
import { samplePushes, sampledService } from './pushes.ts';

export async function measureChurn(context: Context): Promise<ScenarioResult> {
  const { seconds, podsPerSecond } = context.settings;
  const pods = seconds * podsPerSecond;
  await context.meter.begin();
  const { result, cost } = await costOf(
    context,
    async () => {
      const done = replacePods(context, pods);
      const [pushes] = await Promise.all([samplePushes(context, done), done]);
      return pushes;
    },
    pods,
  );
  const overall = await context.meter.end();
  return {
    scenario: 'endpoint-churn',
    title: `${podsPerSecond} pods a second are replaced for ${seconds} s`,
    mark: 'an endpoint that changes once a second meanwhile, by its address',
    changes: pods,
    unit: 'pod',
    receipts: result,
    serverCpuMs: cost.serverCpuMs,
    clientCpuMs: cost.clientCpuMs,
    received: cost.received,
    ...overallFields(overall),
    ...(await envoyResult(context, cost.envoyCpuMs, overall)),
  };
}

/** At even intervals, of one service after the other. A slow feed does not delay the next one. */
async function replacePods({ feed, size, numbers, settings }: Context, pods: number): Promise<void> {
  const beganMs = nowMs();
  const under: Promise<void>[] = [];
  for (let i = 0; i < pods; i++) {
    const early = beganMs + (i * 1000) / settings.podsPerSecond - nowMs();
    if (early > 0) await delay(early);
    const service = sampledService + 1 + (i % (size.services - 1));
    const replaced = feed.replacePod(size, service, numbers.pods++);
    // Awaited with the others; a failure before that is not unhandled.
    replaced.catch(() => undefined);
    under.push(replaced);
  }
  await Promise.all(under);
}
