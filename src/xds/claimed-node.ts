import type { Node } from '#gen/envoy/config/core/v3/base_pb.js';
import type { ClaimedNode } from './source.ts';

/** Longest id, cluster and other texts of a node. */
const maxTextBytes = 1024;

/** What a proxy says of itself, or what is wrong with it. */
export function claimedNode(node: Node | undefined): ClaimedNode | string {
  if (node === undefined) return 'the first request of a stream needs a node';
  if (node.id === '') return 'node.id is empty';
  const { locality } = node;
  const texts = [node.id, node.cluster, node.userAgentName, locality?.region, locality?.zone, locality?.subZone];
  if (texts.some((text) => (text?.length ?? 0) > maxTextBytes)) return `a text of the node is longer than ${maxTextBytes} characters`;
  return {
    id: node.id,
    cluster: node.cluster,
    metadata: metadataOf(node),
    userAgentName: node.userAgentName,
    userAgentVersion: userAgentVersion(node),
    ...(locality !== undefined && { locality: { region: locality.region, zone: locality.zone, subZone: locality.subZone } }),
    ...(node.extensions.length > 0 && { extensions: new Set(node.extensions.map((extension) => extension.name)) }),
  };
}

/** Bytes of a node that are accepted: Envoy lists 516 extensions, with their types and versions about 100 KB. */
export const maxNodeBytes = 512 * 1024;

function metadataOf(node: Node): Readonly<Record<string, unknown>> {
  // The generated runtime represents google.protobuf.Struct as a JSON object already.
  return node.metadata ?? {};
}

function userAgentVersion({ userAgentVersionType: version }: Node): string {
  if (version.case === 'userAgentVersion') return version.value;
  if (version.case !== 'userAgentBuildVersion') return '';
  const { majorNumber = 0, minorNumber = 0, patch = 0 } = version.value.version ?? {};
  return `${majorNumber}.${minorNumber}.${patch}`;
}

