import { runInNewContext } from 'node:vm';
import { setFlagsFromString } from 'node:v8';
import { expect, test } from 'vitest';
import { Joined } from '../wire/join.ts';
import { type EncodedResource, SplitResource } from '../wire/resource.ts';
import { clusterType, endpointType, listenerType } from '../wire/types.ts';
import { deltaFrame, Encoder, type Step } from './encoder.ts';
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

function tableOf(resources: readonly EncodedResource[]): Table {
  return {
    version: 1,
    size: resources.length,
    hiddenSize: 0,
    get: (name) => resources.find((resource) => resource.name === name),
    hides: () => false,
    hiddenNames: () => [],
    names: () => resources.map(({ name }) => name).values(),
    namesUnder: () => [],
    changedSince: () => undefined,
  };
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

test('resources in pieces are not copied, and read as any other', () => {
  const shared = new Uint8Array(20_000).fill(7);
  const split = new SplitResource('in', 'v1', [Uint8Array.of(1, 2), shared, Uint8Array.of(3)]);
  const inOne = { name: split.name, version: split.version, bytes: split.bytes };
  const small = ['a', 'b', 'z'].map((name) => ({ name, version: 'v', bytes: Uint8Array.of(4) }));
  const [a, b, z] = small as [EncodedResource, EncodedResource, EncodedResource];
  const encode = (resources: readonly EncodedResource[]) => {
    const encoder = new Encoder();
    const table = tableOf(resources);
    const names = new Set(table.names());
    return [
      encoder.step(listenerType, table, names),
      ...(['delta', 'sotw'] as const).map((form) => encoder.whole(form, listenerType, table)),
    ];
  };
  const steps = encode([a, b, split, z]);
  for (const [i, step] of encode([a, b, inOne, z]).entries()) {
    expect(step.frames).toHaveLength(1);
    expect(steps[i]?.byteLength).toBe(step.byteLength);
    expect(new Joined(steps[i]?.frames ?? []).toBytes()).toEqual(new Uint8Array(step.frames[0] ?? []));
  }
  for (const { frames } of steps) expect(frames.filter((frame) => frame.buffer === shared.buffer)).toEqual([shared]);
  expect(new Joined(deltaFrame(listenerType, split, 'v2')).toBytes()).toEqual(deltaFrame(listenerType, inOne, 'v2')[0]);
});
