import { runInNewContext } from 'node:vm';
import { setFlagsFromString } from 'node:v8';
import { expect, test } from 'vitest';
import { clusterType, endpointType } from '../wire/types.ts';
import type { EncodedResource } from '../wire/resource.ts';
import { Encoder, type Step } from './encoder.ts';
import type { Table } from './source.ts';

/** One resource; each change is a step that the table goes on knowing. */
class ChangingTable implements Table {
  version = 0;
  readonly size = 1;
  readonly hiddenSize = 0;
  readonly steps: ReadonlySet<string>[] = [];
  #resource: EncodedResource = { name: 'listener', version: '0', bytes: new Uint8Array(0) };

  change(): ReadonlySet<string> {
    this.#resource = { name: 'listener', version: String(++this.version), bytes: new Uint8Array(60_000) };
    const names = new Set(['listener']);
    this.steps.push(names);
    return names;
  }

  get(): EncodedResource {
    return this.#resource;
  }

  hides(): boolean {
    return false;
  }

  hiddenNames(): Iterable<string> {
    return [];
  }

  names(): IterableIterator<string> {
    return ['listener'].values();
  }

  namesUnder(): Iterable<string> {
    return [];
  }

  changedSince(): ReadonlySet<string> | undefined {
    return undefined;
  }
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

test('a step is shared from the second stream on, for as long as the table has that version', () => {
  const encoder = new Encoder();
  const table = new ChangingTable();
  const names = table.change();
  const [first, second, third] = [1, 2, 3].map(() => encoder.step(clusterType, table, names));
  expect(second).toEqual(first);
  expect(third).toBe(second);
  table.change();
  expect(encoder.step(clusterType, table, names).resources[0]?.version).toBe('2');
});

test('bytes of earlier versions are not kept, although the table knows the steps that led to it', async () => {
  const encoder = new Encoder();
  const table = new ChangingTable();
  const kept: WeakRef<Step>[] = [];
  for (let n = 0; n < 20; n++) {
    const names = table.change();
    for (let stream = 0; stream < 3; stream++) kept.push(new WeakRef(encoder.step(clusterType, table, names)));
    for (let stream = 0; stream < 3; stream++) kept.push(new WeakRef(encoder.whole('delta', clusterType, table)));
  }
  // A WeakRef holds its target until the end of the turn in which it was made.
  await new Promise((resolve) => setImmediate(resolve));
  collectGarbage();
  // The present one in both forms.
  expect(new Set(kept.map((ref) => ref.deref()).filter((step) => step !== undefined)).size).toBeLessThanOrEqual(2);
  expect(table.steps).toHaveLength(20);
});

test('empty endpoints of a name are encoded once for all streams, and clients do not choose how many are kept', () => {
  const encoder = new Encoder();
  const first = encoder.emptyLoadAssignment('a');
  expect(new TextDecoder().decode(first.bytes)).toBe('\n\u0001a');
  expect(encoder.emptyLoadAssignment('a')).toBe(first);
  expect(encoder.frame(endpointType, encoder.emptyLoadAssignment('a'))).toBe(encoder.frame(endpointType, first));
  const long = 'x'.repeat(513);
  expect(encoder.emptyLoadAssignment(long)).not.toBe(encoder.emptyLoadAssignment(long));
  for (let i = 0; i < 4096; i++) encoder.emptyLoadAssignment(`other-${i}`);
  expect(encoder.emptyLoadAssignment('a')).not.toBe(first);
});
