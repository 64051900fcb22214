import { describe, expect, it } from 'vitest';
import { durationMs, durationParts, parseDuration } from './duration.ts';
import { bySpecificity, hostCandidates, hostCovers, hostsOverlap, mostSpecificHost } from './host.ts';
import { matchesLabels } from './labels.ts';
import { fieldPath, indexPath, pathSteps } from './path.ts';
import { re2Fault } from './regex.ts';
import { suggest } from './suggest.ts';

describe('durations', () => {
  it.each([
    ['10s', 10_000_000_000n],
    ['1.5s', 1_500_000_000n],
    ['1h30m', 5_400_000_000_000n],
    ['.5ms', 500_000n],
    ['1.s', 1_000_000_000n],
    ['1.005s', 1_005_000_000n],
    ['0.0000000019s', 1n],
    ['3µs', 3_000n],
    ['0', 0n],
    ['-1m', -60_000_000_000n],
    ['2562047h47m16.854775807s', 9_223_372_036_854_775_807n],
  ])('%s', (text, nanoseconds) => {
    expect(parseDuration(text)).toBe(nanoseconds);
  });

  it.each(['', 's', '10', '1 s', '1d', '.s', '1s2', '--1s', '1e3s', '2562047h47m16.854775808s'])('refuses %j', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });

  it('gives milliseconds and the parts of a message', () => {
    expect(durationMs('1.5s')).toBe(1500);
    expect(durationMs('250us')).toBe(0.25);
    expect(durationParts(1_005_000_000n)).toEqual({ seconds: 1n, nanos: 5_000_000 });
    expect(durationParts(-1_500_000_000n)).toEqual({ seconds: -1n, nanos: -500_000_000 });
  });
});

describe('hosts', () => {
  it.each([
    ['a.b', 'a.b', true],
    ['a.b', '*.b', true],
    ['b', '*.b', false],
    ['*.a.b', '*.b', true],
    ['*.b', '*.a.b', true],
    ['*', 'a', true],
    ['*.a', '*.b', false],
    ['x-foo.b', '*-foo.b', true],
  ])('%s and %s overlap: %s', (a, b, overlap) => {
    expect(hostsOverlap(a, b)).toBe(overlap);
    expect(hostsOverlap(b, a)).toBe(overlap);
  });

  it('covers in one direction', () => {
    expect(hostCovers('*.b', '*.a.b')).toBe(true);
    expect(hostCovers('*.a.b', '*.b')).toBe(false);
    expect(hostCovers('a.b', '*.b')).toBe(false);
    expect(hostCovers('*', '*.b')).toBe(true);
  });

  it('lists where to look, and finds the most specific', () => {
    expect(hostCandidates('a.b.c')).toEqual(['a.b.c', '*.b.c', '*.c', '*']);
    expect(hostCandidates('*.b.c')).toEqual(['*.b.c', '*.c', '*']);
    expect(hostCandidates('*')).toEqual(['*']);
    expect(mostSpecificHost('a.b.c', ['*', '*.c', '*.b.c', 'x.b.c'])).toBe('*.b.c');
    expect(mostSpecificHost('a.b.c', ['*.d'])).toBeUndefined();
    expect(['*', 'b.c', '*.c', 'a.c', '*.b.c'].toSorted(bySpecificity)).toEqual(['a.c', 'b.c', '*.b.c', '*.c', '*']);
  });
});

it('matches labels by own fields only', () => {
  expect(matchesLabels({}, { a: 'b' })).toBe(true);
  expect(matchesLabels({ a: 'b' }, { a: 'b', c: 'd' })).toBe(true);
  expect(matchesLabels({ a: 'b' }, { a: 'c' })).toBe(false);
  expect(matchesLabels({ constructor: 'b' }, {})).toBe(false);
});

it('writes paths and reads them back', () => {
  const path = fieldPath(indexPath(fieldPath(fieldPath('', 'spec'), 'http'), 2), 'x.y"z');
  expect(path).toBe('spec.http[2]["x.y\\"z"]');
  expect(pathSteps(path)).toEqual(['spec', 'http', 2, 'x.y"z']);
});

it('suggests what was probably meant', () => {
  expect(suggest('host', ['hosts', 'http'])).toBe('hosts');
  expect(suggest('TrafficPolicy', ['host', 'trafficPolicy'])).toBe('trafficPolicy');
  expect(suggest('zzz', ['hosts', 'http'])).toBeUndefined();
});

describe('regular expressions of RE2', () => {
  it.each(['.*', '(?i)foo.*', '(?P<a>x)\\d+', '[[:alpha:]]+', '^/a/(b|c)$', '\\Q+\\E', '\\\\1'])('takes %s', (pattern) => {
    expect(re2Fault(pattern)).toBeUndefined();
  });

  it.each(['[', '?', '(a', 'a(?=b)', '(a)\\1', '*'])('refuses %s', (pattern) => {
    expect(re2Fault(pattern)).toBeTypeOf('string');
  });
});
