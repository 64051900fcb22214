import type { ConfigObject } from './object.ts';
import { kubernetesKind } from './kind.ts';
import { message, type Spec } from './schema.ts';

/** A namespace speaks by its labels and annotations alone. */
export const namespaceSpec = message({});
export type NamespaceSpec = Spec<typeof namespaceSpec>;
export type Namespace = ConfigObject<'Namespace', NamespaceSpec>;

export const namespace = kubernetesKind({
  kind: 'Namespace',
  plural: 'namespaces',
  group: '',
  scope: 'Cluster',
  body: 'spec',
  schema: namespaceSpec,
});
