import { expect, test } from 'vitest';
import { objectKey, type ObjectKey } from '../apis/object.ts';
import { Ledger, type Effect } from './ledger.ts';

const a = objectKey('VirtualService', 'shop', 'a');
const b = objectKey('VirtualService', 'shop', 'b');

function effect(atMs: number, ...objects: ObjectKey[]): Effect {
  return { generation: atMs, atMs, objects: new Set(objects), changes: [], replanned: new WeakSet() };
}

test('effects of an object, oldest first, the last ones only', () => {
  const ledger = new Ledger({ maxPerObject: 3 });
  for (let at = 1; at <= 5; at++) ledger.add(effect(at, a));
  expect(ledger.of(a).map(({ atMs }) => atMs)).toEqual([3, 4, 5]);
  expect(ledger.of(b)).toEqual([]);
  expect(ledger.size).toBe(3);
});

test('what has settled is dropped', () => {
  const ledger = new Ledger();
  const both = effect(1, a, b);
  ledger.add(both);
  ledger.settled(a, both);
  expect(ledger.of(a)).toEqual([]);
  expect(ledger.of(b)).toEqual([both]);
  expect(ledger.size).toBe(1);
});

test('effects expire, by the last change of their object', () => {
  const ledger = new Ledger({ keepMs: 100 });
  ledger.add(effect(0, a));
  ledger.add(effect(50, b));
  ledger.add(effect(90, a));
  ledger.add(effect(160, objectKey('Service', 'shop', 'c')));
  expect(ledger.of(b)).toEqual([]);
  expect(ledger.of(a)).toHaveLength(2);
});

test('memory is bounded: the objects that changed longest ago go first', () => {
  const ledger = new Ledger({ maxEntries: 10 });
  for (let i = 0; i < 100; i++) ledger.add(effect(i, objectKey('Service', 'shop', `s-${i}`)));
  expect(ledger.size).toBe(10);
  expect(ledger.of(objectKey('Service', 'shop', 's-89'))).toEqual([]);
  expect(ledger.of(objectKey('Service', 'shop', 's-99'))).toHaveLength(1);
});
