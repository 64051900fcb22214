/** Where the endpoints of a service are preferred, as Kubernetes and Istio let a Service say it. Source: Istio, pilot/pkg/model/service.go. */

export type TrafficDistribution = 'PreferSameZone' | 'PreferSameNode';

export const trafficDistributionAnnotation = 'networking.istio.io/traffic-distribution';

const words: Readonly<Record<string, TrafficDistribution>> = {
  preferclose: 'PreferSameZone',
  prefersamezone: 'PreferSameZone',
  prefersamenode: 'PreferSameNode',
};

/**
 * By the field, else the annotation, else the annotation of its namespace; undefined: anywhere. An annotation with any other word ends the search, a
 * field does not. Kubernetes' words are exact, those of annotations are not.
 */
export function trafficDistribution(
  field: string | undefined,
  annotations: Readonly<Record<string, string>>,
  ofNamespace: () => string | undefined,
): TrafficDistribution | undefined {
  if (field === 'PreferClose' || field === 'PreferSameZone') return 'PreferSameZone';
  if (field === 'PreferSameNode') return 'PreferSameNode';
  const annotated = annotations[trafficDistributionAnnotation] ?? '';
  return words[(annotated === '' ? (ofNamespace() ?? '') : annotated).toLowerCase()];
}
