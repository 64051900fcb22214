/** The control plane of the demo: `mizzen discovery` as a child, asked over its own debug API. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Problem } from '../../apis/problem.ts';
import type { SyncStatus } from '../../admin/syncz.ts';
import { getJson } from '../admin-client.ts';
import { CliError, exitCodes } from '../exit.ts';
import { freePorts } from './free-ports.ts';
import { OwnProcess } from './process.ts';

const host = '127.0.0.1';
const startLimitMs = 60_000;

export interface ControlPlane {
  readonly process: OwnProcess;
  /** xDS over TLS. */
  readonly secureGrpcPort: number;
  readonly debugUrl: string;
  proxies(): Promise<readonly SyncStatus[]>;
  problems(): Promise<readonly Problem[]>;
}

export interface ControlPlaneOptions {
  readonly configDir: string;
  readonly stateDir: string;
  readonly log: string;
  readonly onDeath: (fault: Error) => void;
}

/** Resolves when everything is translated once. */
export async function startControlPlane(options: ControlPlaneOptions, signal: AbortSignal): Promise<ControlPlane> {
  const [grpc = 0, secureGrpc = 0, monitoring = 0, http = 0] = await freePorts(4, host);
  const program = process.argv[1];
  if (program === undefined) throw new Error('the demo is started as a command of the program mizzen');
  const folders = ['--config', options.configDir, '--state', options.stateDir];
  const xds = ['--grpc-address', `${host}:${grpc}`, '--secure-grpc-address', `${host}:${secureGrpc}`];
  const web = ['--monitoring-address', `${host}:${monitoring}`, '--http-address', `${host}:${http}`];
  const command = [process.execPath, program, 'discovery', ...folders, ...xds, ...web] as const;
  const child = new OwnProcess('mizzen discovery', command, options.log, options.onDeath);
  try {
    await ready(`http://${host}:${http}/ready`, AbortSignal.any([signal, AbortSignal.timeout(startLimitMs)]));
  } catch (cause) {
    await child.stop();
    throw new CliError(exitCodes.problem, `mizzen discovery is not ready; the end of its log:\n${child.tail()}`, { cause });
  }
  return {
    process: child,
    secureGrpcPort: secureGrpc,
    debugUrl: `http://${host}:${monitoring}/debug`,
    proxies: async () => (await getJson({ host, port: monitoring }, '/debug/syncz')) as readonly SyncStatus[],
    problems: async () => (await getJson({ host, port: monitoring }, '/debug/problems')) as readonly Problem[],
  };
}

async function ready(url: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const answer = await fetch(url, { signal }).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.status === 200) return;
    await delay(50, undefined, { signal });
  }
}
