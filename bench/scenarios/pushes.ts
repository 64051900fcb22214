/** An endpoint change a second while something else happens: what that does to pushes. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Receipts } from '../report/result.ts';
import { receiptsOf } from '../report/statistics.ts';
import { nowMs } from '../streams/clock.ts';
import * as types from '../streams/types.ts';
import { movedEndpoint, seenFrom } from '../workload/changes.ts';
import { namespaceOf } from '../workload/mesh.ts';
import { receive } from './changes.ts';
import type { Context } from './context.ts';

/** Of this service the endpoint changes; churn leaves it alone. */
export const sampledService = 0;
const intervalMs = 1000;

/** Until `done` is settled, and once in any case. */
export async function samplePushes(context: Context, done: Promise<unknown>): Promise<Receipts> {
  const { size, numbers } = context;
  const state = { over: false };
  const end = done.then(
    () => (state.over = true),
    () => (state.over = true),
  );
  const receivedMs: number[] = [];
  do {
    const beganMs = nowMs();
    const { item, address } = movedEndpoint(size, sampledService, numbers.samples++, 202);
    const change = {
      edit: { put: [item] },
      mark: { kind: 'text' as const, types: [types.endpoints], text: address },
      concerns: seenFrom(size, namespaceOf(size, sampledService)),
    };
    receivedMs.push(...(await receive(context, change)));
    await Promise.race([end, delay(Math.max(0, beganMs + intervalMs - nowMs()))]);
  } while (!state.over);
  return receiptsOf(receivedMs);
}
