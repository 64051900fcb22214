import { create } from '@bufbuild/protobuf';
import { type Cluster, Cluster_DiscoveryType, Cluster_LbPolicy, ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { isHttp, type Protocol } from '../../mesh/model.ts';
import { clusterName } from '../../mesh/names.ts';
import { buildAddress } from '../address.ts';
import { istioMetadata } from '../config-metadata.ts';
import { durationOf } from '../duration.ts';
import type { InboundPort, InboundWorkload } from '../listeners/inbound-workload.ts';
import { buildCircuitBreakers } from './connection-pool.ts';
import { buildHttpOptions, type UpstreamProtocol } from './http-options.ts';
import { inboundBind } from './special.ts';

/** One cluster per port, `inbound|<port>||`, in order of the ports. InboundPassthroughCluster is built elsewhere. */
export function buildInboundClusters(workload: InboundWorkload): Cluster[] {
  return [...workload.ports].sort((a, b) => a.number - b.number).map((port) => inboundCluster(port, workload));
}

function inboundCluster(port: InboundPort, { mesh, family }: InboundWorkload): Cluster {
  const name = clusterName('inbound', port.number, '', '');
  const { endpoint } = port;
  const httpOptions = buildHttpOptions({ protocol: protocolTo(port.protocol), policy: {}, autoSni: false, autoSanValidation: false });
  const common = {
    name,
    altStatName: `${name};`,
    connectTimeout: durationOf(mesh.connectTimeout),
    circuitBreakers: buildCircuitBreakers({}),
    ...(httpOptions && { typedExtensionProtocolOptions: httpOptions }),
    metadata: { filterMetadata: { [istioMetadata]: { services: port.hosts.map((host) => serviceFact(host, port)) } } },
  };
  if (endpoint.kind === 'original-destination') {
    return create(ClusterSchema, {
      ...common,
      clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST },
      lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
      // The destination is always the workload: forgetting it after the default of 5 s would only lose its connections.
      // A century: Istio's 9223372036 s is one more than Envoy can hold.
      cleanupInterval: { seconds: 3_155_760_000n },
      upstreamBindConfig: inboundBind(family),
    });
  }
  const address = endpoint.kind === 'unix' ? buildAddress(`unix://${endpoint.path}`, 0) : buildAddress(endpoint.address, endpoint.port);
  const local = endpoint.kind === 'unix' || endpoint.address === '127.0.0.1' || endpoint.address === '::1';
  return create(ClusterSchema, {
    ...common,
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
    lbPolicy: Cluster_LbPolicy.ROUND_ROBIN,
    loadAssignment: {
      clusterName: name,
      endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: 'endpoint', value: { address } } }] }],
    },
    ...(!local && { upstreamBindConfig: inboundBind(family) }),
  });
}

function serviceFact(host: string, port: InboundPort) {
  const own = port.service !== undefined && host === port.hosts[0] ? port.service : undefined;
  return { host, ...(own && { name: own.name, namespace: own.namespace }) };
}

/** A declared protocol is what the workload speaks, whatever the version between the proxies; a sniffed port gets what the client spoke. */
function protocolTo(protocol: Protocol): UpstreamProtocol {
  if (protocol === 'http2' || protocol === 'grpc' || protocol === 'grpc-web') return 'http2';
  return isHttp(protocol) || protocol !== 'auto' ? 'http1' : 'downstream';
}
