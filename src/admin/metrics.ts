/** What the daemon measures, under istiod's names where istiod has one, so that its dashboards and alerts go on working. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { shortName } from '../wire/types.ts';
import type { Part, StreamObserver, StreamStatus, TypeUrl } from '../xds/source.ts';
import { caMetrics, type CaMetrics } from './ca-metrics.ts';

export interface MetricsOptions {
  readonly version: string;
  readonly nowMs: () => number;
  /** Read when `/metrics` is asked for. */
  readonly serviceCount: () => number;
  readonly virtualServiceCount: () => number;
}

export interface Metrics {
  readonly registry: Registry;
  readonly streams: StreamObserver;
  readonly ca: CaMetrics;
  /** An object was added, updated or deleted by a source; the change counts as under way until `flushed`. */
  configEvent(kind: string, event: 'add' | 'update' | 'delete'): void;
  /** These parts have changed and are visible to the streams, which have not sent anything of it yet. */
  settled(changed: Pick<ReadonlyMap<Part, unknown>, 'has'>): void;
  /** Everything that had changed is translated, whether a part has changed by it or not. */
  flushed(): void;
}

const rejectTypes = ['cds', 'eds', 'lds', 'rds'] as const;
const secondsBuckets = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3, 5, 10, 20, 30];

export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const startedAtMs = options.nowMs();
  const pushes = new Counter({ name: 'pilot_xds_pushes', help: 'Responses sent, by type', labelNames: ['type'], registers });
  const sizes = new Histogram({
    name: 'pilot_xds_config_size_bytes',
    help: 'Size of the responses sent, by type',
    labelNames: ['type'],
    buckets: [1, 10_000, 1_000_000, 4_000_000, 10_000_000, 40_000_000],
    registers,
  });
  const convergence = new Histogram({
    name: 'pilot_proxy_convergence_time',
    help: 'Seconds from the first of a group of changes to a response that carries it to a proxy',
    buckets: secondsBuckets,
    registers,
  });
  const ackSeconds = new Histogram({
    name: 'mizzen_xds_ack_seconds',
    help: 'Seconds from sending a response to its acceptance, by type; a warming cluster delays that of CDS',
    labelNames: ['type'],
    buckets: secondsBuckets,
    registers,
  });
  const refusedStreams = new Counter({ name: 'mizzen_xds_refused_streams', help: 'Proxies that were refused a stream', registers });
  const triggers = new Counter({
    name: 'pilot_push_triggers',
    help: 'Changes that became visible to the streams',
    labelNames: ['type'],
    registers,
  });
  const events = new Counter({
    name: 'pilot_k8s_cfg_events',
    help: 'Objects that sources have added, updated or deleted',
    labelNames: ['type', 'event'],
    registers,
  });
  const totalRejects = new Counter({
    name: 'pilot_total_xds_rejects',
    help: 'Responses that proxies have rejected',
    labelNames: ['type'],
    registers,
  });
  const rejects = new Map(
    rejectTypes.map((type) => [
      type.toUpperCase(),
      new Gauge({
        name: `pilot_xds_${type}_reject`,
        help: `1 for each proxy whose last ${type.toUpperCase()} response is rejected`,
        labelNames: ['node', 'err'],
        registers,
      }),
    ]),
  );

  const connected = new Set<StreamStatus>();
  gauge('pilot_xds', 'Proxies connected, by version of the control plane', ['version'], (g) =>
    g.set({ version: options.version }, connected.size),
  );
  gauge('pilot_info', 'Version of the control plane', ['version'], (g) => g.set({ version: options.version }, 1));
  gauge('istiod_uptime_seconds', 'Seconds since the start', [], (g) => g.set((options.nowMs() - startedAtMs) / 1000));
  gauge('pilot_services', 'Services in the mesh', [], (g) => g.set(options.serviceCount()));
  gauge('pilot_virt_services', 'VirtualServices in the mesh', [], (g) => g.set(options.virtualServiceCount()));

  function gauge(name: string, help: string, labelNames: string[], collect: (g: Gauge) => void): void {
    const g: Gauge = new Gauge({ name, help, labelNames, registers, collect: () => collect(g) });
  }

  /** Of the changes that are not translated yet, and of those that became visible last. */
  let pendingSinceMs: number | undefined;
  let visibleSinceMs = 0;
  /** Streams that have not had their part of the last visible change. */
  const due = new Set<StreamStatus>();

  /** Label values of a stream's reject gauges, to take them away again. */
  const rejected = new Map<StreamStatus, Map<string, string>>();
  const clearReject = (stream: StreamStatus, type: string): void => {
    const err = rejected.get(stream)?.get(type);
    if (err === undefined) return;
    rejects.get(type)?.remove({ node: stream.subscription.node.id, err });
    rejected.get(stream)?.delete(type);
  };

  const streams: StreamObserver = {
    connected: (stream) => {
      connected.add(stream);
    },
    disconnected: (stream) => {
      connected.delete(stream);
      due.delete(stream);
      for (const type of rejected.get(stream)?.keys() ?? []) clearReject(stream, type);
      rejected.delete(stream);
    },
    refused: () => refusedStreams.inc(),
    sent: (stream, typeUrl: TypeUrl, bytes) => {
      const type = shortName(typeUrl);
      pushes.inc({ type: type.toLowerCase() });
      sizes.observe({ type: typeUrl }, bytes);
      if (due.delete(stream)) convergence.observe((options.nowMs() - visibleSinceMs) / 1000);
    },
    acked: (stream, typeUrl, _nonce, latencyMs) => {
      const type = shortName(typeUrl);
      ackSeconds.observe({ type: type.toLowerCase() }, latencyMs / 1000);
      clearReject(stream, type);
    },
    rejected: (stream, typeUrl, _names, message) => {
      const type = shortName(typeUrl);
      totalRejects.inc({ type: typeUrl });
      const g = rejects.get(type);
      if (g === undefined) return;
      clearReject(stream, type);
      const err = firstLine(message);
      g.set({ node: stream.subscription.node.id, err }, 1);
      const ofStream = rejected.get(stream) ?? new Map<string, string>();
      rejected.set(stream, ofStream.set(type, err));
    },
  };

  return {
    registry,
    streams,
    ca: caMetrics(registry),
    configEvent: (kind, event) => {
      pendingSinceMs ??= options.nowMs();
      events.inc({ type: kind, event });
    },
    settled: (changed) => {
      if (pendingSinceMs === undefined) return;
      visibleSinceMs = pendingSinceMs;
      due.clear();
      for (const stream of connected) if (stream.subscription.parts.some((part) => changed.has(part))) due.add(stream);
      triggers.inc({ type: 'config' });
    },
    flushed: () => {
      pendingSinceMs = undefined;
    },
  };
}

/** A label value must stay short, and Envoy quotes whole messages. */
function firstLine(message: string): string {
  return (message.split('\n', 1)[0] ?? '').slice(0, 120);
}
