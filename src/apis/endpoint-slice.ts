import type { ConfigObject } from './object.ts';
import { kubernetesKind } from './kind.ts';
import { bool, int32, list, message, oneOfWords, type Spec, string } from './schema.ts';

export const endpoint = message(
  {
    addresses: list(string(), { maxItems: 100 }),
    conditions: message({ ready: bool(), serving: bool(), terminating: bool() }),
    hostname: string(),
    nodeName: string(),
    zone: string(),
    targetRef: message({ kind: string(), namespace: string(), name: string() }),
  },
  ['addresses'],
);
export type Endpoint = Spec<typeof endpoint>;

/** The service is named by the label `kubernetes.io/service-name`. */
export const endpointSliceBody = message({
  /** IPv4, IPv6 or FQDN; IPv4 when absent. */
  addressType: oneOfWords(['IPv4', 'IPv6', 'FQDN']),
  endpoints: list(endpoint, { maxItems: 1000 }),
  ports: list(
    message({
      name: string(),
      protocol: oneOfWords(['TCP', 'UDP', 'SCTP']),
      port: int32({ minimum: 1, maximum: 65535 }),
      appProtocol: string(),
    }),
  ),
});
export type EndpointSliceBody = Spec<typeof endpointSliceBody>;
export type EndpointSlice = ConfigObject<'EndpointSlice', EndpointSliceBody>;

export const endpointSlice = kubernetesKind({
  kind: 'EndpointSlice',
  plural: 'endpointslices',
  group: 'discovery.k8s.io',
  body: 'object',
  schema: endpointSliceBody,
});
