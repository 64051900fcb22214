/** Which collections of an API server are watched, in what form they are asked for, and what is kept of their objects. */
import type { KindSchema } from '../../apis/kind.ts';
import { meshConfigMapName } from '../../apis/config-map.ts';
import { kinds } from '../../apis/kinds.ts';
import { unreadKinds, type Resource } from '../../apis/resource.ts';
import type { RawObject } from '../../kubernetes/list.ts';
import { tagLabel } from './revision.ts';
import { trimConfigMap, trimMetadata, trimNode, trimPod, trimSecret, trimService, trimSlice, trimSpec, trimUnread } from './trim.ts';

/** What the URLs of a kind are made of. */
export type WatchedKind = Resource;

export interface Stream {
  /** For messages: `pods`, `secrets (Opaque)`. */
  readonly name: string;
  readonly kind: WatchedKind;
  /** Absent: all namespaces. */
  readonly namespace?: string;
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
  /** The server sends the metadata alone. */
  readonly metadataOnly?: true;
  /** Of the objects with a label `istio.io/rev` only those of this revision are read. */
  readonly ofRevision?: true;
  /** Traffic does not depend on it: where it may not be read, the rest goes on without it. */
  readonly optional?: true;
  /** The object as a manifest would have it, without type; undefined where it is of no use here. */
  readonly trim: (object: RawObject) => Record<string, unknown> | undefined;
}

export function streamsOf(rootNamespace: string, revision: string): Stream[] {
  return [
    tags,
    ...(kinds as readonly KindSchema[]).flatMap((kind) => streamsOfKind(kind, { rootNamespace, revision })),
    // Nobody reads them, but whoever installed one is to be told that it has no effect: their names and what we said of them are enough.
    ...unreadKinds.map((kind): Stream => ({ name: kind.plural, kind, ofRevision: true, optional: true, trim: trimUnread })),
  ];
}

/** What makes the endpoints of a remote cluster. Configuration, mesh configuration and Secrets are those of one cluster alone. */
export function remoteStreams(): Stream[] {
  const read = new Set(['Service', 'EndpointSlice', 'Pod', 'Node', 'Namespace']);
  return (kinds as readonly KindSchema[])
    .filter(({ kind }) => read.has(kind))
    .flatMap((kind) => streamsOfKind(kind, { rootNamespace: '', revision: '' }));
}

/** Every API server has these in their stable version: one that says it has none is no API server, or not yet. */
export function isBuiltIn({ group }: WatchedKind): boolean {
  return group === '' || group === 'discovery.k8s.io' || group === 'admissionregistration.k8s.io';
}

export const tagsResource: WatchedKind = {
  kind: 'MutatingWebhookConfiguration',
  plural: 'mutatingwebhookconfigurations',
  group: 'admissionregistration.k8s.io',
  versions: ['v1'],
  scope: 'Cluster',
};

/** Names of revisions: `istioctl tag set` makes such objects. They are no objects of the mesh. */
const tags: Stream = {
  name: tagsResource.plural,
  kind: tagsResource,
  // Whole: the API server cannot watch the metadata of this kind alone (seen on 1.36). With the selector they are few.
  labelSelector: tagLabel,
  optional: true,
  trim: trimMetadata,
};

export function isTags(stream: Stream): boolean {
  return stream === tags;
}

interface Place {
  readonly rootNamespace: string;
  readonly revision: string;
}

function streamsOfKind(kind: WatchedKind, { rootNamespace, revision }: Place): Stream[] {
  const name = kind.plural;
  switch (kind.kind) {
    case 'Pod':
      // What has ended has given its address back; an object that leaves the selection is told as deleted.
      return [{ name, kind, fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed', trim: trimPod }];
    case 'EndpointSlice':
      return [{ name, kind, trim: trimSlice }];
    case 'Namespace':
    case 'ServiceAccount':
      return [{ name, kind, metadataOnly: true, trim: trimMetadata }];
    case 'Node':
      return [{ name, kind, trim: trimNode }];
    case 'Service':
      return [{ name, kind, trim: trimService }];
    case 'Secret':
      // Tokens, registry passwords and Helm releases are of other types and never asked for.
      return ['kubernetes.io/tls', 'Opaque'].map((type) => ({
        name: `${name} (${type})`,
        kind,
        fieldSelector: `type=${type}`,
        trim: trimSecret,
      }));
    case 'ConfigMap':
      return [{ name, kind, namespace: rootNamespace, fieldSelector: `metadata.name=${meshConfigMapName(revision)}`, trim: trimConfigMap }];
    default:
      return [{ name, kind, ...(isConfiguration(kind) && { ofRevision: true }), trim: trimSpec }];
  }
}

/** What people write for the mesh. Pods and namespaces have the same label, which says who injects them. */
function isConfiguration({ group }: WatchedKind): boolean {
  return group.endsWith('.istio.io') || group === 'gateway.networking.k8s.io';
}

/** Path of the collection in one version. */
export function pathOf({ kind, namespace }: Stream, version: string): string {
  const root = kind.group === '' ? `/api/${version}` : `/apis/${kind.group}/${version}`;
  return `${root}${namespace === undefined ? '' : `/namespaces/${namespace}`}/${kind.plural}`;
}

const partial = (kind: string): string => `application/json;as=${kind};g=meta.k8s.io;v=v1`;

/** A watch must be asked for single objects: one that is asked for lists first is begun with 200 and ends without an event. */
export const metadataAccept = {
  accept: `${partial('PartialObjectMetadataList')},application/json`,
  watchAccept: `${partial('PartialObjectMetadata')},application/json`,
};
