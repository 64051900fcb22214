/** Responses: how many, how large, how long they take, and who does not want them. */
import type { StreamMeter } from '../../xds/meter.ts';
import type { Part, StreamObserver, StreamStatus, TypeUrl } from '../../xds/source.ts';
import { Convergence } from './convergence.ts';
import type { Instruments } from './instruments.ts';
import { rejectMetrics } from './rejects.ts';
import { ProxyVersions } from './proxy-versions.ts';
import { typeLabel, typeUrlLabel } from './type-label.ts';

export interface PushMetrics {
  readonly streams: StreamObserver;
  readonly meter: StreamMeter;
  /** A request of so many bytes has arrived on a stream. */
  requestReceived(bytes: number): void;
  /** An object of this kind has changed; the change counts as under way until `flushed`. */
  changed(kind: string): void;
  settled(changed: ReadonlyMap<Part, ReadonlySet<TypeUrl>>): void;
  flushed(): void;
  /** When the first change came that is not translated yet. */
  readonly pendingSinceMs: number | undefined;
}

const sizeBuckets = [1, 10_000, 1_000_000, 4_000_000, 10_000_000, 40_000_000];

export function pushMetrics(make: Instruments, options: { readonly nowMs: () => number }): PushMetrics {
  const pushes = make.counter(
    'pilot_xds_pushes',
    'Responses sent, by type; TYPE_senderr: streams ended because nothing was read of a response',
    ['type'],
  );
  const buildSeconds = make.histogram('pilot_xds_push_time', 'Work for one response to one proxy: deciding, encoding, handing over', [
    'type',
  ]);
  const sendSeconds = make.histogram('pilot_xds_send_time', 'From handing a response over until the network has taken it');
  const sizes = make.histogram('pilot_xds_config_size_bytes', 'Size of the responses sent, by type URL', ['type'], sizeBuckets);
  const resources = make.counter('mizzen_xds_resources_sent_total', 'Resources in the responses sent', ['type']);
  const removals = make.counter('mizzen_xds_resources_removed_total', 'Names in the responses sent that the proxy is to remove', ['type']);
  const ackSeconds = make.histogram(
    'mizzen_xds_ack_seconds',
    'From sending a response to its acceptance; a warming cluster delays that of CDS',
    ['type'],
  );
  const refused = make.counter(
    'mizzen_xds_refused_streams_total',
    'Streams that were refused: not proven, or another than it claims to be',
  );
  const stalls = make.counter('pilot_xds_write_timeout', 'Streams ended because nothing was read of them');
  const faults = make.counter('pilot_total_xds_internal_errors', 'Streams ended by a fault of the control plane');
  const expired = make.counter('pilot_xds_expired_nonce', 'Requests that answer a response which is not the last or not known', ['type']);
  const queueSeconds = make.histogram('pilot_proxy_queue_time', 'From the moment that a change is translated until a proxy has its turn');
  const sentSeconds = make.histogram(
    'pilot_proxy_convergence_time',
    'From the first of a group of changes to the first response that carries it to a proxy',
  );
  const acceptedSeconds = make.histogram(
    'mizzen_convergence_seconds',
    'From the first of a group of changes to the acceptance of a response that carries it, by kind of each object that changed in the group',
    ['kind'],
  );
  let largestRequest = 0;
  make.read('pilot_xds_recv_max', 'Bytes of the largest request so far', () => largestRequest);

  const connected = new Map<'delta' | 'sotw', number>([
    ['delta', 0],
    ['sotw', 0],
  ]);
  const versions = new ProxyVersions();
  make.collect('pilot_xds', 'Proxies connected, by their version', ['version'], (gauge) => {
    for (const [version, proxies] of versions.counts) gauge.set({ version }, proxies);
  });
  make.collect('mizzen_xds_streams', 'Streams, by form of ADS', ['protocol'], (gauge) => {
    for (const [protocol, count] of connected) gauge.set({ protocol }, count);
  });
  const count = ({ protocol }: StreamStatus, by: number): void => void connected.set(protocol, (connected.get(protocol) ?? 0) + by);

  const rejects = rejectMetrics(make);
  const convergence = new Convergence(options.nowMs, {
    sent: (queued, seconds) => {
      queueSeconds.observe(queued);
      sentSeconds.observe(seconds);
    },
    accepted: (kinds, seconds) => {
      for (const kind of kinds) acceptedSeconds.observe({ kind }, seconds);
    },
  });

  return {
    streams: {
      connected: (stream) => {
        count(stream, 1);
        versions.connected(stream);
        convergence.connected(stream);
      },
      disconnected: (stream) => {
        count(stream, -1);
        versions.disconnected(stream);
        convergence.disconnected(stream);
        rejects.forget(stream);
      },
      refused: () => refused.inc(),
      sent: (stream, type, bytes, sent, removed) => {
        const label = { type: typeLabel(type) };
        pushes.inc(label);
        sizes.observe({ type: typeUrlLabel(type) }, bytes);
        if (sent > 0) resources.inc(label, sent);
        if (removed > 0) removals.inc(label, removed);
        convergence.sent(stream, type);
      },
      acked: (stream, type, nonce, latencyMs) => {
        ackSeconds.observe({ type: typeLabel(type) }, latencyMs / 1000);
        convergence.acked(stream, type, nonce);
        rejects.clear(stream, type);
      },
      rejected: (stream, type, _names, _message, code) => {
        convergence.rejected(stream, type);
        rejects.rejected(stream, type, code);
      },
    },
    meter: {
      built: (type, ms) => buildSeconds.observe({ type: typeLabel(type) }, ms / 1000),
      taken: (_type, ms) => sendSeconds.observe(ms / 1000),
      stalled: (type) => {
        stalls.inc();
        pushes.inc({ type: `${typeLabel(type)}_senderr` });
      },
      nonceExpired: (type) => expired.inc({ type: typeLabel(type) }),
      faulted: () => faults.inc(),
    },
    requestReceived: (bytes) => {
      if (bytes > largestRequest) largestRequest = bytes;
    },
    changed: (kind) => convergence.changed(kind),
    settled: (changed) => convergence.settled(changed),
    flushed: () => convergence.flushed(),
    get pendingSinceMs() {
      return convergence.pendingSinceMs;
    },
  };
}
