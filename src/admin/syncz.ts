/** `/debug/syncz`: how far each proxy is, in istiod's form and with what each type adds to it. */
import { clusterType, endpointType, extensionConfigType, listenerType, routeType } from '../wire/types.ts';
import type { StreamStatus, TypeStatus, TypeUrl } from '../xds/source.ts';
import { proxyName } from './streams.ts';

export interface SyncStatus {
  readonly cluster_id: string;
  /** `name.namespace`. */
  readonly proxy: string;
  readonly proxy_type: string;
  readonly istio_version: string;
  readonly connection_id: string;
  readonly protocol: 'delta' | 'sotw';
  /** SPIFFE id; empty on the plaintext port. */
  readonly identity: string;
  readonly connected_at: string;
  /** `STALE` while one type is not yet accepted, `ERROR` while one is rejected. */
  readonly state: 'SYNCED' | 'STALE' | 'ERROR';
  /** istiod's fields: nonces by type, `cluster_sent`, `cluster_acked`, ...; absent while there are none. */
  readonly [nonce: `${string}_sent` | `${string}_acked`]: string;
  /** By type URL. */
  readonly resources: Readonly<Record<TypeUrl, TypeSync>>;
}

export interface TypeSync {
  /** Nonces, and RFC 3339; absent while nothing was sent or accepted. */
  readonly sent?: string;
  readonly acked?: string;
  readonly sentTime?: string;
  readonly subscribed: number | '*';
  readonly state: TypeStatus['state'];
  readonly lastError?: string;
  readonly heldBack: readonly HeldBack[];
}

/** A resource that the proxy has refused and is not sent again until it changes. */
export interface HeldBack {
  readonly name: string;
  /** `Kind/namespace/name (file:line)` of each object that it was made from. */
  readonly madeFrom: readonly string[];
}

const istiodFields = [
  ['cluster', clusterType],
  ['listener', listenerType],
  ['route', routeType],
  ['endpoint', endpointType],
  ['extensionconfig', extensionConfigType],
] as const;

export function syncStatus(stream: StreamStatus): SyncStatus {
  const { node, connectionId } = stream.subscription;
  const nonces: Record<`${string}_sent` | `${string}_acked`, string> = {};
  for (const [field, type] of istiodFields) {
    const status = stream.types.get(type);
    if (status === undefined) continue;
    if (status.sentNonce !== '') nonces[`${field}_sent`] = status.sentNonce;
    if (status.ackedNonce !== '') nonces[`${field}_acked`] = status.ackedNonce;
  }
  return {
    cluster_id: text(node.metadata['CLUSTER_ID']),
    proxy: proxyName(node.id),
    proxy_type: node.id.split('~')[0] ?? '',
    istio_version: text(node.metadata['ISTIO_VERSION']),
    connection_id: connectionId,
    protocol: stream.protocol,
    identity: stream.caller.identity?.spiffeId ?? '',
    connected_at: new Date(stream.connectedAtMs).toISOString(),
    state: worst([...stream.types.values()].map((t) => t.state)),
    ...nonces,
    resources: Object.fromEntries([...stream.types].map(([type, status]) => [type, typeSync(stream, type, status)])),
  };
}

function typeSync({ subscription }: StreamStatus, type: TypeUrl, status: TypeStatus): TypeSync {
  return {
    ...(status.sentNonce !== '' && { sent: status.sentNonce }),
    ...(status.ackedNonce !== '' && { acked: status.ackedNonce }),
    ...(status.sentAtMs > 0 && { sentTime: new Date(status.sentAtMs).toISOString() }),
    subscribed: status.subscribed,
    state: status.state,
    ...(status.lastError === undefined ? {} : { lastError: status.lastError }),
    heldBack: status.heldBack.map((name) => ({ name, madeFrom: subscription.explain(type, name)?.objects ?? [] })),
  };
}

/** A type of which nothing was sent has nothing to be out of date about. */
function worst(states: readonly TypeStatus['state'][]): SyncStatus['state'] {
  if (states.includes('ERROR')) return 'ERROR';
  return states.includes('STALE') || states.every((s) => s === 'NOT_SENT') ? 'STALE' : 'SYNCED';
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
