import { expect, test } from 'vitest';
import { isLazy } from './lazy.ts';

test.each([
  [undefined, undefined, undefined, false],
  [undefined, undefined, 'true', true],
  [undefined, 'false', 'true', false],
  ['true', 'false', undefined, true],
  ['false', 'true', 'true', false],
  // No word: the next one counts.
  ['yes', 'true', undefined, true],
  ['', undefined, 'true', true],
])('workload %s, namespace %s, mesh %s: %s', (workload, namespace, mesh, expected) => {
  expect(isLazy(workload, namespace, mesh)).toBe(expected);
});
