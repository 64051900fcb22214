import { expect, test } from 'vitest';
import { parseObject } from '../../src/apis/parse.ts';
import { changeNames, changeScenarios, movedEndpoint } from './changes.ts';
import type { Change } from './edit.ts';
import { folderManifests } from './entries.ts';
import {
  checkSize,
  envoyProxy,
  type Item,
  layouts,
  type Manifest,
  meshItems,
  type MeshSize,
  namespaceNames,
  simulatedProxies,
} from './mesh.ts';

const size: MeshSize = { services: 20, virtualServices: 4, proxies: 30, layout: 'default' };

function manifests(items: readonly Item[]): Manifest[] {
  return items.flatMap(folderManifests);
}

test.each(layouts)('the manifests of layout %s are what they should be, and the control plane finds nothing wrong with them', (layout) => {
  const sized = { ...size, layout };
  const objects = manifests(meshItems(sized));
  const kinds = Object.groupBy(objects, ({ kind }) => kind);
  expect([kinds['Service']?.length, kinds['WorkloadEntry']?.length, kinds['VirtualService']?.length]).toEqual([20, 60, 4]);
  expect(kinds['Namespace']?.length).toBe({ default: 11, namespaces: 16, sidecars: 11 }[layout]);
  expect(kinds['Sidecar']?.length ?? 0).toBe(layout === 'sidecars' ? 10 : 0);
  const changes = changeScenarios(sized, 5).flatMap(({ prepare, change }) => [
    change(5, 5),
    ...(prepare === undefined ? [] : [prepare(5, 2)]),
  ]);
  const changed = manifests(changes.flatMap(({ edit }) => edit.put ?? []));
  expect([...objects, ...changed].flatMap((object) => parseObject(object, {}).problems)).toEqual([]);
});

test('every proxy is an endpoint of its own, in all namespaces, and never the one that changes', () => {
  const proxies = [...simulatedProxies(size), envoyProxy(size)];
  expect(new Set(proxies.map(({ address }) => address)).size).toBe(31);
  expect(new Set(proxies.map(({ namespace }) => namespace)).size).toBe(10);
  expect(proxies.filter(({ name }) => name.endsWith('-2'))).toEqual([]);
  const endpoints = meshItems(size).flatMap((item) => ('service' in item ? item.service.endpoints : []));
  const proxied = endpoints.filter((endpoint) => endpoint.proxied).map(({ address }) => address);
  expect(proxied.toSorted()).toEqual(proxies.map(({ address }) => address).toSorted());
});

test('each change is marked by something that the mesh does not hold, and by no part of the mark of another', () => {
  const all = changeScenarios(size, 3);
  expect(all.map(({ name }) => name)).toEqual(changeNames);
  const texts = all.flatMap(({ name, change }) =>
    // A Sidecar shows services that are there, to a namespace that had not seen them; a label hides what others have.
    name === 'sidecar' || name === 'namespace-label' ? [] : Array.from({ length: 200 }, (_, n) => marksOf(change(n, 0))).flat(),
  );
  texts.push(
    ...Array.from({ length: 200 }, (_, n) => [movedEndpoint(size, 0, n, 202).address, movedEndpoint(size, 0, n, 201).address]).flat(),
  );
  // What is removed had to be added before.
  const unique = new Set(texts);
  expect(unique.size).toBe(texts.length);
  const initial = JSON.stringify(manifests(meshItems(size)));
  expect(texts.filter((text) => initial.includes(text))).toEqual([]);
  const few = texts.filter((_text, i) => i % 7 === 0);
  expect(few.filter((text) => few.some((other) => other !== text && other.includes(text)))).toEqual([]);
});

function marksOf({ mark }: Change): readonly string[] {
  return mark.kind === 'text' ? [mark.text] : mark.names;
}

test('with a Sidecar in each namespace a change concerns only those that see it, and somebody does', () => {
  const sidecars: MeshSize = { ...size, proxies: 4, layout: 'sidecars' };
  const proxies = simulatedProxies(sidecars);
  expect(namespaceNames(sidecars)).toHaveLength(10);
  for (const { change } of changeScenarios(sidecars, 3))
    for (let n = 0; n < 50; n++) expect(proxies.filter(change(n, 0).concerns).length).toBeGreaterThan(0);
  const [endpoint] = changeScenarios(sidecars, 3);
  expect(proxies.filter((proxy) => endpoint?.change(3, 0).concerns(proxy))).toHaveLength(1);
});

test('a size that cannot be is refused in words', () => {
  expect(checkSize(size)).toBeUndefined();
  expect(checkSize({ ...size, proxies: 40 })).toBe(
    'proxies must be 1 to 39: each is an endpoint of its own, 2 for every service, and one is for a real Envoy',
  );
  expect(checkSize({ ...size, virtualServices: 21 })).toBe('there can be as many VirtualServices as services, 20');
  expect(checkSize({ ...size, services: 0 })).toBe('services must be 3 to 10000, not 0');
  expect(checkSize({ services: 10, virtualServices: 0, proxies: 19, layout: 'namespaces' })).toBeUndefined();
  expect(checkSize({ services: 3, virtualServices: 0, proxies: 5, layout: 'namespaces' })).toBeUndefined();
});
