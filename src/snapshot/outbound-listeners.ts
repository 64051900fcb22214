/** Listeners, shared tables and special clusters of the outbound side, each from what the model says of it alone. */
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.js';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.js';
import type { MeshConfig } from '../apis/mesh-config.ts';
import { keyOf, type ObjectKey } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import type { IstioEgressListener, Sidecar } from '../apis/sidecar.ts';
import { buildBlackHoleCluster, buildInboundPassthroughCluster, buildPassthroughCluster } from '../envoy/clusters/special.ts';
import { listenerAccessLogs } from '../envoy/filters/access-log.ts';
import { tcpProxySettings } from '../envoy/filters/tcp-proxy.ts';
import { effectivePolicy } from '../envoy/clusters/effective-policy.ts';
import { outboundLogs } from '../envoy/filters/outbound-logs.ts';
import {
  buildOutboundListener,
  buildVirtualOutbound as virtualOutbound,
  type OutboundListener,
  type OutboundListenerContext,
} from '../envoy/listeners/outbound.ts';
import type { OutboundTcpChain } from '../envoy/listeners/outbound-chain.ts';
import { buildOnDemandTable, buildPortTable } from '../envoy/routes/table.ts';
import { isHttp, isTls } from '../mesh/model.ts';
import { clusterName } from '../mesh/names.ts';
import { protocolOf } from '../mesh/protocol.ts';
import { routeTable, wildcard, type Slot } from '../mesh/slots.ts';
import type { Derived, Index } from '../store/collection.ts';
import type { Encoded } from './hosts.ts';
import type { Translation } from './translation.ts';

/** Where a listener finds who is behind it. */
export interface SlotSource {
  readonly slots: Derived<string, readonly Slot[]>;
  readonly slotsByListener: Index<readonly Slot[]>;
  /** Slots that an earlier source has of hosts of which this one has its own, or none. */
  readonly coveredByListener?: Index<readonly Slot[]>;
}

/** What decides on unknown destinations: the mesh's configuration, or what a Sidecar makes of it. */
export interface UnknownPolicy {
  readonly mesh: MeshConfig;
  /** Objects besides the mesh's configuration. */
  readonly objects: readonly ObjectKey[];
}

function meshPolicy(t: Translation): UnknownPolicy {
  return { mesh: t.mesh.objects.meshConfig(), objects: [] };
}

function listenerContext(mesh: MeshConfig): OutboundListenerContext {
  return { mesh, ...outboundLogs(mesh) };
}

/**
 * The listener of an address and port. Of HTTP it reads only whether there is any, so that one more host on a port costs no listener; TCP and TLS have a
 * filter chain for each host. A later source's slots of a host stand for an earlier one's.
 */
export function buildSlotListener(
  t: Translation,
  namespace: string | undefined,
  listener: string,
  sources: readonly SlotSource[],
  problems: Problem[],
  policy: UnknownPolicy = meshPolicy(t),
  onDemand = false,
): Encoded {
  const at = listener.lastIndexOf('_');
  const address = listener.slice(0, at);
  const port = Number(listener.slice(at + 1));
  const has = (kind: Slot['kind']): boolean => sources.some((s, i) => hasSlots(`${listener}#${kind}`, s, sources.slice(i + 1)));
  const shared = address === wildcard;
  const sniffed = shared ? [] : slotsAt(listener, 'auto', sources);
  const bytes = [...slotsAt(listener, 'tls', sources), ...slotsAt(listener, 'tcp', sources)];
  const http = has('http') || has('auto');
  if (!http && bytes.length === 0) return undefined;
  const first = sniffed[0];
  const objects: ObjectKey[] = [...[...sniffed, ...bytes].flatMap((slot) => objectOf(t, slot.host, namespace)), ...policy.objects];
  const built = buildOutboundListener(listenerContext(policy.mesh), {
    address,
    port,
    bindToPort: false,
    ...(http ? { http: httpOf(first === undefined ? String(port) : routeTable(first), first === undefined, onDemand) } : {}),
    tcp: [...sniffed, ...bytes].map((slot) => chain(t, slot, shared, namespace)),
  });
  return t.encoder.encode(ListenerSchema, listener, built, objects, problems);
}

/** `hasHosts`: the table's virtual hosts are resources of their own. */
function httpOf(route: string, hasHosts: boolean, onDemand: boolean): NonNullable<OutboundListener['http']> {
  return { route, ...(onDemand && { onDemand: hasHosts ? 'hosts' : 'clusters' }) };
}

function chain(t: Translation, slot: Slot, shared: boolean, namespace: string | undefined): OutboundTcpChain {
  const service = t.mesh.serviceAt(slot.host, namespace);
  const rule = service === undefined ? undefined : t.mesh.ruleAt(service, namespace);
  const cluster = clusterName('outbound', slot.port, '', slot.host);
  return {
    statPrefix: cluster,
    destination: { cluster },
    ...tcpProxySettings(effectivePolicy(rule, slot.port)),
    ...(shared && slot.kind === 'tls' ? { sniHosts: [slot.host] } : {}),
    ...(slot.destinations.length > 0 ? { cidrs: slot.destinations } : {}),
  };
}

