import { expect, test } from 'vitest';
import { Inventory } from './inventory.ts';
import { streamsOf } from './streams.ts';

const stream = streamsOf('istio-system', 'default').find(({ name }) => name === 'virtualservices');
if (stream === undefined) throw new Error('VirtualServices are not read');
const ofRoutes = stream;

/** With a timeout that is none, unless it is well. */
function put(inventory: Inventory, name: string, version: number, well = false): void {
  const metadata = { namespace: 'shop', name, resourceVersion: String(version) };
  inventory.put(ofRoutes, 'networking.istio.io/v1', {
    metadata,
    spec: { hosts: [name], http: [{ timeout: well ? '1s' : `soon-${version}`, route: [{ destination: { host: name } }] }] },
  });
}

test.each([1, 50, 5_000])('a change tells the problems of what has changed, beside %i objects with problems', (count) => {
  const inventory = new Inventory(undefined);
  for (let i = 0; i < count; i++) put(inventory, `r${i}`, 1);
  expect(inventory.takeChange().problems.size).toBe(count);
  expect(inventory.takeChange().problems.size).toBe(0);
  put(inventory, 'well', 2, true);
  expect(inventory.takeChange().problems.size).toBe(0);
  put(inventory, 'r0', 3);
  expect([...inventory.takeChange().problems].map(([place, [problem]]) => [place, problem?.path])).toEqual([
    ['object VirtualService/shop/r0', 'spec.http[0].timeout'],
  ]);
  put(inventory, 'r0', 4, true);
  expect([...inventory.takeChange().problems]).toEqual([['object VirtualService/shop/r0', []]]);
});
