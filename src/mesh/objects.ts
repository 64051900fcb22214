/** The objects as they came from the sources: one collection per kind, and the mesh configuration. */
import type { AuthorizationPolicy } from '../apis/authorization-policy.ts';
import type { DestinationRule } from '../apis/destination-rule.ts';
import type { EndpointSlice } from '../apis/endpoint-slice.ts';
import type { EnvoyFilter } from '../apis/envoy-filter.ts';
import type { Gateway } from '../apis/gateway.ts';
import type { KubernetesService } from '../apis/kubernetes-service.ts';
import { defaultMeshConfig, type MeshConfig } from '../apis/mesh-config.ts';
import { noNetworks, type MeshNetworks } from '../apis/mesh-networks.ts';
import type { Namespace } from '../apis/namespace.ts';
import type { Node } from '../apis/node.ts';
import { inCluster, keyOf, type ConfigObject, type ObjectKey } from '../apis/object.ts';
import { originOf } from '../apis/parse.ts';
import type { Problem } from '../apis/problem.ts';
import type { PeerAuthentication } from '../apis/peer-authentication.ts';
import type { Pod } from '../apis/pod.ts';
import type { RequestAuthentication } from '../apis/request-authentication.ts';
import type { Secret } from '../apis/secret.ts';
import type { ServiceEntry } from '../apis/service-entry.ts';
import type { Sidecar } from '../apis/sidecar.ts';
import type { TrafficExtension } from '../apis/traffic-extension.ts';
import type { VirtualService } from '../apis/virtual-service.ts';
import type { WasmPlugin } from '../apis/wasm-plugin.ts';
import type { WorkloadEntry } from '../apis/workload-entry.ts';
import { sameJson } from '../lib/json.ts';
import { SourceCollection, type EntryRef } from '../store/collection.ts';
import type { Graph } from '../store/graph.ts';

/** Kinds that the mesh is made of. */
export interface Kinds {
  Service: KubernetesService;
  EndpointSlice: EndpointSlice;
  Pod: Pod;
  Node: Node;
  Namespace: Namespace;
  ServiceEntry: ServiceEntry;
  WorkloadEntry: WorkloadEntry;
  VirtualService: VirtualService;
  DestinationRule: DestinationRule;
  Gateway: Gateway;
  Sidecar: Sidecar;
  PeerAuthentication: PeerAuthentication;
  AuthorizationPolicy: AuthorizationPolicy;
  RequestAuthentication: RequestAuthentication;
  EnvoyFilter: EnvoyFilter;
  WasmPlugin: WasmPlugin;
  TrafficExtension: TrafficExtension;
  Secret: Secret;
}

/** A mesh configuration and the object that it came from, if any. */
export interface MeshConfigSource {
  readonly config: MeshConfig;
  readonly object?: ObjectKey;
}

/** Networks and the object that they came from, if any. */
export interface MeshNetworksSource {
  readonly networks: MeshNetworks;
  readonly object?: ObjectKey;
}

export class Objects {
  readonly graph: Graph;
  readonly kinds: { readonly [K in keyof Kinds]: SourceCollection<Kinds[K]> };
  private readonly meshConfigs: SourceCollection<MeshConfigSource>;
  private readonly networks: SourceCollection<MeshNetworksSource>;
  private readonly all = new Map<ObjectKey, ConfigObject>();

