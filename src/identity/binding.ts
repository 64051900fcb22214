import type { SpiffeId } from './spiffe.ts';
import { refusal, type Refusal } from './proof.ts';

/** What a proxy says of itself: its id `type~ip~name.namespace~domain` and its metadata as JSON. */
export interface NodeClaim {
  readonly id: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/**
 * Undefined when the claim fits what is proven; else a refusal that names both. Every place in which a node can claim a namespace (metadata NAMESPACE,
 * the third part of its id) must agree; the service account is checked when metadata names one, the pod when the token is bound to one. Stricter than
 * istiod, which reads the metadata only.
 */
export function checkNodeClaim(
  proven: SpiffeId & { readonly spiffeId: string; readonly pod?: string },
  node: NodeClaim,
): Refusal | undefined {
  const claimed = nameOfId(node.id);
  if ('refused' in claimed) return claimed;
  const who = `proven ${proven.spiffeId}`;
  const claims: [what: string, value: unknown, expected: string][] = [
    ['namespace of the node id', claimed.namespace, proven.namespace],
    ['metadata NAMESPACE', node.metadata['NAMESPACE'], proven.namespace],
    ['metadata SERVICE_ACCOUNT', node.metadata['SERVICE_ACCOUNT'], proven.serviceAccount],
  ];
  for (const [what, value, expected] of claims) {
    if (value === undefined || value === '' || value === expected) continue;
    return refusal('claim', `${who}, but ${what} of node ${quoted(node.id)} claims ${quoted(value)}`);
  }
  if (proven.pod !== undefined && claimed.name !== proven.pod) {
    return refusal('claim', `${who} in pod ${quoted(proven.pod)}, but node ${quoted(node.id)} claims pod ${quoted(claimed.name)}`);
  }
  return undefined;
}

/**
 * Undefined where the cluster that the node claims is the one whose API server has reviewed its token. `knows`: of an id that nobody knows nothing follows, so
 * that it may stand there.
 */
export function checkClusterClaim(
  proven: { readonly spiffeId: string; readonly cluster?: string },
  node: NodeClaim,
  knows: (id: string) => boolean,
): Refusal | undefined {
  const claimed = node.metadata['CLUSTER_ID'];
  if (proven.cluster === undefined || typeof claimed !== 'string' || claimed === proven.cluster || !knows(claimed)) return undefined;
  return refusal(
    'claim',
    `proven ${proven.spiffeId} by cluster ${quoted(proven.cluster)}, but metadata CLUSTER_ID of node ${quoted(node.id)} claims ${quoted(claimed)}`,
  );
}

/** The third part is `name.namespace`; a name may hold dots, a namespace none. */
function nameOfId(id: string): { readonly name: string; readonly namespace: string } | Refusal {
  const parts = id.split('~');
  const name = parts[2] ?? '';
  const dot = name.lastIndexOf('.');
  if (parts.length !== 4 || dot <= 0 || dot === name.length - 1) {
    return refusal('malformed', `node id ${quoted(id)} is not type~ip~name.namespace~domain`);
  }
  return { name: name.slice(0, dot), namespace: name.slice(dot + 1) };
}

/** A caller writes these: they go to the log short and escaped. */
function quoted(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined';
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}
