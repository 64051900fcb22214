/**
 * What metrics cost with many streams: one scrape, and what each response adds. Run: `node bench/micro/scrape.ts [streams, default 500]`.
 *
 * "refusing": the last CDS and RDS response of every proxy is rejected, so that each has two series of its own.
 */
import { Exposition } from '../../src/admin/exposition.ts';
import { createMetrics, type Metrics } from '../../src/admin/metrics.ts';
import { fakeStream, synced } from '../../src/admin/testing/stream.ts';
import { clusterType, endpointType, listenerType, routeType, virtualHostType } from '../../src/wire/types.ts';
import type { Part, StreamStatus } from '../../src/xds/source.ts';

const streams = Number(process.argv[2] ?? 500);
const types = [clusterType, endpointType, listenerType, routeType, virtualHostType];
const kinds = ['VirtualService', 'Service', 'EndpointSlice', 'DestinationRule', 'Pod', 'Gateway', 'Sidecar', 'AuthorizationPolicy'];
const shared: Part = { id: 'shared', table: () => undefined };

function connectedMetrics(): { metrics: Metrics; proxies: readonly StreamStatus[] } {
  const metrics = createMetrics({ version: '0', nowMs: () => performance.now(), serviceCount: () => 1, virtualServiceCount: () => 1 });
  metrics.watchProcess();
  const sent = Object.fromEntries(types.map((type) => [type, synced]));
  const proxies = Array.from({ length: streams }, (_, i) => fakeStream(`workload-${i}`, sent, [shared]));
  for (const proxy of proxies) metrics.streams.connected(proxy);
  return { metrics, proxies };
}

/** One change of a kind that every stream is sent and accepts; returns microseconds per response. */
function push(metrics: Metrics, proxies: readonly StreamStatus[], kind: string): number {
  metrics.configEvent(kind, 'update');
  metrics.translating();
  metrics.settled(new Map([[shared, new Set(types)]]));
  const begin = performance.now();
  for (const proxy of proxies) {
    for (const type of types) {
      metrics.meter.built(type, 0.1);
      metrics.streams.sent(proxy, type, 1000, 3, 1);
      metrics.meter.taken(type, 1);
      metrics.streams.acked(proxy, type, synced.sentNonce, 5);
    }
  }
  const us = ((performance.now() - begin) * 1000) / (proxies.length * types.length);
  metrics.flushed();
  return us;
}

async function scrape(what: string, metrics: Metrics): Promise<Record<string, string | number>> {
  const times: number[] = [];
  let plain = 0;
  let zipped = 0;
  for (let i = 0; i < 200; i++) {
    const exposition = new Exposition(metrics.registry);
    const begin = performance.now();
    plain = (await exposition.answer(undefined)).body.length;
    times.push(performance.now() - begin);
    zipped = (await exposition.answer('gzip')).body.length;
  }
  times.sort((a, b) => a - b);
  const at = (share: number): string => (times[Math.floor(times.length * share)] ?? 0).toFixed(2);
  return { what, streams, 'p50 ms': at(0.5), 'p99 ms': at(0.99), KB: Math.round(plain / 1024), 'KB gzip': Math.round(zipped / 1024) };
}

const { metrics, proxies } = connectedMetrics();
let perResponse = 0;
for (let round = 0; round < 5; round++) for (const kind of kinds) perResponse = push(metrics, proxies, kind);
const rows = [await scrape('accepting', metrics)];
for (const proxy of proxies) for (const type of [clusterType, routeType]) metrics.streams.rejected(proxy, type, [], 'no', 13);
rows.push(await scrape('refusing', metrics));
console.table(rows);
console.log(`each response and its acceptance: ${perResponse.toFixed(2)} µs`);
