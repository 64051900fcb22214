import { create, type JsonObject } from '@bufbuild/protobuf';
import { type Node, NodeSchema } from '#gen/envoy/config/core/v3/base_pb.js';
import type { NodeOptions } from './options.ts';

/**
 * The node in Istio's form: four parts joined by `~` (type, address, `name.namespace`, DNS domain), and metadata by Istio's keys.
 * What the proxy can do is not written here: Envoy itself adds its version and the extensions that it was built with.
 */
export function buildNode(options: NodeOptions): Node {
  const { type, name, namespace, ips, locality } = options;
  const metadata = {
    ...options.metadata,
    NAME: name,
    NAMESPACE: namespace,
    SERVICE_ACCOUNT: options.serviceAccount,
    INSTANCE_IPS: ips.join(','),
  };
  return create(NodeSchema, {
    id: [type, ips[0], `${name}.${namespace}`, `${namespace}.svc.${options.domainSuffix}`].join('~'),
    cluster: options.serviceCluster,
    locality,
    metadata: metadata as JsonObject,
  });
}
