import { expect, test } from 'vitest';
import type { EncodedResource } from '../wire/resource.ts';
import { clusterType } from '../wire/types.ts';
import { FakeTable } from './testing/fake-source.ts';
import { PartsView } from './view.ts';
import type { Part } from './source.ts';

const resource = (name: string, version: string): EncodedResource => ({ name, version, bytes: new Uint8Array(1) });

/** A table that counts the names that are walked and looked up. */
class CountingTable extends FakeTable {
  visits = 0;

  override get(name: string): EncodedResource | undefined {
    this.visits++;
    return super.get(name);
  }

  override names(): IterableIterator<string> {
    this.visits += this.size;
    return super.names();
  }
}

interface TablePart extends Part {
  readonly clusters: CountingTable;
}

function part(id: string, versions: Readonly<Record<string, string>>, hidden: readonly string[] = []): TablePart {
  const clusters = new CountingTable();
  for (const [name, version] of Object.entries(versions)) clusters.put(resource(name, version));
  for (const name of hidden) clusters.hide(name, true);
  clusters.flush();
  return { id, clusters, table: (type) => (type === clusterType ? clusters : undefined) };
}

test('two views are compared by the parts that differ, at 50 and at 1,000 names of the shared ones alike', () => {
  const visits = [50, 1_000].map((size) => {
    const shared = part('public', Object.fromEntries(Array.from({ length: size }, (_, i) => [`c${i}`, '1'])));
    const before = part('before', { own: '1', c7: '2' }, ['c8']);
    const after = part('after', { own: '1', c9: '1', c10: '5' });
    const view = new PartsView([shared, before]);
    const pointers = view.pointers(clusterType);
    shared.clusters.put(resource('c11', '2'));
    shared.clusters.flush();
    shared.clusters.visits = 0;
    // c9 is covered by the same; own stays.
    expect([...(view.differences(clusterType, pointers, new PartsView([shared, after])) ?? [])].sort()).toEqual(['c10', 'c11', 'c7', 'c8']);
    return shared.clusters.visits;
  });
  expect(visits[0]).toBeGreaterThan(0);
  expect(visits[1]).toBe(visits[0]);
});

test('the parts that differ tell all that does, whatever covers and hides, and in any order', () => {
  let state = 7;
  const random = (below: number): number => {
    state = (state * 1664525 + 1013904223) % 4294967296;
    return Math.floor((state / 4294967296) * below);
  };
  const names = ['a', 'b', 'c', 'd', 'e'];
  let found = 0;
  for (let round = 0; round < 2_000; round++) {
    const parts = Array.from({ length: 5 }, (_, i) => {
      const some = names.filter(() => random(3) === 0);
      return part(
        `p${i}`,
        Object.fromEntries(some.map((name) => [name, String(random(2))])),
        names.filter(() => random(6) === 0),
      );
    });
    const chosen = (): Part[] => parts.filter(() => random(2) === 0).sort(() => (round % 3 === 0 ? random(3) - 1 : 0));
    const [view, next] = [new PartsView(chosen()), new PartsView(chosen())];
    const expected = names.filter((name) => view.find(clusterType, name)?.version !== next.find(clusterType, name)?.version);
    expect([...(view.differences(clusterType, view.pointers(clusterType), next) ?? [])].sort()).toEqual(expected);
    found += expected.length;
  }
  expect(found).toBeGreaterThan(1_000);
});
