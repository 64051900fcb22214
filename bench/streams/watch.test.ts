import { expect, test } from 'vitest';
import type { Content } from './response.ts';
import * as types from './types.ts';
import { Watch } from './watch.ts';

function content(names: readonly string[], removed: readonly string[] = []): Content {
  return {
    type: types.clusters,
    resources: names.map((name) => ({ name, version: '', references: [], vhds: false })),
    removed,
    references: [],
  };
}

const nothing = Buffer.alloc(0);

test('a text is looked for in responses of its types only, and the first receipt counts', async () => {
  const watch = new Watch({ kind: 'text', types: [types.clusters], text: 'abc' }, [true, true]);
  watch.receive(0, Buffer.from('xabcx'), { ...content([]), type: types.endpoints }, false, 1);
  watch.receive(0, Buffer.from('xabx'), content([]), false, 2);
  watch.receive(0, Buffer.from('xabcx'), content([]), false, 3);
  watch.receive(0, Buffer.from('abc'), content([]), false, 4);
  expect(watch.receivedMs).toEqual([3, Number.NaN]);
  watch.receive(1, Buffer.from('abc'), content([]), false, 5);
  await watch.complete;
  expect(watch.receivedMs).toEqual([3, 5]);
});

test('names may come in several responses, and each proxy needs all of them', () => {
  const watch = new Watch({ kind: 'names', types: [types.clusters], names: ['a', 'b'] }, [true, true]);
  watch.receive(0, nothing, content(['a', 'x']), false, 1);
  watch.receive(1, nothing, content(['a', 'b']), false, 2);
  expect(watch.receivedMs).toEqual([Number.NaN, 2]);
  watch.receive(0, nothing, content(['b']), false, 3);
  expect(watch.receivedMs).toEqual([3, 2]);
});

test('what is removed is told, or left out of a whole', () => {
  const watch = new Watch({ kind: 'removed', types: [types.clusters], names: ['a', 'b'] }, [true, true]);
  watch.receive(0, nothing, content([], ['a']), false, 1);
  watch.receive(1, nothing, content(['b', 'x']), true, 2);
  expect(watch.receivedMs).toEqual([Number.NaN, Number.NaN]);
  watch.receive(0, nothing, content([], ['b']), false, 3);
  watch.receive(1, nothing, content(['x']), true, 4);
  expect(watch.receivedMs).toEqual([3, 4]);
});

test('whom it does not concern is not waited for', async () => {
  const watch = new Watch({ kind: 'text', types: [types.clusters], text: 'a' }, [false, false]);
  await watch.complete;
  expect(watch.receivedMs).toEqual([]);
});
