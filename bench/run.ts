/** One run: all scenarios against one server. */
import { spreadOf, median } from './report/statistics.ts';
import { receivedBetween, type ChangeResult, type ConnectResult, type TargetResult } from './report/report.ts';
import { Fleet } from './streams/fleet.ts';
import type { Connected, ProxyPlan } from './streams/messages.ts';
import type { Target } from './target/target.ts';
import { usageOf } from './target/usage.ts';
import type { Scenario } from './workload/changes.ts';
import type { ManifestFolder } from './workload/folder.ts';
import type { SimulatedProxy } from './workload/mesh.ts';
import { nodeOf } from './workload/node.ts';

export interface RunOptions {
  readonly target: Target;
  readonly folder: ManifestFolder;
  readonly proxies: readonly SimulatedProxy[];
  readonly scenarios: readonly Scenario[];
  /** Changes in each scenario; the first number of a change, so that several servers on one folder see different ones. */
  readonly changes: number;
  readonly firstChange: number;
  /** Processes of simulated proxies. */
  readonly processes: number;
  readonly slowReaders: number;
  readonly slowBytesPerSecond: number;
  readonly reconnect: boolean;
  readonly limitMs: number;
  readonly progress: (line: string) => void;
}

/** Nothing comes for so long: the server has said everything. Longer than any server's pacing after a single change. */
const quietMs = 400;

export async function run(options: RunOptions): Promise<TargetResult> {
  const { target, scenarios, progress, limitMs } = options;
  const atStart = usageOf(target.pid);
  const plans = await proxyPlans(options);
  await using fleet = new Fleet(options.processes);
  progress(`${target.name}: ${plans.length} proxies connect`);
  const { address, ca } = target;
  const connect = await measureConnect(target, fleet, () =>
    fleet.connect({ address, ...(ca === undefined ? {} : { ca }), proxies: plans, keepVersions: options.reconnect, limitMs }),
  );
  const connectedPeakRssMb = usageOf(target.pid).peakRssMb;
  const changes: ChangeResult[] = [];
  for (const scenario of scenarios) {
    progress(`${target.name}: ${scenario.title}`);
    changes.push(await measureChanges(options, fleet, scenario));
  }
  let reconnect: ConnectResult | undefined;
  if (options.reconnect) {
    progress(`${target.name}: all reconnect with the versions that they hold`);
    reconnect = await measureConnect(target, fleet, () => fleet.reconnect(limitMs));
  }
  await fleet.close();
  return {
    target: target.name,
    ...(target.startMs === undefined ? {} : { start: { ms: target.startMs, cpuMs: atStart.cpuMs, peakRssMb: atStart.peakRssMb } }),
    connect,
    ...(reconnect === undefined ? {} : { reconnect }),
    changes,
    connectedPeakRssMb,
    peakRssMb: usageOf(target.pid).peakRssMb,
  };
}

async function proxyPlans({ target, proxies, slowReaders, slowBytesPerSecond }: RunOptions): Promise<ProxyPlan[]> {
  return Promise.all(
    proxies.map(async (proxy, p) => ({
      node: nodeOf(proxy),
      ...(target.token === undefined ? {} : { token: await target.token(proxy.namespace, proxy.serviceAccount) }),
      ...(p < slowReaders ? { bytesPerSecond: slowBytesPerSecond } : {}),
    })),
  );
}

async function measureConnect(target: Target, fleet: Fleet, connect: () => Promise<Connected>): Promise<ConnectResult> {
  const before = usageOf(target.pid);
  const clientBefore = await fleet.settle(0);
  const { beganMs, syncedMs } = await connect();
  const after = await fleet.settle(quietMs);
  const perProxy = spreadOf(syncedMs.map((at) => at - beganMs));
  return {
    ms: perProxy.max,
    perProxy,
    serverCpuMs: usageOf(target.pid).cpuMs - before.cpuMs,
    clientCpuMs: after.cpuMs - clientBefore.cpuMs,
    received: receivedBetween(clientBefore.received, after.received),
  };
}

async function measureChanges(options: RunOptions, fleet: Fleet, { name, title, change }: Scenario): Promise<ChangeResult> {
  const { target, folder, changes, firstChange, limitMs } = options;
  const receipts: number[] = [];
  const each: { readonly last: number; readonly server: number; readonly client: number }[] = [];
  let traffic = receivedBetween(new Map(), new Map());
  for (let n = firstChange; n < firstChange + changes; n++) {
    const { file, manifests, types, marker } = change(n);
    const before = await fleet.settle(quietMs);
    await fleet.watch(types, marker);
    const server = usageOf(target.pid).cpuMs;
    const changedMs = folder.replace(file, manifests);
    const received = (await fleet.received(limitMs)).map((at) => at - changedMs);
    const after = await fleet.settle(quietMs);
    receipts.push(...received);
    traffic = receivedBetween(before.received, after.received);
    each.push({
      last: spreadOf(received).max,
      server: usageOf(target.pid).cpuMs - server,
      client: after.cpuMs - before.cpuMs,
    });
  }
  return {
    scenario: name,
    title,
    changes,
    receiptMs: spreadOf(receipts),
    lastReceiptMs: median(each.map(({ last }) => last)),
    serverCpuMs: median(each.map(({ server }) => server)),
    clientCpuMs: median(each.map(({ client }) => client)),
    received: traffic,
  };
}
