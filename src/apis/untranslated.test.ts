import { expect, it } from 'vitest';
import { untranslatedPaths, uncoveredPaths } from './untranslated.ts';

it('finds the outermost paths that no pattern covers', () => {
  const patterns = ['spec.hosts', 'spec.http[].match[].headers', 'spec.http[].retries.attempts', 'spec.map.*.a', 'spec.mode=A|B'];
  const value = {
    spec: {
      hosts: ['a', 'b'],
      http: [
        { match: [{ headers: { x: { exact: 'y' } } }, { port: 80 }] },
        { retries: { attempts: 1, backoff: '1s' }, fault: { abort: {} } },
      ],
      map: { 'x.y': { a: 1, b: 2 } },
      mode: 'C',
      tls: [],
      tcp: [{}],
    },
  };
  expect(uncoveredPaths(value, patterns)).toEqual([
    'spec.http[0].match[1].port',
    'spec.http[1].retries.backoff',
    'spec.http[1].fault',
    'spec.map["x.y"].b',
    'spec.mode',
    'spec.tcp',
  ]);
  expect(uncoveredPaths({ spec: { mode: 'B' } }, patterns)).toEqual([]);
  expect(uncoveredPaths(value, ['spec'])).toEqual([]);
});

it('reads kinds without a list whole', () => {
  expect(untranslatedPaths({ kind: 'ConfigMap', spec: { data: { a: 'b' } } })).toEqual([]);
});
