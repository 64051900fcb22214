/** Entries of the name table that Istio's agent answers DNS by. Only proxies whose agent does have such a part. */
import { create } from '@bufbuild/protobuf';
import { NameTableSchema } from '#gen/istio/networking/nds/v1/nds_pb.js';
import { nameEntries, type NameEntry } from '../mesh/name-table.ts';
import { hostOfException } from '../mesh/visibility.ts';
import type { KeySource } from '../store/collection.ts';
import { KeySet } from '../store/keys.ts';
import { encode } from '../wire/encode.ts';
import { hash } from '../wire/hash.ts';
import type { EncodedResource } from '../wire/resource.ts';
import { nameTableType } from '../wire/types.ts';
import { SnapshotPart, type Touched } from './part.ts';
import type { ResourceLists } from './table.ts';
import { resourceLists, type Translation } from './translation.ts';

export interface NameTableScope {
  /** Undefined: what all see. */
  readonly namespace: string | undefined;
  /** Of a namespace: the part of what all see. */
  readonly below?: NameTablePart;
  /** Of a Sidecar: what it names. */
  readonly hosts?: KeySource<string>;
}

/**
 * A resource is one entry: the bytes of a NameTable that has it alone, so that those of several are a table of them all. The part of a namespace holds
 * what differs there from what all see; that of a Sidecar holds all hosts that the Sidecar names.
 */
export class NameTablePart extends SnapshotPart {
  private readonly lists: ResourceLists<string>;
  private readonly ownHosts: KeySet | undefined;

  constructor(t: Translation, id: string, touched: Touched, { namespace, below, hosts: given }: NameTableScope) {
    super(id, touched);
    const { mesh } = t;
    this.ownHosts = given === undefined ? hostsSeen(t, namespace) : undefined;
    const hosts = given ?? (this.ownHosts as KeySet);
    this.lists = resourceLists<string>(
      t,
      `${id} entries`,
      hosts,
      [mesh.services, mesh.endpoints],
      (host) => nameEntries(mesh, host, namespace).map(encodeEntry),
      below?.lists,
    );
    this.follow(nameTableType, this.lists);
  }

  override dispose(): void {
    super.dispose();
    this.lists.dispose();
    this.ownHosts?.dispose();
  }
}

/** Hosts that all see, or that a namespace may see differently. */
function hostsSeen({ mesh, visibility }: Translation, namespace: string | undefined): KeySet {
  if (namespace === undefined) return new KeySet(mesh.graph, [visibility.hosts]).addBucket(visibility.hostsByVisibility, 'public');
  return new KeySet(mesh.graph, [visibility.exceptions]).addBucket(visibility.exceptionsByScope, `${namespace}#clusters`, hostOfException);
}

function encodeEntry({ host, addresses, registry, shortName, namespace }: NameEntry): EncodedResource {
  const info = {
    ips: [...addresses],
    registry,
    ...(shortName !== undefined && { shortname: shortName }),
    ...(namespace !== undefined && { namespace }),
  };
  const bytes = encode(NameTableSchema, create(NameTableSchema, { table: { [host]: info } }));
  return { name: host, version: hash(bytes), bytes };
}
