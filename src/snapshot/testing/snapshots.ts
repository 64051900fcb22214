import type { ConfigObject } from '../../apis/object.ts';
import { readRegistry } from '../../discovery/descriptors.ts';
import { Objects } from '../../mesh/objects.ts';
import type { CredentialReader } from '../gateway.ts';
import { Snapshot, type SnapshotOptions } from '../snapshot.ts';
import { Graph } from '../../store/graph.ts';
import { createValidator } from '../../wire/validate.ts';
import type { ClaimedNode, Part, Subscription } from '../../xds/source.ts';
import { PartsView } from '../../xds/view.ts';
import { clusterType, endpointType, listenerType, nameTableType, routeType, shortName, virtualHostType } from '../../wire/types.ts';

const validator = createValidator(readRegistry());
export const types = [clusterType, endpointType, listenerType, routeType, virtualHostType, nameTableType];

function thrown(collection: string, key: string, cause: unknown): never {
  throw new Error(`${collection} ${key}`, { cause });
}

/** A snapshot without a daemon around it. A fault of ours in a translation is thrown unless the test takes it. */
export function snapshotOf(
  objects: Iterable<ConfigObject>,
  onFault: SnapshotOptions['onFault'] = thrown,
  credential: ReturnType<CredentialReader> = { secret: undefined, problems: [] },
  identityPart: NonNullable<SnapshotOptions['identityPart']> = () => undefined,
  now?: () => number,
  clusterOf?: NonNullable<SnapshotOptions['clusterOf']>,
  turns?: NonNullable<SnapshotOptions['turns']>,
): Snapshot {
  const held = new Objects(new Graph());
  for (const object of objects) held.put(object);
  return new Snapshot(held, {
    validator,
    readCredential: () => credential,
    untranslated: () => [],
    admit: () => undefined,
    identityPart,
    onFault,
    ...(now !== undefined && { now }),
    ...(clusterOf !== undefined && { clusterOf }),
    ...(turns !== undefined && { turns }),
  });
}

/** `node` of a proxy that can be in lazy mode. */
export function ableToAsk(node: ClaimedNode): ClaimedNode {
  return { ...node, extensions: new Set(['envoy.filters.http.on_demand']) };
}

export function nodeOf(id: string, namespace: string, metadata: Readonly<Record<string, unknown>> = {}, type = 'sidecar'): ClaimedNode {
  return {
    id: `${type}~11.9.9.9~${id}.${namespace}~${namespace}.svc.cluster.local`,
    cluster: id,
    metadata: { NAMESPACE: namespace, NAME: id, ...metadata },
    userAgentName: 'envoy',
    userAgentVersion: '1.40.0',
  };
}

export function openProxy(snapshot: Snapshot, node: ClaimedNode, protocol?: 'delta' | 'sotw'): Subscription {
  const opened = snapshot.open(node, { address: '', secure: false }, protocol);
  if ('refused' in opened) throw new Error(opened.refused);
  return opened;
}

/** `CDS name` to version, of everything that the parts give. */
export function resources(parts: readonly Part[]): Record<string, string> {
  const view = new PartsView(parts);
  const all: [string, string][] = [];
  for (const type of types)
    for (const resource of view.resources(type)) all.push([`${shortName(type)} ${resource.name}`, resource.version]);
  return Object.fromEntries(all.sort(([a], [b]) => (a < b ? -1 : 1)));
}
