import type { ConfigObject } from './object.ts';
import { kubernetesKind } from './kind.ts';
import { map, message, type Spec, string } from './schema.ts';

export const secretBody = message({
  /** Opaque when absent. */
  type: string(),
  /** Base64. */
  data: map(string()),
  /** Plain text; wins over `data` of the same key, as in the API server. */
  stringData: map(string()),
});
export type SecretBody = Spec<typeof secretBody>;
export type Secret = ConfigObject<'Secret', SecretBody>;

export const secret = kubernetesKind({ kind: 'Secret', plural: 'secrets', group: '', body: 'object', schema: secretBody });
