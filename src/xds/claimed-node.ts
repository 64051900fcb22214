import type { Node } from '#gen/envoy/config/core/v3/base_pb.js';
import type { ClaimedNode } from './source.ts';

/** Longest id, cluster and other texts of a node. */
const maxTextLength = 1024;
/** Metadata as JSON; a pod's labels and annotations are at most 256 KiB. */
const maxMetadataLength = 512 * 1024;
/** Stock Envoy 1.40 lists 516. */
const maxExtensions = 4096;

/** What a proxy says of itself, or what is wrong with it. */
export function claimedNode(node: Node | undefined): ClaimedNode | string {
  if (node === undefined) return 'the first request of a stream needs a node';
  if (node.id === '') return 'node.id is empty';
  const { locality } = node;
  const texts = [node.id, node.cluster, node.userAgentName, locality?.region, locality?.zone, locality?.subZone];
  if (texts.some((text) => (text?.length ?? 0) > maxTextLength)) return `a text of the node is longer than ${maxTextLength} characters`;
  if (node.extensions.length > maxExtensions) return `node.extensions has more than ${maxExtensions} entries`;
  const metadata = node.metadata ?? {};
  if (JSON.stringify(metadata).length > maxMetadataLength) return `node.metadata is longer than ${maxMetadataLength} characters as JSON`;
  return {
    id: node.id,
    cluster: node.cluster,
    metadata,
    userAgentName: node.userAgentName,
    userAgentVersion: userAgentVersion(node),
    ...(locality !== undefined && { locality: { region: locality.region, zone: locality.zone, subZone: locality.subZone } }),
    ...(node.extensions.length > 0 && { extensions: new Set(node.extensions.map((extension) => extension.name)) }),
  };
}

function userAgentVersion({ userAgentVersionType: version }: Node): string {
  if (version.case === 'userAgentVersion') return version.value;
  if (version.case !== 'userAgentBuildVersion') return '';
  const { majorNumber = 0, minorNumber = 0, patch = 0 } = version.value.version ?? {};
  return `${majorNumber}.${minorNumber}.${patch}`;
}
