/** Listener filters that look at the first bytes, on for those ports only whose filter chains ask what they find. */
import { create } from '@bufbuild/protobuf';
import {
  type FilterChain,
  type ListenerFilter,
  type ListenerFilterChainMatchPredicate,
  ListenerFilterChainMatchPredicateSchema,
  ListenerFilterSchema,
} from '#gen/envoy/config/listener/v3/listener_components_pb.js';
import { HttpInspectorSchema } from '#gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.js';
import { TlsInspectorSchema } from '#gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js';
import { packAny } from '../../wire/encode.ts';

/** Stands for every port that no chain names. */
const otherPorts = 0;

/**
 * TLS inspector, then HTTP inspector, which leaves alone what the first has called TLS. A port that needs neither is not waited at, which is what
 * lets a server speak first.
 */
export function inspectors(chains: readonly FilterChain[]): ListenerFilter[] {
  const tls = new Map<number, boolean>();
  const http = new Map<number, boolean>();
  for (const { filterChainMatch: match } of chains) {
    const port = match?.destinationPort ?? otherPorts;
    tls.set(port, tls.get(port) === true || match?.transportProtocol === 'tls');
    http.set(port, http.get(port) === true || (match?.applicationProtocols ?? []).some((p) => p === 'http/1.1' || p === 'h2c'));
  }
  return [
    ...inspector(tls, {
      name: 'envoy.filters.listener.tls_inspector',
      typedConfig: packAny(TlsInspectorSchema, create(TlsInspectorSchema)),
    }),
    ...inspector(http, {
      name: 'envoy.filters.listener.http_inspector',
      typedConfig: packAny(HttpInspectorSchema, create(HttpInspectorSchema)),
    }),
  ];
}

function inspector(
  needed: ReadonlyMap<number, boolean>,
  { name, typedConfig }: { name: string; typedConfig: ReturnType<typeof packAny> },
): ListenerFilter[] {
  const ports = (wanted: boolean): number[] =>
    [...needed]
      .filter(([port, need]) => need === wanted && port !== otherPorts)
      .map(([port]) => port)
      .sort((a, b) => a - b);
  const config = { name, configType: { case: 'typedConfig' as const, value: typedConfig } };
  const byDefault = needed.get(otherPorts) ?? [...needed.values()].every((need) => need);
  if (byDefault) {
    const off = ports(false);
    return [create(ListenerFilterSchema, off.length === 0 ? config : { ...config, filterDisabled: anyPort(off) })];
  }
  const on = ports(true);
  if (on.length === 0) return [];
  const elsewhere = create(ListenerFilterChainMatchPredicateSchema, { rule: { case: 'notMatch', value: anyPort(on) } });
  return [create(ListenerFilterSchema, { ...config, filterDisabled: elsewhere })];
}

function anyPort(ports: readonly number[]): ListenerFilterChainMatchPredicate {
  const rules = ports.map((port) =>
    create(ListenerFilterChainMatchPredicateSchema, { rule: { case: 'destinationPortRange', value: { start: port, end: port + 1 } } }),
  );
  const [only] = rules;
  if (rules.length === 1 && only !== undefined) return only;
  return create(ListenerFilterChainMatchPredicateSchema, { rule: { case: 'orMatch', value: { rules } } });
}
