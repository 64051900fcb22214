import { create, type JsonObject, toBinary } from '@bufbuild/protobuf';
import { NodeSchema } from '#gen/envoy/config/core/v3/base_pb.js';
import type { SimulatedProxy } from './mesh.ts';

/** The encoded Node of a sidecar in Istio's form, as its own proxy sends it. */
export function nodeOf({ name, namespace, address, serviceAccount, labels }: SimulatedProxy): Uint8Array {
  const metadata: JsonObject = {
    NAME: name,
    NAMESPACE: namespace,
    SERVICE_ACCOUNT: serviceAccount,
    INSTANCE_IPS: address,
    LABELS: { ...labels },
    CLUSTER_ID: 'Kubernetes',
    MESH_ID: 'cluster.local',
    INTERCEPTION_MODE: 'REDIRECT',
    ISTIO_VERSION: '1.32.0',
  };
  const id = `sidecar~${address}~${name}.${namespace}~${namespace}.svc.cluster.local`;
  return toBinary(NodeSchema, create(NodeSchema, { id, cluster: `${labels['app']}.${namespace}`, metadata }));
}
