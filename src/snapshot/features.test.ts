import { expect, test } from 'vitest';
import type { ConfigObject } from '../apis/object.ts';
import { features } from './features.ts';
import { nodeOf, openProxy, snapshotOf } from './testing/snapshots.ts';

function object(kind: string, name: string, spec: object): ConfigObject {
  return { kind, apiVersion: 'v1', namespace: 'shop', name, labels: {}, annotations: {}, spec, origin: {} };
}

const service = (i: number): ConfigObject =>
  object('Service', `s${i}`, { clusterIP: `10.0.${i >> 8}.${i & 255}`, selector: { app: `s${i}` }, ports: [{ name: 'http', port: 80 }] });
const pod = (i: number, net: number): ConfigObject =>
  object('WorkloadEntry', `s${i}-1`, { address: `${net}.0.${i >> 8}.${i & 255}`, labels: { app: `s${i}` } });

/** Each look at the clock is a millisecond later: what a change adds by feature, and how often the clock was looked at. */
function spent(services: number): { readonly by: (...changed: ConfigObject[]) => Record<string, number>; readonly first: string[] } {
  let nowMs = 0;
  const objects = Array.from({ length: services }, (_, i) => [service(i), pod(i, 11)]).flat();
  const snapshot = snapshotOf(objects, undefined, undefined, undefined, () => ++nowMs);
  openProxy(snapshot, nodeOf('s1-1', 'shop', { LABELS: { app: 's1' } }));
  const first = [...snapshot.translationMs.keys()];
  const by = (...changed: ConfigObject[]): Record<string, number> => {
    const before = new Map(snapshot.translationMs);
    for (const each of changed) snapshot.objects.put(each);
    snapshot.flush();
    const added = [...snapshot.translationMs].map(([feature, ms]): [string, number] => [feature, ms - (before.get(feature) ?? 0)]);
    return Object.fromEntries(added.filter(([, ms]) => ms > 0));
  };
  return { by, first };
}

test('the time of a translation is told by feature', () => {
  const { by, first } = spent(3);
  expect(first).toEqual(
    expect.arrayContaining(['model', 'plans', 'clusters', 'endpoints', 'listeners', 'routes', 'virtual hosts', 'inbound']),
  );
  expect(new Set(features).isSupersetOf(new Set(first))).toBe(true);
  expect(Object.keys(by(pod(2, 12)))).toEqual(expect.arrayContaining(['endpoints']));
  expect(by(pod(2, 13))).not.toHaveProperty('listeners');
  const policy = object('AuthorizationPolicy', 'p', { action: 'DENY', rules: [{ to: [{ operation: { methods: ['PUT'] } }] }] });
  const ofPolicy = by(policy);
  expect(ofPolicy).toMatchObject({ policies: 1 });
  expect(ofPolicy['inbound']).toBeGreaterThan(0);
  expect(ofPolicy).not.toHaveProperty('clusters');
  expect(by(object('Sidecar', 'default', { egress: [{ hosts: ['./*'] }] }))['sidecar']).toBeGreaterThan(0);
});

test('a change is measured in as many batches at 50 and at 1,000 services', () => {
  const [few, many] = [50, 1_000].map((services) => spent(services).by(pod(2, 12), service(services)));
  expect(many).toEqual(few);
});
