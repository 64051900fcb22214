/** The sample mesh for real: a control plane, an Envoy beside each workload, the services themselves and requests through the gateway. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { loadDirectory } from '../../sources/directory/load.ts';
import { envoyBinary } from '../download/envoy.ts';
import { CliError, exitCodes } from '../exit.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { OwnProcess } from './process.ts';
import { prepareProxy, renewToken } from './proxy.ts';
import type { Screen } from './screen.ts';
import { startShopService } from './shop.ts';
import { allInSync, type DemoState } from './state.ts';
import { topologyOf, type DemoWorkload, type Topology } from './topology.ts';
import { Traffic } from './traffic.ts';

export interface DemoOptions {
  readonly configDir: string;
  /** As it is shown. */
  readonly canaryFile: string;
  readonly requestsPerSecond: number;
  readonly refreshMs: number;
}

/** Requests wait for the proxies; where one never gets in sync, what they answer tells more than silence. */
const syncPatienceMs = 15_000;

/** Tokens live for 12 h; a demo may run longer. */
const tokenRenewalMs = 3600_000;

/** Runs until the signal, or until one of its processes ends, which is an error. Leaves no process and no file behind. */
export async function runDemo(options: DemoOptions, screen: Screen, signal: AbortSignal): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'mizzen-demo-'));
  const stack = new AsyncDisposableStack();
  const removeDir = (): void => rmSync(dir, { recursive: true, force: true });
  // Also where the process ends at once.
  process.on('exit', removeDir);
  stack.defer(() => {
    removeDir();
    process.off('exit', removeDir);
  });
  const died = new AbortController();
  const stop = AbortSignal.any([signal, died.signal]);
  try {
    await run(options, { dir, stack, screen, stop, onDeath: (fault) => died.abort(fault) });
  } catch (error) {
    // Whatever was under way when it was told to stop ends with an error of its own, which is none.
    if (!stop.aborted) throw error;
  } finally {
    screen.close();
    await stack.disposeAsync();
  }
  if (died.signal.aborted && !signal.aborted) throw died.signal.reason;
}

interface Surroundings {
  readonly dir: string;
  /** What is pushed here is stopped at the end, the last first. */
  readonly stack: AsyncDisposableStack;
  readonly screen: Screen;
  readonly stop: AbortSignal;
  readonly onDeath: (fault: Error) => void;
}

async function run(options: DemoOptions, around: Surroundings): Promise<void> {
  const { stack, screen, stop } = around;
  const envoy = await envoyBinary();
  const topology = topologyOf((await loadDirectory(options.configDir)).objects);
  const logDir = join(around.dir, 'logs');
  const stateDir = join(around.dir, 'state');
  mkdirSync(logDir);
  await startServices(topology, stack);
  screen.say('starting the control plane');
  const log = join(logDir, 'discovery.log');
  const controlPlane = await startControlPlane({ configDir: options.configDir, stateDir, log, onDeath: around.onDeath }, stop);
  stack.defer(() => controlPlane.process.stop());
  screen.say(`starting ${topology.workloads.length} Envoys`);
  await startProxies(envoy, topology, { port: controlPlane.secureGrpcPort, stateDir, logDir }, around);

  const gatewayUrl = `http://${topology.gateway.address}:${topology.gateway.port}/page`;
  screen.say(`gateway: ${gatewayUrl}`);
  screen.say(`debug: ${controlPlane.debugUrl}`);
  screen.say(`shift the canary: edit the weights in ${options.canaryFile}`);
  const traffic = new Traffic();
  const synced = Promise.withResolvers<void>();
  const patience = delay(syncPatienceMs, undefined, { signal: stop }).catch(() => {
    // Stopped before: there will be no requests.
  });
  await Promise.all([
    Promise.race([synced.promise, patience]).then(() => traffic.run(gatewayUrl, options.requestsPerSecond, stop)),
    show({ ...options, gatewayUrl, logDir, onSync: synced.resolve }, topology, controlPlane, traffic, around),
  ]);
}

async function startServices(topology: Topology, stack: AsyncDisposableStack): Promise<void> {
  for (const { service } of topology.workloads) {
    if (service === undefined) continue;
    const server = await startShopService(service).catch((cause: unknown) => {
      const why = `${service.role} ${service.version} cannot listen: ${(cause as Error).message}`;
      throw new CliError(exitCodes.problem, `${why}; is another demo running?`, { cause });
    });
    stack.defer(() => closeServer(server));
  }
}

async function closeServer(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}

async function startProxies(
  envoy: string,
  topology: Topology,
  controlPlane: { readonly port: number; readonly stateDir: string; readonly logDir: string },
  { dir, stack, onDeath }: Surroundings,
): Promise<void> {
  const folderOf = (workload: DemoWorkload): string => join(dir, 'proxies', workload.name);
  const processes: OwnProcess[] = [];
  // All at once: each needs a moment to close its listeners.
  stack.defer(async () => {
    await Promise.all(processes.map((p) => p.stop()));
  });
  for (const workload of topology.workloads) {
    const command = await prepareProxy(envoy, workload, { address: '127.0.0.1', ...controlPlane }, folderOf(workload));
    const name = `Envoy of ${workload.name}`;
    processes.push(new OwnProcess(name, command, join(controlPlane.logDir, `${workload.name}.log`), onDeath));
  }
  const renewal = setInterval(() => {
    for (const workload of topology.workloads) {
      renewToken(workload, controlPlane.stateDir, folderOf(workload)).catch((cause: unknown) =>
        onDeath(new Error(`the token of ${workload.name} could not be renewed`, { cause })),
      );
    }
  }, tokenRenewalMs);
  stack.defer(() => clearInterval(renewal));
}

async function show(
  facts: Pick<DemoState, 'gatewayUrl' | 'logDir' | 'canaryFile'> & { readonly refreshMs: number; readonly onSync: () => void },
  topology: Topology,
  controlPlane: ControlPlane,
  traffic: Traffic,
  { screen, stop }: Surroundings,
): Promise<void> {
  const startedAt = performance.now();
  const expected = topology.workloads.map((w) => `${w.name}.${w.namespace}`);
  while (!stop.aborted) {
    const [proxies, problems] = await Promise.all([controlPlane.proxies(), controlPlane.problems()]);
    if (allInSync({ expected, proxies })) facts.onSync();
    screen.show({
      gatewayUrl: facts.gatewayUrl,
      debugUrl: controlPlane.debugUrl,
      canaryFile: facts.canaryFile,
      logDir: facts.logDir,
      expected,
      proxies,
      problems,
      traffic: traffic.summary(),
      uptimeSeconds: (performance.now() - startedAt) / 1000,
    });
    await delay(facts.refreshMs, undefined, { signal: stop }).catch(() => {
      // Stopped: the loop ends by itself.
    });
  }
}
