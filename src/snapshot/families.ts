/** Listeners and clusters of another part as a proxy with IPv6 addresses has them. */
import { fromBinary } from '@bufbuild/protobuf';
import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.js';
import { clusterFor, type Families, listenerFor } from '../envoy/families.ts';
import { Derived } from '../store/collection.ts';
import { encode } from '../wire/encode.ts';
import { hash } from '../wire/hash.ts';
import type { EncodedResource } from '../wire/resource.ts';
import { clusterType, listenerType } from '../wire/types.ts';
import { SnapshotPart, type Touched } from './part.ts';
import { noResources, sameList, type ResourceList, type ResourceLists } from './table.ts';
import type { Translation } from './translation.ts';

type Change = (resource: EncodedResource) => EncodedResource | undefined;

/**
 * It lies over that part, with what differs there. Where the part lies over another of which there is such a part too, this one has all that the part has and
 * withholds what the part withholds, or the lower one would show through.
 */
export class FamiliesPart extends SnapshotPart {
  private readonly lists: ResourceLists[] = [];

  constructor(t: Translation, id: string, families: Families, of: SnapshotPart, overAnother: boolean, touched: Touched) {
    super(id, touched);
    const changes = new Map<string, Change>([
      [listenerType, (resource) => changed(ListenerSchema, resource, (listener) => listenerFor(families, listener))],
      [clusterType, (resource) => changed(ClusterSchema, resource, (cluster) => clusterFor(families, cluster))],
    ]);
    for (const [lists, type] of of.followed) {
      const change = changes.get(type);
      if (change === undefined) continue;
      const mapped: ResourceLists<ResourceList> = new Derived<ResourceList, ResourceList>({
        name: `${id} ${type}`,
        // What a part follows are lists.
        from: lists as ResourceLists,
        compute: (_key, { resources, hidden }) => {
          const own = resources.flatMap((resource) => change(resource) ?? (overAnother ? [resource] : []));
          return own.length === 0 && hidden.length === 0
            ? noResources
            : { resources: own, hidden: overAnother ? hidden : [], problems: [] };
        },
        equals: sameList,
        onFault: t.onFault,
      });
      this.lists.push(mapped as ResourceLists);
      this.follow(type, mapped);
    }
  }

  override dispose(): void {
    super.dispose();
    for (const list of this.lists) list.dispose();
  }
}

/** The resource was found valid as it is; what is changed of it cannot make it otherwise. */
function changed<D extends DescMessage>(
  schema: D,
  { name, bytes }: EncodedResource,
  change: (message: MessageShape<D>) => MessageShape<D> | undefined,
): EncodedResource | undefined {
  const message = change(fromBinary(schema, bytes));
  if (message === undefined) return undefined;
  const encoded = encode(schema, message);
  return { name, version: hash(encoded), bytes: encoded };
}
