import { expect, test } from 'vitest';
import { shows } from './real.ts';

test('names stand in quotes, so that one is not part of another', () => {
  const dump = '{"name": "outbound|80||a.ns", "text": "canary-1000"}';
  expect(shows(dump, { kind: 'text', types: [], text: 'canary-1000' })).toBe(true);
  expect(shows(dump, { kind: 'names', types: [], names: ['outbound|80||a.ns'] })).toBe(true);
  expect(shows(dump, { kind: 'names', types: [], names: ['outbound|80||a.ns', 'b'] })).toBe(false);
  expect(shows(dump, { kind: 'removed', types: [], names: ['outbound|80||a'] })).toBe(true);
  expect(shows(dump, { kind: 'removed', types: [], names: ['outbound|80||a.ns'] })).toBe(false);
});
