/** Labels that endpoints and proxies have by where they are. Source: Istio, pkg/labels.AugmentLabels. */
import type { Labels } from '../../lib/labels.ts';
import type { Endpoint, Locality } from '../../mesh/model.ts';

export const networkLabel = 'topology.istio.io/network';

/** An endpoint or a proxy. */
interface Place {
  readonly labels: Labels;
  readonly locality: Locality;
  readonly node?: string;
  readonly network?: string;
  readonly cluster?: string;
}

/** What everything has by where it is, whatever its own labels say; only the network is the other way round. */
export function labelOf({ labels, locality, node, network, cluster }: Place, label: string): string {
  const own = labels[label] ?? '';
  switch (label) {
    case 'topology.kubernetes.io/region':
      return locality.region || own;
    case 'topology.kubernetes.io/zone':
      return locality.zone || own;
    case 'topology.istio.io/subzone':
      return locality.subZone || own;
    case 'kubernetes.io/hostname':
      return node ?? own;
    case 'topology.istio.io/cluster':
      return cluster ?? own;
    case networkLabel:
      return own === '' ? (network ?? '') : own;
    default:
      return own;
  }
}

/** Whether a subset has the endpoint: by its workload's labels, or by those of its place, such as `topology.istio.io/cluster`. */
export function isInSubset(endpoint: Endpoint, subset: Labels): boolean {
  for (const label in subset) {
    const value = subset[label];
    if (labelOf(endpoint, label) !== value || (value === '' && !Object.hasOwn(endpoint.labels, label))) return false;
  }
  return true;
}
