/**
 * What a change costs at least: a bare grpc-js server with delta ADS, one cluster and no control plane. Sends 500 bytes to every stream when its parent says
 * so. Started by calibrate.ts, ends with it.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { Cluster_DiscoveryType, ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { DeltaDiscoveryResponseSchema, type DeltaDiscoveryRequest } from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import { readServices } from '../../src/discovery/descriptors.ts';
import * as types from '../streams/types.ts';

type Call = ServerDuplexStream<DeltaDiscoveryRequest, Uint8Array>;

const messageBytes = 500;
const cluster = 'calibration';
const calls = new Set<Call>();

function response(typeUrl: string, version: string, resources: Readonly<Record<string, Uint8Array>>): Uint8Array {
  const all = Object.entries(resources).map(([name, value]) => ({ name, version, resource: { typeUrl, value } }));
  return toBinary(DeltaDiscoveryResponseSchema, create(DeltaDiscoveryResponseSchema, { typeUrl, nonce: version, resources: all }));
}

/** The text stands in a field that no proxy reads, filled up to the size. */
function endpoints(text: string): Uint8Array {
  const dropOverloads = [{ category: text.padEnd(messageBytes, '.') }];
  return toBinary(ClusterLoadAssignmentSchema, create(ClusterLoadAssignmentSchema, { clusterName: cluster, policy: { dropOverloads } }));
}

function answer(call: Call, { typeUrl, responseNonce }: DeltaDiscoveryRequest): void {
  if (responseNonce !== '') return;
  if (typeUrl === types.clusters) {
    const clusterDiscoveryType = { case: 'type' as const, value: Cluster_DiscoveryType.EDS };
    call.write(
      response(typeUrl, '1', { [cluster]: toBinary(ClusterSchema, create(ClusterSchema, { name: cluster, clusterDiscoveryType })) }),
    );
  } else if (typeUrl === types.endpoints) call.write(response(typeUrl, '1', { [cluster]: endpoints('first') }));
  else call.write(response(typeUrl, '1', {}));
}

const server = new Server({ 'grpc.max_receive_message_length': 16 << 20 });
server.addService(readServices().aggregatedDiscovery, {
  StreamAggregatedResources: (call: Call) => call.end(),
  DeltaAggregatedResources: (call: Call) => {
    calls.add(call);
    call.on('data', (request: DeltaDiscoveryRequest) => answer(call, request));
    call.on('error', () => calls.delete(call));
    call.on('end', () => {
      calls.delete(call);
      call.end();
    });
  },
});
server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  process.send?.({ port });
});
process.on('message', ({ text }: { readonly text: string }) => {
  const message = response(types.endpoints, text, { [cluster]: endpoints(text) });
  for (const call of calls) call.write(message);
});
process.on('disconnect', () => process.exit(0));
