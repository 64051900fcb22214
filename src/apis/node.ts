import type { ConfigObject } from './object.ts';
import { kubernetesKind } from './kind.ts';
import { list, message, type Spec, string } from './schema.ts';

/** A node speaks by its topology labels, which are the locality of its pods, and by the addresses at which a NodePort is reached from elsewhere. */
export const nodeBody = message({ status: message({ addresses: list(message({ type: string(), address: string() })) }) });
export type NodeBody = Spec<typeof nodeBody>;
export type Node = ConfigObject<'Node', NodeBody>;

export const node = kubernetesKind({ kind: 'Node', plural: 'nodes', group: '', scope: 'Cluster', body: 'object', schema: nodeBody });