/** Reads which hosts there are only where one of them is covered. */
function hasSlots(key: string, source: SlotSource, later: readonly SlotSource[]): boolean {
  if (!source.slotsByListener.has(key)) return false;
  if (!later.some((s) => s.coveredByListener?.has(key) === true)) return true;
  return [...source.slotsByListener.keys(key)].some((host) => !isCovered(host, later));
}

function isCovered(host: string, later: readonly SlotSource[]): boolean {
  return later.some((source) => source.slots.get(host) !== undefined);
}

function slotsAt(listener: string, kind: Slot['kind'], sources: readonly SlotSource[]): Slot[] {
  const byHost = new Map<string, Slot>();
  for (const [i, source] of sources.entries()) {
    for (const host of source.slotsByListener.keys(`${listener}#${kind}`)) {
      if (isCovered(host, sources.slice(i + 1))) continue;
      const slot = source.slots.get(host)?.find((s) => s.listener === listener && s.kind === kind);
      if (slot !== undefined) byHost.set(host, slot);
    }
  }
  return [...byHost.values()].sort((a, b) => (a.host < b.host ? -1 : 1));
}

function objectOf(t: Translation, host: string, namespace: string | undefined): ObjectKey[] {
  const service = t.mesh.serviceAt(host, namespace);
  return service === undefined ? [] : [service.object];
}

/** A Sidecar's egress listener with a port: really bound, for applications that are told to use it. */
export function buildBoundListener(
  t: Translation,
  listener: IstioEgressListener,
  index: number,
  sidecar: Sidecar,
  source: Pick<SlotSource, 'slots'> & { readonly slotsByPort: Index<readonly Slot[]> },
  problems: Problem[],
  policy: UnknownPolicy,
  onDemand = false,
): Encoded {
  const port = listener.port?.number ?? 0;
  const address = listener.bind !== undefined && listener.bind !== '' ? listener.bind : '127.0.0.1';
  const protocol = protocolOf(listener.port?.protocol);
  const path = `spec.egress[${index}]`;
  const report = (field: string, message: string): undefined => {
    problems.push({ object: keyOf(sidecar), path: `${path}.${field}`, reason: 'NotTranslated', severity: 'error', message });
  };
  if (address.startsWith('unix://')) return report('bind', 'listeners on Unix sockets are not translated; use an address');
  const name = `${address}_${port}`;
  const http = isHttp(protocol) || protocol === 'auto';
  const bytes: Slot[] = [];
  if (!http) {
    for (const kind of ['tls', 'tcp'] as const) {
      for (const host of source.slotsByPort.keys(`${port}#${kind}`)) {
        // One of each host, whatever addresses it has: nothing but the listener's own address is asked for.
        const slot = source.slots.get(host)?.find((s) => s.port === port && s.kind === kind);
        if (slot !== undefined) bytes.push(slot);
      }
    }
    bytes.sort((a, b) => (a.host < b.host ? -1 : 1));
    if (bytes.length === 0)
      return report('hosts', `no host that the listener may see has ${isTls(protocol) ? 'a TLS' : 'a TCP'} port ${port}`);
  }
  const built = buildOutboundListener(listenerContext(policy.mesh), {
    address,
    port,
    bindToPort: true,
    ...(http ? { http: httpOf(String(port), true, onDemand) } : {}),
    tcp: bytes.map((slot) => chain(t, { ...slot, destinations: [] }, true, sidecar.namespace)),
  });
  return t.encoder.encode(ListenerSchema, name, { ...built, name }, [keyOf(sidecar)], problems);
}

/** The table of a port: only its catch-all is inside, the hosts are resources of their own. */
export function buildSharedTable(
  t: Translation,
  port: string,
  problems: Problem[],
  { mesh, objects }: UnknownPolicy = meshPolicy(t),
): Encoded {
  return t.encoder.encode(RouteConfigurationSchema, port, buildPortTable(port, mesh), objects, problems, { vhds: true });
}

/** The same table for proxies in lazy mode. What its catch-all would do, hosts do that are made for the names that nobody has. */
export function buildSharedOnDemandTable(t: Translation, port: string, problems: Problem[]): Encoded {
  return t.encoder.encode(RouteConfigurationSchema, port, buildOnDemandTable(port), [], problems, { vhds: true });
}

export function buildVirtualOutbound(t: Translation, problems: Problem[], { mesh, objects }: UnknownPolicy = meshPolicy(t)): Encoded {
  const listener = virtualOutbound(listenerContext(mesh), {
    interceptionMode: 'REDIRECT',
    address: wildcard,
    listenerAccessLogs: listenerAccessLogs(mesh),
  });
  return t.encoder.encode(ListenerSchema, listener.name, listener, objects, problems);
}

export function buildSpecialClusters(t: Translation, problems: Problem[]): Encoded[] {
  const mesh = t.mesh.objects.meshConfig();
  return [buildPassthroughCluster(mesh), buildBlackHoleCluster(mesh), buildInboundPassthroughCluster(mesh)].map((cluster) =>
    t.encoder.encode(ClusterSchema, cluster.name, cluster, [], problems),
  );
}
