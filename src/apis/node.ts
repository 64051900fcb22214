import type { ConfigObject } from './object.ts';
import { kubernetesKind } from './kind.ts';
import { message, type Spec } from './schema.ts';

/** A node speaks by its topology labels alone: they are the locality of its pods. */
export const nodeBody = message({});
export type NodeBody = Spec<typeof nodeBody>;
export type Node = ConfigObject<'Node', NodeBody>;

export const node = kubernetesKind({ kind: 'Node', plural: 'nodes', group: '', scope: 'Cluster', body: 'object', schema: nodeBody });
