/** A folder of manifests translated for one proxy, whole and in memory: what a stream would carry to it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createFileRegistry, type FileRegistry, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.js';
import { VirtualHostSchema } from '#gen/envoy/config/route/v3/route_components_pb.js';
import type { Problem } from '../../src/apis/problem.ts';
import { untranslatedPaths } from '../../src/apis/untranslated.ts';
import { Objects } from '../../src/mesh/objects.ts';
import { Snapshot } from '../../src/snapshot/snapshot.ts';
import { loadDirectory } from '../../src/sources/directory/load.ts';
import { Graph } from '../../src/store/graph.ts';
import type { EncodedResource } from '../../src/wire/resource.ts';
import { clusterType, endpointType, listenerType, routeType, virtualHostType } from '../../src/wire/types.ts';
import { createValidator } from '../../src/wire/validate.ts';
import type { Subscription, TypeUrl } from '../../src/xds/source.ts';

export interface ProxyNode {
  readonly id: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly locality?: { readonly region: string; readonly zone: string; readonly subZone: string };
}

/** Encoded messages by name, in order of names; route tables with all their hosts. */
export interface TranslatedFolder {
  readonly clusters: ReadonlyMap<string, Uint8Array>;
  readonly endpoints: ReadonlyMap<string, Uint8Array>;
  readonly listeners: ReadonlyMap<string, Uint8Array>;
  readonly routes: ReadonlyMap<string, Uint8Array>;
  readonly problems: readonly Problem[];
}

let types: FileRegistry | undefined;

export function registry(): FileRegistry {
  types ??= createFileRegistry(
    fromBinary(FileDescriptorSetSchema, readFileSync(join(import.meta.dirname, '../../generated/descriptors.binpb'))),
  );
  return types;
}

export async function translateFolder(dir: string, node: ProxyNode): Promise<TranslatedFolder> {
  const loaded = await loadDirectory(dir);
  const objects = new Objects(new Graph());
  const snapshot = new Snapshot(objects, {
    validator: createValidator(registry()),
    readCredential: () => ({ secret: undefined, problems: [] }),
    untranslated: untranslatedPaths,
    onFault: (collection, key, error) => {
      throw new Error(`${collection} ${key}`, { cause: error });
    },
    admit: () => undefined,
  });
  for (const object of loaded.objects) objects.put(object);
  const subscription = snapshot.open(
    { cluster: '', userAgentName: 'envoy', userAgentVersion: '1.40.0', ...node },
    { address: '', secure: true },
  );
  if ('refused' in subscription) throw new Error(subscription.refused);
  const translated = {
    clusters: bytesOf(resources(subscription, clusterType)),
    endpoints: bytesOf(resources(subscription, endpointType)),
    listeners: bytesOf(resources(subscription, listenerType)),
    routes: routesOf(subscription),
    problems: [...loaded.problems, ...snapshot.problems()],
  };
  subscription.close();
  return translated;
}

/** A later part's resource covers the same name of an earlier one, and so does what it withholds. */
function resources(subscription: Subscription, type: TypeUrl): Map<string, EncodedResource> {
  const found = new Map<string, EncodedResource>();
  for (const part of subscription.parts) {
    const table = part.table(type);
    if (table === undefined) continue;
    for (const name of found.keys()) if (table.hides(name)) found.delete(name);
    for (const name of table.names()) {
      const resource = table.get(name);
      if (resource !== undefined) found.set(name, resource);
    }
  }
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function bytesOf(found: ReadonlyMap<string, EncodedResource>): Map<string, Uint8Array> {
  return new Map([...found].map(([name, { bytes }]) => [name, bytes]));
}

function routesOf(subscription: Subscription): Map<string, Uint8Array> {
  const hosts = [...resources(subscription, virtualHostType)];
  return new Map(
    [...resources(subscription, routeType)].map(([name, { bytes }]) => {
      const table = fromBinary(RouteConfigurationSchema, bytes);
      const own = hosts
        .filter(([host]) => host.startsWith(`${name}/`))
        .map(([host, resource]) => ({ ...fromBinary(VirtualHostSchema, resource.bytes), name: host.slice(name.length + 1) }));
      return [name, toBinary(RouteConfigurationSchema, { ...table, virtualHosts: [...own, ...table.virtualHosts] })];
    }),
  );
}
