import { describe, expect, it } from 'vitest';
import { trafficDistribution } from './traffic-distribution.ts';

describe('traffic distribution', () => {
  const annotation = (value: string) => ({ 'networking.istio.io/traffic-distribution': value });

  it.each([
    ['PreferClose', {}, undefined, 'PreferSameZone'],
    ['PreferSameZone', annotation('PreferSameNode'), undefined, 'PreferSameZone'],
    ['PreferSameNode', {}, undefined, 'PreferSameNode'],
    // Kubernetes' words are exact; an unknown one leaves the say to the annotation.
    ['preferclose', {}, undefined, undefined],
    ['example.com/Other', annotation('prefersamenode'), undefined, 'PreferSameNode'],
    [undefined, annotation('PreferClose'), 'PreferSameNode', 'PreferSameZone'],
    [undefined, annotation('Any'), 'PreferClose', undefined],
    [undefined, annotation(''), 'PreferClose', 'PreferSameZone'],
    [undefined, {}, 'PreferSameNode', 'PreferSameNode'],
    [undefined, {}, undefined, undefined],
  ] as const)('field %s, annotations %j, namespace %s: %s', (field, annotations, namespace, expected) => {
    expect(trafficDistribution(field, annotations, () => namespace)).toBe(expected);
  });
});
