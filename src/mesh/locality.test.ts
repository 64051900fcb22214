import { describe, expect, it } from 'vitest';
import type { DestinationRuleSpec } from '../apis/destination-rule.ts';
import { defaultMeshConfig } from '../apis/mesh-config.ts';
import { objectKey } from '../apis/object.ts';
import { dependsOnLocality } from './locality.ts';
import type { MeshDestinationRule } from './model.ts';

function rule(spec: Omit<DestinationRuleSpec, 'host'>): MeshDestinationRule {
  return { host: 'a', namespace: 'ns', exportTo: ['*'], spec: { host: 'a', ...spec }, objects: [objectKey('DestinationRule', 'ns', 'a')] };
}

describe('whether the locality of the client matters', () => {
  const outlierDetection = { consecutive5xxErrors: 1 };
  const distribute = [{ from: '*', to: { '*': 100 } }];

  it('only with outlier detection, or a distribution', () => {
    expect(dependsOnLocality(undefined, defaultMeshConfig)).toBe(false);
    expect(dependsOnLocality(rule({ trafficPolicy: {} }), defaultMeshConfig)).toBe(false);
    expect(dependsOnLocality(rule({ trafficPolicy: { outlierDetection } }), defaultMeshConfig)).toBe(true);
    expect(dependsOnLocality(rule({ trafficPolicy: { loadBalancer: { localityLbSetting: { distribute } } } }), defaultMeshConfig)).toBe(
      true,
    );
    expect(dependsOnLocality(undefined, { ...defaultMeshConfig, localityLbSetting: { enabled: true, distribute } })).toBe(true);
  });

  it('also of a subset, or of a port', () => {
    expect(dependsOnLocality(rule({ subsets: [{ name: 's', trafficPolicy: { outlierDetection } }] }), defaultMeshConfig)).toBe(true);
    const portLevelSettings = [{ port: { number: 80 }, outlierDetection }];
    expect(dependsOnLocality(rule({ trafficPolicy: { portLevelSettings } }), defaultMeshConfig)).toBe(true);
  });
});
