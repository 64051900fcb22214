/** What proxies do themselves: connect, restart, reconnect, renew their certificates. */
import type { ScenarioResult } from '../report/result.ts';
import { receiptsOf } from '../report/statistics.ts';
import type { Connected } from '../streams/messages.ts';
import { signingRequest } from '../streams/csr.ts';
import { type Context, overallFields } from './context.ts';
import { costOf } from './measure.ts';
import { samplePushes } from './pushes.ts';

/** `connect` begins all streams. Without all of them in sync nothing else can be measured. */
export async function measureConnect(context: Context, connect: () => Promise<Connected>): Promise<ScenarioResult> {
  const result = await measureStorm(context, 'connect', 'all proxies connect at once', connect);
  if (result.receipts.failures > 0)
    throw new Error(
      `${result.receipts.failures} of ${context.proxies.length} proxies were not in sync within ${context.settings.limitMs} ms${refusalsOf(result)}`,
    );
  return result;
}

function refusalsOf({ refused = 0 }: ScenarioResult): string {
  return refused === 0 ? '' : `; the server refused ${refused} streams for the moment`;
}

export async function measureReconnect(context: Context): Promise<ScenarioResult> {
  const { drop, limitMs } = context.settings;
  const who = drop === 1 ? 'all' : `${Math.round(drop * 100)} % of the`;
  return measureStorm(context, 'reconnect', `${who} connections drop, and the proxies are back at once with what they hold`, () =>
    context.fleet.reconnect(drop, limitMs),
  );
}

async function measureStorm(context: Context, scenario: string, title: string, storm: () => Promise<Connected>): Promise<ScenarioResult> {
  await context.meter.begin();
  const { result, cost } = await costOf(context, storm);
  const overall = await context.meter.end();
  const { spread, failures } = receiptsOf(result.tookMs);
  return {
    scenario,
    title,
    mark: 'the last thing that a proxy needs to be ready, from the first connection',
    changes: 1,
    unit: 'change',
    receipts: { ...(spread === undefined ? {} : { spread }), failures },
    refused: result.refused,
    ...(spread === undefined ? {} : { lastMs: spread.max }),
    serverCpuMs: cost.serverCpuMs,
    clientCpuMs: cost.clientCpuMs,
    received: cost.received,
    ...overallFields(overall),
  };
}

export async function measureRollingRestart(context: Context): Promise<ScenarioResult> {
  const { seconds, limitMs } = context.settings;
  return measureEach(context, 'rolling-restart', `all proxies restart one by one within ${seconds} s`, {
    mark: 'the last thing that a proxy needs to be ready, from its own connection',
    run: () => context.fleet.restart(seconds * 1000, limitMs),
  });
}

export async function measureCertificates(context: Context): Promise<ScenarioResult> {
  const { seconds, limitMs } = context.settings;
  const request = signingRequest();
  return measureEach(context, 'certificates', `all proxies renew their certificates within ${seconds} s`, {
    mark: 'the signed certificate, from the connection on which it was asked for',
    run: async () => ({ tookMs: await context.fleet.certify(request, seconds * 1000, limitMs) }),
  });
}

interface Each {
  readonly mark: string;
  /** How long it took for each proxy, and how often one was refused for the moment. */
  readonly run: () => Promise<{ readonly tookMs: readonly number[]; readonly refused?: number }>;
}

async function measureEach(context: Context, scenario: string, title: string, { mark, run }: Each): Promise<ScenarioResult> {
  const { length } = context.proxies;
  await context.meter.begin();
  const { result, cost } = await costOf(
    context,
    async () => {
      const done = run();
      const [pushes, each] = await Promise.all([samplePushes(context, done), done]);
      return { pushes, ...each };
    },
    length,
  );
  const overall = await context.meter.end();
  return {
    scenario,
    title,
    mark,
    changes: length,
    unit: 'proxy',
    receipts: receiptsOf(result.tookMs),
    ...(result.refused === undefined ? {} : { refused: result.refused }),
    serverCpuMs: cost.serverCpuMs,
    clientCpuMs: cost.clientCpuMs,
    received: cost.received,
    ...overallFields(overall),
    pushes: result.pushes,
  };
}
