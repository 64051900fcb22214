/** Clients that follow a snapshot by both forms of ADS, as Envoy would. */
import { fromBinary } from '@bufbuild/protobuf';
import { ListenerSchema, type Listener } from '#gen/envoy/config/listener/v3/listener_pb.js';
import { HttpConnectionManagerSchema } from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { Cluster_DiscoveryType, ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.js';
import { hash } from '../../src/wire/hash.ts';
import { clusterType, endpointType, listenerType, routeType } from '../../src/wire/types.ts';
import type { DeltaRequest, DeltaStream } from '../../src/xds/delta-stream.ts';
import type { Hub } from '../../src/xds/hub.ts';
import type { SotwRequest, SotwStream } from '../../src/xds/sotw-stream.ts';
import type { ClaimedNode, TypeUrl } from '../../src/xds/source.ts';
import { FakeEnvoy, type Received } from '../../src/xds/testing/fake-envoy.ts';
import { TestWire } from '../../src/xds/testing/harness.ts';

export class Client {
  readonly node: ClaimedNode;
  readonly protocol: 'delta' | 'sotw';
  readonly envoy: FakeEnvoy;
  slow = false;
  private readonly hub: Hub;
  private readonly inbox: Uint8Array[] = [];
  private wire = new TestWire();
  private open: DeltaStream | SotwStream | undefined;

  constructor(
    hub: Hub,
    node: ClaimedNode,
    protocol: 'delta' | 'sotw',
    refuses: (resource: Received) => 'semantic' | 'validation' | undefined,
  ) {
    this.hub = hub;
    this.node = node;
    this.protocol = protocol;
    this.envoy = new FakeEnvoy({
      protocol,
      send: (request) => this.open?.receive(request as DeltaRequest & SotwRequest),
      refuses,
      isEds: (cluster) => isEds(cluster.bytes),
      routesOf: (listener) => routesOf(listener.bytes),
      describe,
    });
  }

  get stream(): DeltaStream | SotwStream {
    if (this.open === undefined) throw new Error('not connected');
    return this.open;
  }

  connect(): void {
    this.open?.disconnected('reconnect');
    this.inbox.length = 0;
    this.wire = new TestWire();
    this.wire.slow = this.slow;
    this.wire.onWrite = (message) => this.inbox.push(message);
    const caller = { address: '', secure: false };
    const opened =
      this.protocol === 'delta' ? this.hub.openDelta(this.node, caller, this.wire) : this.hub.openSotw(this.node, caller, this.wire);
    if ('refused' in opened) throw new Error(opened.refused);
    this.open = opened;
    this.envoy.connect();
  }

  /** Reads up to `count` waiting messages; tells whether there were any. */
  deliver(count: number): boolean {
    let any = false;
    for (let i = 0; i < count; i++) {
      const message = this.inbox.shift();
      if (message === undefined) break;
      any = true;
      this.envoy.receive(message);
    }
    this.wire.flush();
    return any;
  }
}

/** Route tables that a listener names, in any of its chains. */
export function routesOf(bytes: Uint8Array): string[] {
  return routeNames(fromBinary(ListenerSchema, bytes));
}

function routeNames(listener: Listener): string[] {
  const names = new Set<string>();
  for (const chain of [...listener.filterChains, ...(listener.defaultFilterChain === undefined ? [] : [listener.defaultFilterChain])]) {
    for (const filter of chain.filters) {
      if (filter.configType.case !== 'typedConfig' || !filter.configType.value.typeUrl.endsWith('HttpConnectionManager')) continue;
      const manager = fromBinary(HttpConnectionManagerSchema, filter.configType.value.value);
      if (manager.routeSpecifier.case === 'rds') names.add(manager.routeSpecifier.value.routeConfigName);
    }
  }
  return [...names];
}

function describe(type: TypeUrl, bytes: Uint8Array): { name: string; version: string } {
  const version = hash(bytes);
  switch (type) {
    case clusterType:
      return { name: fromBinary(ClusterSchema, bytes).name, version };
    case endpointType:
      return { name: fromBinary(ClusterLoadAssignmentSchema, bytes).clusterName, version };
    case listenerType:
      return { name: fromBinary(ListenerSchema, bytes).name, version };
    case routeType:
      return { name: fromBinary(RouteConfigurationSchema, bytes).name, version };
    default:
      throw new Error(`unexpected type ${type}`);
  }
}

function isEds(bytes: Uint8Array): boolean {
  const { clusterDiscoveryType } = fromBinary(ClusterSchema, bytes);
  return clusterDiscoveryType.case === 'type' && clusterDiscoveryType.value === Cluster_DiscoveryType.EDS;
}
