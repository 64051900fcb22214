/** How fast this machine is at this moment: figures of CPU time are compared between runs relative to it. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { median, receiptsOf, type Spread } from '../report/statistics.ts';
import { nowMs } from '../streams/clock.ts';
import { Fleet } from '../streams/fleet.ts';
import type { ProxyPlan } from '../streams/messages.ts';
import * as types from '../streams/types.ts';
import { usageOf } from '../target/usage.ts';

export interface Calibration {
  /** Medians, of sending 500 bytes to all proxies until all have acknowledged. */
  readonly serverCpuMs: number;
  readonly clientCpuMs: number;
  readonly receiptMs: Spread;
}

export interface CalibrationOptions {
  readonly proxies: readonly Pick<ProxyPlan, 'node'>[];
  readonly workers: number;
  readonly limitMs: number;
}

/** The first ones are slower: code is not compiled yet. */
const warmUps = 5;
const rounds = 15;
const quietMs = 100;

export async function calibrate({ proxies, workers, limitMs }: CalibrationOptions): Promise<Calibration> {
  const server = fork(join(import.meta.dirname, 'server.ts'));
  try {
    const [{ port }] = (await once(server, 'message', { signal: AbortSignal.timeout(limitMs) })) as [{ port: number }];
    await using fleet = new Fleet(workers);
    // Always delta in plaintext: it is a measure of the machine, not of the run.
    const plans = proxies.map(({ node }) => ({ node, address: `127.0.0.1:${port}`, protocol: 'delta' as const }));
    await fleet.connect({ proxies: plans, keepVersions: false, limitMs });
    const all: Round[] = [];
    for (let i = 0; i < warmUps + rounds; i++) all.push(await round(fleet, server, `${i}`.padStart(3, '0'), plans.length, limitMs));
    await fleet.close();
    const kept = all.slice(warmUps);
    const { spread, failures } = receiptsOf(kept.flatMap((r) => r.receivedMs));
    if (spread === undefined || failures > 0) throw new Error(`the calibration lost ${failures} messages within ${limitMs} ms`);
    return {
      serverCpuMs: median(kept.map((r) => r.serverCpuMs)),
      clientCpuMs: median(kept.map((r) => r.clientCpuMs)),
      receiptMs: spread,
    };
  } finally {
    const ended = once(server, 'exit');
    server.disconnect();
    await ended;
  }
}

interface Round {
  readonly serverCpuMs: number;
  readonly clientCpuMs: number;
  readonly receivedMs: readonly number[];
}

async function round(fleet: Fleet, server: ChildProcess, number: string, proxies: number, limitMs: number): Promise<Round> {
  const text = `calibration-${number}`;
  const before = await fleet.settle(quietMs);
  const watch = await fleet.watch(
    { kind: 'text', types: [types.endpoints], text },
    Array.from({ length: proxies }, () => true),
  );
  const { pid } = server;
  if (pid === undefined) throw new Error('the server of the calibration has no process');
  const cpuMs = usageOf(pid).cpuMs;
  const beganMs = nowMs();
  server.send({ text });
  const receivedMs = (await watch.received(limitMs)).map((at) => at - beganMs);
  const after = await fleet.settle(quietMs);
  return { serverCpuMs: usageOf(pid).cpuMs - cpuMs, clientCpuMs: after.cpuMs - before.cpuMs, receivedMs };
}
