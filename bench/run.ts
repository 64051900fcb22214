/** One run: the chosen scenarios against one server. */
import { RealEnvoy } from './envoy/real.ts';
import type { ScenarioResult, TargetResult } from './report/result.ts';
import type { Context, Numbers, Settings } from './scenarios/context.ts';
import { measureConnect } from './scenarios/proxies.ts';
import { connectName, type Facilities, reconnectName, scenarioNamed } from './scenarios/scenarios.ts';
import { Fleet } from './streams/fleet.ts';
import type { ProxyPlan } from './streams/messages.ts';
import type { Protocol } from './streams/response.ts';
import { Meter } from './target/meter.ts';
import type { Replica, Target } from './target/target.ts';
import type { Feed } from './workload/feed.ts';
import { envoyProxy, type MeshSize, simulatedProxies } from './workload/mesh.ts';
import { nodeOf } from './workload/node.ts';

export interface RunOptions {
  readonly target: Target;
  readonly feed: Feed;
  readonly size: MeshSize;
  readonly scenarios: readonly string[];
  readonly settings: Settings;
  readonly numbers: Numbers;
  readonly proxies: ProxyOptions;
  /** A real Envoy takes part. */
  readonly envoy: boolean;
  readonly progress: (line: string) => void;
}

/** What the simulated proxies are like. */
export interface ProxyOptions {
  readonly protocol: 'delta' | 'sotw' | 'mixed';
  /** Processes that share them. */
  readonly workers: number;
  readonly slowReaders: number;
  readonly slowBytesPerSecond: number;
  /** The share that refuses responses of the type. */
  readonly nack?: { readonly type: string; readonly share: number };
  /** They ask for their certificates over SDS. */
  readonly sds: boolean;
}

export async function run(options: RunOptions): Promise<TargetResult> {
  const { target, feed, size, settings, scenarios, numbers } = options;
  const progress = (line: string): void => options.progress(`${target.name}: ${line}`);
  const token = target.tls === true ? (target.token ?? feed.token) : undefined;
  const before = new Meter(target.replicas, undefined);
  const atStart = { cpuMs: before.cpuMs(), peakRssMb: before.highestRssMb };
  await using fleet = new Fleet(options.proxies.workers);
  await using stack = new AsyncDisposableStack();
  const { protocol } = options.proxies;
  const envoyProtocol: Protocol = protocol === 'sotw' ? 'sotw' : 'delta';
  if (options.envoy) progress('a real Envoy connects');
  const envoy = options.envoy
    ? stack.use(
        await RealEnvoy.start({
          target,
          ...(token === undefined ? {} : { token }),
          workload: envoyProxy(size),
          protocol: envoyProtocol,
          limitMs: settings.limitMs,
        }),
      )
    : undefined;
  const meter = new Meter(target.replicas, envoy);
  const proxies = simulatedProxies(size);
  const context: Context = { settings, feed, fleet, meter, envoy, size, proxies, numbers, progress };
  const plans = await proxyPlans(options, target.replicas, token);
  progress(`${plans.length} proxies connect`);
  const { ca } = target;
  const keepVersions = scenarios.includes(reconnectName);
  const results: ScenarioResult[] = [
    await measureConnect(context, () =>
      fleet.connect({ ...(ca === undefined ? {} : { ca }), proxies: plans, keepVersions, limitMs: settings.limitMs }),
    ),
  ];
  const skipped: { scenario: string; reason: string }[] = [];
  const facilities: Facilities = { feed: feed.kind, tls: token !== undefined, size };
  for (const name of scenarios.filter((scenario) => scenario !== connectName)) {
    const scenario = scenarioNamed(name);
    const reason = scenario.obstacle?.(facilities);
    if (reason !== undefined) {
      progress(`${name} is left out: ${reason}`);
      skipped.push({ scenario: name, reason });
      continue;
    }
    progress(name);
    results.push(await scenario.measure(context));
  }
  await fleet.close();
  return {
    target: target.name,
    ...(target.startMs === undefined ? {} : { start: { ms: target.startMs, cpuMs: atStart.cpuMs, peakRssMb: atStart.peakRssMb } }),
    ...(envoy === undefined ? {} : { envoyStart: envoy.start }),
    scenarios: results,
    skipped,
    peakRssMb: meter.highestRssMb,
  };
}

/** What Istio's listeners and clusters name: the workload's own certificate, and the roots. */
const secretNames: readonly string[] = ['default', 'ROOTCA'];

/** The first proxies refuse, the last ones read slowly: changes of one namespace concern the first. */
export async function proxyPlans(
  { size, proxies: { protocol, slowReaders, slowBytesPerSecond, nack, sds } }: Pick<RunOptions, 'size' | 'proxies'>,
  replicas: readonly Pick<Replica, 'address'>[],
  token?: Target['token'],
): Promise<ProxyPlan[]> {
  const all = simulatedProxies(size);
  const refusing = nack === undefined ? 0 : Math.round(nack.share * all.length);
  const tokens = token === undefined ? [] : await inTurn(all, token);
  return all.map((proxy, p) => {
    const bearer = tokens[p];
    return {
      node: nodeOf(proxy),
      address: replicas[p % replicas.length]?.address ?? '',
      protocol: protocol === 'mixed' ? (p % 2 === 0 ? 'delta' : 'sotw') : protocol,
      ...(bearer === undefined ? {} : { token: bearer }),
      ...(sds ? { secrets: secretNames } : {}),
      ...(p >= all.length - slowReaders ? { bytesPerSecond: slowBytesPerSecond } : {}),
      ...(nack !== undefined && p < refusing ? { refusedType: nack.type } : {}),
    };
  });
}

/** Some at once: an API server limits how much it is asked. */
async function inTurn<T, R>(items: readonly T[], get: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const atOnce = 16;
  for (let i = 0; i < items.length; i += atOnce) results.push(...(await Promise.all(items.slice(i, i + atOnce).map(get))));
  return results;
}
