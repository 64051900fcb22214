import { expect, test } from 'vitest';
import { conditionsFingerprint, type Condition } from '../../apis/condition.ts';
import { objectKey } from '../../apis/object.ts';
import type { RawObject } from '../../kubernetes/list.ts';
import { Inventory } from './inventory.ts';
import { streamsOf } from './streams.ts';

const stream = (kind: string) => {
  const found = streamsOf('istio-system', 'default').find((s) => s.kind.kind === kind);
  if (found === undefined) throw new Error(`no stream for ${kind}`);
  return found;
};
const virtualServices = stream('VirtualService');
const reviews = objectKey('VirtualService', 'shop', 'reviews');
const programmed: Condition = {
  type: 'Programmed',
  status: 'True',
  reason: 'Programmed',
  message: '2 of 2 proxies',
  observedGeneration: 1,
};

function raw(resourceVersion: string, generation: number, conditions: readonly unknown[], host = 'reviews'): RawObject {
  return {
    metadata: { name: 'reviews', namespace: 'shop', resourceVersion, generation },
    spec: { hosts: [host], http: [{ route: [{ destination: { host: 'reviews' } }] }] },
    status: { conditions, validationMessages: [{ big: 'x'.repeat(1000) }] },
  };
}

function inventory() {
  const held = new Inventory(undefined);
  const told: [string, boolean][] = [];
  held.observed.listen((object, changed) => told.push([object, changed]));
  const put = (object: RawObject): void => {
    const trimmed = virtualServices.trim(object);
    if (trimmed === undefined) throw new Error('trimmed away');
    expect(JSON.stringify(trimmed).length).toBeLessThan(400);
    held.put(virtualServices, 'networking.istio.io/v1', trimmed);
  };
  return { held, told, put };
}

test('a write of status is seen and changes nothing that is translated', () => {
  const { held, told, put } = inventory();
  put(raw('1', 1, []));
  expect(held.takeChange().upserts).toHaveLength(1);
  put(
    raw('2', 1, [
      { ...programmed, lastTransitionTime: '2026-01-01T00:00:00Z' },
      { type: 'Other', status: 'True' },
    ]),
  );
  expect(held.dirty).toBe(false);
  expect(held.observed.get(reviews)).toEqual({
    apiVersion: 'networking.istio.io/v1',
    resourceVersion: '2',
    generation: 1,
    conditions: conditionsFingerprint([programmed]),
  });
  put(raw('3', 2, [], 'ratings'));
  expect(held.takeChange().upserts).toHaveLength(1);
  expect(told).toEqual([
    [reviews, true],
    [reviews, false],
    [reviews, true],
  ]);
});

test('a version that is refused is seen all the same', () => {
  const { held, put } = inventory();
  put(raw('1', 1, []));
  put({ ...raw('5', 2, []), spec: { hosts: 'reviews' } });
  expect(held.observed.get(reviews)).toMatchObject({ resourceVersion: '5', generation: 2 });
  held.delete(virtualServices, 'shop', 'reviews');
  expect(held.observed.get(reviews)).toBeUndefined();
});

test('kinds that nobody reads are observed; pods are not, nor objects of remote clusters', () => {
  const { held } = inventory();
  const telemetries = stream('Telemetry');
  const object: RawObject = { metadata: { name: 'logs', namespace: 'shop', resourceVersion: '1', generation: 1 }, spec: { much: 'text' } };
  const trimmed = telemetries.trim(object);
  expect(JSON.stringify(trimmed)).not.toContain('much');
  held.put(telemetries, 'telemetry.istio.io/v1', trimmed ?? {});
  held.put(stream('Pod'), 'v1', { metadata: { name: 'p', namespace: 'shop', resourceVersion: '1' } });
  expect([...held.observed.keys()]).toEqual([objectKey('Telemetry', 'shop', 'logs')]);
  const remote = new Inventory('east');
  remote.put(stream('Service'), 'v1', { metadata: { name: 's', namespace: 'shop', resourceVersion: '1' }, spec: {} });
  expect([...remote.observed.keys()]).toEqual([]);
});

test('the fingerprint of conditions is of what is ours, whatever the order, the times and the form of the generation', () => {
  const reconciled: Condition = { type: 'Reconciled', status: 'True', reason: 'Reconciled', message: 'translated', observedGeneration: 1 };
  const wanted = conditionsFingerprint([reconciled, programmed]);
  const read = [
    { ...programmed, lastTransitionTime: 'a', observedGeneration: '1' },
    { type: 'Other' },
    { ...reconciled, lastTransitionTime: 'b' },
  ];
  expect(conditionsFingerprint(read)).toBe(wanted);
  expect(conditionsFingerprint([reconciled, { ...programmed, observedGeneration: 2 }])).not.toBe(wanted);
  expect(conditionsFingerprint([reconciled, { ...programmed, status: 'False' }])).not.toBe(wanted);
  expect(conditionsFingerprint(undefined)).toBe('');
});
