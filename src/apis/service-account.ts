import type { ConfigObject } from './object.ts';
import { kubernetesKind } from './kind.ts';
import { message, type Spec } from './schema.ts';

/** An account is its name: the identity `spiffe://<trust domain>/ns/<namespace>/sa/<name>`. */
export const serviceAccountBody = message({});
export type ServiceAccountBody = Spec<typeof serviceAccountBody>;
export type ServiceAccount = ConfigObject<'ServiceAccount', ServiceAccountBody>;

export const serviceAccount = kubernetesKind({
  kind: 'ServiceAccount',
  plural: 'serviceaccounts',
  group: '',
  body: 'object',
  schema: serviceAccountBody,
});
