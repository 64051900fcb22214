import { expect, test } from 'vitest';
import { type ConfigObject, objectKey } from '../apis/object.ts';
import { Objects } from '../mesh/objects.ts';
import { Graph } from '../store/graph.ts';
import { Intake } from './objects.ts';

function meshConfigMap(mesh: string): ConfigObject {
  return {
    kind: 'ConfigMap',
    apiVersion: 'v1',
    namespace: 'istio-system',
    name: 'istio',
    labels: {},
    annotations: {},
    spec: { data: { mesh } },
    origin: { file: 'mesh.yaml', line: 1 },
  };
}

test('the trust domain of the start stays, whatever becomes of the mesh configuration; the rest follows', () => {
  const objects = new Objects(new Graph());
  const intake = new Intake({ objects, changed: () => {}, event: () => {} });
  const set = (mesh: string): void => intake.apply({ upserts: [meshConfigMap(mesh)], deletes: [], problems: new Map() });
  const inForce = (): [string, string] => {
    const { trustDomain, rootNamespace } = objects.meshConfig();
    return [trustDomain, rootNamespace];
  };
  set('trustDomain: first.example\nrootNamespace: roots');
  expect(inForce()).toEqual(['first.example', 'roots']);
  intake.keepTrustDomain();
  set('trustDomain: second.example\nrootNamespace: others');
  expect(inForce()).toEqual(['first.example', 'others']);
  expect(intake.problems().map((p) => `${p.severity} ${p.object} ${p.path}: ${p.message}`)).toEqual([
    'warning ConfigMap/istio-system/istio data.mesh: trustDomain: the trust domain stays first.example and becomes second.example when mizzen discovery is started again',
  ]);
  set('trustDomain: first.example');
  expect(intake.problems()).toEqual([]);
  intake.apply({ upserts: [], deletes: [objectKey('ConfigMap', 'istio-system', 'istio')], problems: new Map() });
  expect([inForce()[0], intake.problems()[0]?.message]).toEqual([
    'first.example',
    'the trust domain stays first.example and becomes cluster.local when mizzen discovery is started again',
  ]);
});
