/** What proxies have refused. */
import type { StreamStatus, TypeUrl } from '../../xds/source.ts';
import { proxyName } from '../streams.ts';
import type { Instruments } from './instruments.ts';
import { typeLabel } from './type-label.ts';

export interface RejectMetrics {
  /** `code`: gRPC's, as the proxy gave it. */
  rejected(stream: StreamStatus, type: TypeUrl, code: number | undefined): void;
  /** The proxy has accepted the type again. */
  clear(stream: StreamStatus, type: TypeUrl): void;
  /** The proxy has gone. */
  forget(stream: StreamStatus): void;
}

/** As Go's `codes.Code` prints them, which is what istiod's label has. */
const codes = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
] as const;

/** The proxy chooses the number, so it is not shown where it means nothing. */
function codeName(code: number | undefined): string {
  return codes[code ?? 2] ?? 'Unknown';
}

/** istiod's gauges for single types, which it keeps for old dashboards. */
const gaugedTypes = ['cds', 'eds', 'lds', 'rds'] as const;

/**
 * The series with a proxy's name go when it accepts the type again and when its last stream ends: as many as there are proxies with a refusal. Why it has
 * refused is in the log and in `mizzen proxy-status`.
 */
export function rejectMetrics(make: Instruments): RejectMetrics {
  const total = make.counter('pilot_total_xds_rejects', 'Responses that proxies have rejected', ['type']);
  const gauges = new Map<string, ReturnType<typeof gaugeOf>>(gaugedTypes.map((type) => [type, gaugeOf(type)]));
  function gaugeOf(type: (typeof gaugedTypes)[number]) {
    const upper = type.toUpperCase();
    return make.gauge(`pilot_xds_${type}_reject`, `1 for each proxy whose last ${upper} response is rejected`, ['node', 'err']);
  }
  /** Of each stream the code, by type. */
  const rejected = new Map<StreamStatus, Map<string, string>>();
  /** Streams that hold one series: a proxy that reconnects has two for a moment. */
  const holders = new Map<string, number>();

  const drop = (stream: StreamStatus, type: string): void => {
    const err = rejected.get(stream)?.get(type);
    if (err === undefined) return;
    rejected.get(stream)?.delete(type);
    const node = proxyName(stream.subscription.node.id);
    const key = `${type} ${err} ${node}`;
    const left = (holders.get(key) ?? 1) - 1;
    if (left > 0) holders.set(key, left);
    else {
      holders.delete(key);
      gauges.get(type)?.remove({ node, err });
    }
  };

  return {
    rejected: (stream, typeUrl, code) => {
      const type = typeLabel(typeUrl);
      total.inc({ type });
      const gauge = gauges.get(type);
      if (gauge === undefined) return;
      drop(stream, type);
      const err = codeName(code);
      const node = proxyName(stream.subscription.node.id);
      gauge.set({ node, err }, 1);
      const key = `${type} ${err} ${node}`;
      holders.set(key, (holders.get(key) ?? 0) + 1);
      const types = rejected.get(stream) ?? new Map<string, string>();
      rejected.set(stream, types.set(type, err));
    },
    clear: (stream, typeUrl) => drop(stream, typeLabel(typeUrl)),
    forget: (stream) => {
      for (const type of [...(rejected.get(stream)?.keys() ?? [])]) drop(stream, type);
      rejected.delete(stream);
    },
  };
}
