import { expect, test } from 'vitest';
import { parseObject } from '../../src/apis/parse.ts';
import { maxChanges, scenarioNames, scenarios } from './changes.ts';
import { checkSize, meshFiles, simulatedProxies } from './mesh.ts';

const size = { services: 20, virtualServices: 4, proxies: 30 };

test('the manifests are what they should be, and the control plane finds nothing wrong with them', () => {
  const files = meshFiles(size);
  expect(files.size).toBe(25);
  const objects = [...files.values()].flat();
  const kinds = Object.groupBy(objects, ({ kind }) => kind);
  expect([kinds['Service']?.length, kinds['WorkloadEntry']?.length, kinds['VirtualService']?.length]).toEqual([20, 60, 4]);
  expect(new Set(objects.map(({ metadata }) => metadata.namespace ?? metadata.name)).size).toBe(10);
  const changes = scenarios(size).flatMap(({ change }) => change(5).manifests);
  expect([...objects, ...changes].flatMap((object) => parseObject(object, {}).problems)).toEqual([]);
});

test('every proxy is an endpoint of its own, in all namespaces, and never the one that changes', () => {
  const proxies = simulatedProxies(size);
  expect(new Set(proxies.map(({ address }) => address)).size).toBe(30);
  expect(new Set(proxies.map(({ namespace }) => namespace)).size).toBe(10);
  expect(proxies.filter(({ name }) => name.endsWith('-2'))).toEqual([]);
  const endpoints = [...meshFiles(size).values()].flat().map(({ spec }) => spec?.['address']);
  expect(proxies.every(({ address }) => endpoints.includes(address))).toBe(true);
});

test('each change is marked by a text that nothing else holds', () => {
  const all = scenarios(size);
  expect(all.map(({ name }) => name)).toEqual(scenarioNames);
  const markers = all.flatMap(({ change }) => Array.from({ length: maxChanges }, (_, n) => change(n).marker));
  expect(new Set(markers).size).toBe(3 * maxChanges);
  const initial = JSON.stringify([...meshFiles(size).values()]);
  expect(markers.filter((marker) => initial.includes(marker))).toEqual([]);
  expect(markers.filter((marker) => markers.some((other) => other !== marker && other.includes(marker)))).toEqual([]);
});

test('a size that cannot be is refused in words', () => {
  expect(checkSize(size)).toBeUndefined();
  expect(checkSize({ ...size, proxies: 41 })).toBe('proxies must be 1 to 40: each is an endpoint of its own, 2 for every service');
  expect(checkSize({ ...size, virtualServices: 21 })).toBe('there can be as many VirtualServices as services, 20');
  expect(checkSize({ ...size, services: 0 })).toBe('services must be 1 to 10000, not 0');
});
