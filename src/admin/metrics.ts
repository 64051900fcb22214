/** What the daemon measures, under istiod's names where istiod has one, so that its dashboards and alerts go on working. docs/metrics.md lists all. */
import { Registry } from 'prom-client';
import type { Problem } from '../apis/problem.ts';
import type { StreamMeter } from '../xds/meter.ts';
import type { Part, StreamObserver, TypeUrl } from '../xds/source.ts';
import { caMetrics, type CaMetrics } from './metrics/ca.ts';
import { daemonMetrics, type DaemonFigures } from './metrics/daemon.ts';
import { inputMetrics, type ObjectEvent } from './metrics/input.ts';
import { Instruments } from './metrics/instruments.ts';
import { meshMetrics, type EndpointFigures } from './metrics/mesh.ts';
import { processMetrics } from './metrics/process.ts';
import { pushMetrics } from './metrics/push.ts';
import { qualityMetrics } from './metrics/quality.ts';

export interface MetricsOptions {
  readonly version: string;
  /** Milliseconds of a clock that never goes back. */
  readonly nowMs: () => number;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly wallMs?: () => number;
  /** The following are read when `/metrics` is asked for. */
  readonly serviceCount: () => number;
  readonly virtualServiceCount: () => number;
  readonly endpointFigures?: () => EndpointFigures;
  readonly problems?: () => readonly Problem[];
  /** Of translation, by feature. */
  readonly translationMs?: () => ReadonlyMap<string, number>;
}

export interface Metrics {
  readonly registry: Registry;
  /** For metrics of others. */
  readonly make: Instruments;
  readonly streams: StreamObserver;
  readonly meter: StreamMeter;
  readonly ca: CaMetrics;
  /** A request of so many bytes has arrived on a stream. */
  requestReceived(bytes: number): void;
  /** An object was added, updated or deleted by a source; the change counts as under way until `flushed`. */
  configEvent(kind: string, event: ObjectEvent): void;
  /** Collections of a cluster that cannot be read at present. */
  stale(cluster: string, collections: readonly string[]): void;
  /** The cluster is not read any more. */
  forgetCluster(cluster: string): void;
  /** These parts have changed and are visible to the streams, which have not sent anything of it yet. */
  settled(changed: ReadonlyMap<Part, ReadonlySet<TypeUrl>>): void;
  /** The translation of what has changed begins. */
  translating(): void;
  /** Everything that had changed is translated, whether a part has changed by it or not. */
  flushed(): void;
  /** A fault of ours in a translation: its last result stays in force. */
  translationFailed(): void;
  /** Once the streams are there. */
  watch(figures: DaemonFigures): void;
  /** Once in a process. */
  watchProcess(): void;
}

const noEndpoints: EndpointFigures = { emptyEds: 0, emptyDns: 0, pendingPods: 0, pendingServices: 0, everPending: 0 };

export function createMetrics(options: MetricsOptions): Metrics {
  const { version, nowMs, wallMs = Date.now, serviceCount, virtualServiceCount } = options;
  const registry = new Registry();
  const make = new Instruments(registry);
  const startedAtMs = nowMs();
  make.collect('pilot_info', 'Version of the control plane', ['version'], (gauge) => gauge.set({ version }, 1));
  make.read('istiod_uptime_seconds', 'Seconds since the start', () => (nowMs() - startedAtMs) / 1000);
  meshMetrics(make, {
    services: serviceCount,
    virtualServices: virtualServiceCount,
    endpoints: options.endpointFigures ?? (() => noEndpoints),
  });
  qualityMetrics(make, { problems: options.problems ?? (() => []), nowMs });
  const input = inputMetrics(make, options.translationMs ?? (() => new Map()));
  const push = pushMetrics(make, { nowMs });
  /** From the start of a translation to the moment that its result is visible: the streams begin to send within the flush. */
  let translation: { readonly startMs: number; endMs?: number } | undefined;
  return {
    registry,
    make,
    streams: push.streams,
    meter: push.meter,
    ca: caMetrics(make, wallMs),
    requestReceived: (bytes) => push.requestReceived(bytes),
    configEvent: (kind, event) => {
      input.received(kind, event);
      push.changed(kind);
    },
    stale: (cluster, collections) => input.stale(cluster, collections),
    forgetCluster: (cluster) => input.forget(cluster),
    translating: () => {
      translation = { startMs: nowMs() };
    },
    settled: (changed) => {
      if (translation !== undefined) translation.endMs ??= nowMs();
      input.triggered();
      push.settled(changed);
    },
    flushed: () => {
      const endMs = translation?.endMs ?? nowMs();
      if (translation !== undefined)
        input.translated(endMs - translation.startMs, push.pendingSinceMs === undefined ? undefined : endMs - push.pendingSinceMs);
      translation = undefined;
      push.flushed();
    },
    translationFailed: () => input.translationFailed(),
    watch: (figures) => daemonMetrics(make, figures),
    watchProcess: () => processMetrics(make),
  };
}
