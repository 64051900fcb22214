import type { ConfigObject } from './object.ts';
import { kubernetesKind } from './kind.ts';
import { map, message, type Spec, string } from './schema.ts';

export const configMapBody = message({
  data: map(string()),
  /** Base64. */
  binaryData: map(string()),
});
export type ConfigMapBody = Spec<typeof configMapBody>;
export type ConfigMap = ConfigObject<'ConfigMap', ConfigMapBody>;

/** Of the mesh configuration, in the namespace of the control plane; each revision has its own. */
export function meshConfigMapName(revision: string): string {
  return revision === 'default' ? 'istio' : `istio-${revision}`;
}

export const configMap = kubernetesKind({ kind: 'ConfigMap', plural: 'configmaps', group: '', body: 'object', schema: configMapBody });
