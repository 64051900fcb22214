import { expect, test } from 'vitest';
import { fingerprint } from './fingerprint.ts';

test('differs for 100,000 similar texts', () => {
  const seen = new Set<string>();
  for (let i = 0; i < 100_000; i++) seen.add(fingerprint(`12 of ${i} proxies`));
  expect(seen.size).toBe(100_000);
  expect(fingerprint('a')).toBe(fingerprint('a'));
});
