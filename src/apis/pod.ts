import type { ConfigObject } from './object.ts';
import { kubernetesKind } from './kind.ts';
import { bool, int32, list, message, type Spec, string } from './schema.ts';

/** What makes a pod a workload: where it runs, as whom, at which addresses, and its named ports. */
export const podBody = message({
  spec: message({
    serviceAccountName: string(),
    nodeName: string(),
    hostNetwork: bool(),
    containers: list(
      message({
        name: string(),
        ports: list(message({ name: string(), containerPort: int32(), protocol: string() })),
      }),
    ),
  }),
  status: message({
    podIP: string(),
    podIPs: list(message({ ip: string() })),
    phase: string(),
  }),
});
export type PodBody = Spec<typeof podBody>;
export type Pod = ConfigObject<'Pod', PodBody>;

export const pod = kubernetesKind({ kind: 'Pod', plural: 'pods', group: '', body: 'object', schema: podBody });