  constructor(graph: Graph) {
    this.graph = graph;
    const collection = <K extends keyof Kinds>(kind: K): SourceCollection<Kinds[K]> => new SourceCollection<Kinds[K]>(graph, kind, keyOf);
    this.kinds = {
      Service: collection('Service'),
      EndpointSlice: collection('EndpointSlice'),
      Pod: collection('Pod'),
      Node: collection('Node'),
      Namespace: collection('Namespace'),
      ServiceEntry: collection('ServiceEntry'),
      WorkloadEntry: collection('WorkloadEntry'),
      VirtualService: collection('VirtualService'),
      DestinationRule: collection('DestinationRule'),
      Gateway: collection('Gateway'),
      Sidecar: collection('Sidecar'),
      PeerAuthentication: collection('PeerAuthentication'),
      AuthorizationPolicy: collection('AuthorizationPolicy'),
      RequestAuthentication: collection('RequestAuthentication'),
      EnvoyFilter: collection('EnvoyFilter'),
      WasmPlugin: collection('WasmPlugin'),
      TrafficExtension: collection('TrafficExtension'),
      Secret: collection('Secret'),
    };
    this.meshConfigs = new SourceCollection<MeshConfigSource>(graph, 'MeshConfig', (source) => source.object);
    this.meshConfigs.set('mesh', { config: defaultMeshConfig });
    this.networks = new SourceCollection<MeshNetworksSource>(graph, 'MeshNetworks', (source) => source.object);
  }

  /** Keys of entries: `namespace/name`, of a remote cluster `namespace/name@cluster`. Kinds that the mesh is not made of are kept for lookups only. */
  put(object: ConfigObject): void {
    this.all.set(keyOf(object), object);
    this.collectionOf(object.kind)?.set(`${object.namespace}/${object.name}${inCluster(object.origin.cluster)}`, object);
  }

  remove(key: ObjectKey): void {
    this.all.delete(key);
    const [kind = '', namespace = '', name = ''] = key.split('/');
    this.collectionOf(kind)?.delete(`${namespace}/${name}`);
  }

  setMeshConfig(source: MeshConfigSource): void {
    this.meshConfigs.set('mesh', source);
  }

  /** An equal value is no change, as the same object has the mesh configuration. */
  setMeshNetworks(source: MeshNetworksSource): void {
    if (sameJson(this.networks.peek('mesh') ?? { networks: noNetworks }, source)) return;
    this.networks.set('mesh', source);
  }

  /** Recorded read. */
  meshNetworks(): MeshNetworks {
    return this.networks.get('mesh')?.networks ?? noNetworks;
  }

  /** Tells of each object that the mesh is made of when it appears, changes or goes. */
  listen(handler: (object: ObjectKey) => void): void {
    for (const collection of Object.values(this.kinds) as SourceCollection<ConfigObject>[]) {
      collection.listen((_key, now, before) => {
        const object = now ?? before;
        if (object !== undefined) handler(keyOf(object));
      });
    }
    this.meshConfigs.listen((_key, now, before) => {
      const object = now?.object ?? before?.object;
      if (object !== undefined) handler(object);
    });
  }

  /** Entries of derived collections that were made from the object. */
  madeFrom(object: ObjectKey): EntryRef[] {
    if (this.meshConfigs.peek('mesh')?.object === object) return this.meshConfigs.madeFrom('mesh');
    const slash = object.indexOf('/');
    return this.collectionOf(object.slice(0, slash))?.madeFrom(object.slice(slash + 1)) ?? [];
  }

  /** Recorded read. */
  meshConfig(): MeshConfig {
    return this.meshConfigs.get('mesh')?.config ?? defaultMeshConfig;
  }

  /** The object as it was written, unrecorded; for messages. */
  object(key: ObjectKey): ConfigObject | undefined {
    return this.all.get(key);
  }

  /** The problem with the file and line of its field, or the version, where the object has one. */
  locate(problem: Problem): Problem {
    const origin = problem.origin ?? this.all.get(problem.object)?.origin;
    return origin === undefined ? problem : { ...problem, origin: originOf(origin, problem.path) };
  }

  objects(): IterableIterator<ConfigObject> {
    return this.all.values();
  }

  private collectionOf(kind: string): SourceCollection<ConfigObject> | undefined {
    const collections: Readonly<Record<string, unknown>> = this.kinds;
    return collections[kind] as SourceCollection<ConfigObject> | undefined;
  }
}
