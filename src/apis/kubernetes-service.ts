import type { ConfigObject } from './object.ts';
import { kubernetesKind } from './kind.ts';
import { bool, int32, intOrString, list, map, message, oneOfWords, type Spec, string } from './schema.ts';

export const kubernetesServicePort = message(
  {
    name: string(),
    /** TCP when absent. */
    protocol: oneOfWords(['TCP', 'UDP', 'SCTP']),
    appProtocol: string(),
    port: int32({ minimum: 1, maximum: 65535 }),
    /** A number, or the name of a container port; `port` when absent. */
    targetPort: intOrString(),
    nodePort: int32(),
  },
  ['port'],
);
export type KubernetesServicePort = Spec<typeof kubernetesServicePort>;

export const kubernetesServiceSpec = message({
  type: oneOfWords(['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName']),
  /** `None` for a headless service. */
  clusterIP: string(),
  clusterIPs: list(string()),
  ports: list(kubernetesServicePort),
  selector: map(string()),
  externalName: string(),
  externalIPs: list(string()),
  publishNotReadyAddresses: bool(),
  internalTrafficPolicy: oneOfWords(['Cluster', 'Local']),
  externalTrafficPolicy: oneOfWords(['Cluster', 'Local']),
  sessionAffinity: oneOfWords(['ClientIP', 'None']),
  trafficDistribution: string(),
  ipFamilyPolicy: string(),
  ipFamilies: list(string()),
});
export type KubernetesServiceSpec = Spec<typeof kubernetesServiceSpec>;

export const kubernetesServiceStatus = message({
  loadBalancer: message({ ingress: list(message({ ip: string(), hostname: string() })) }),
});
type KubernetesServiceStatus = Spec<typeof kubernetesServiceStatus>;
export type KubernetesService = ConfigObject<'Service', KubernetesServiceSpec> & { readonly status?: KubernetesServiceStatus };

export const kubernetesService = kubernetesKind({
  kind: 'Service',
  plural: 'services',
  group: '',
  body: 'spec',
  schema: kubernetesServiceSpec,
  status: kubernetesServiceStatus,
});
