import { describe, expect, it } from 'vitest';
import { encodeReport, fitting, laggingOf, parseReport, type CaReport } from './report.ts';

const report: CaReport = {
  bundle: 'b',
  signer: 's',
  rotating: true,
  proxies: 3,
  agents: 1,
  roots: { count: 1, names: ['a.shop'] },
  leaves: { count: 0, names: [] },
  gone: ['c.shop'],
  found: [],
  ends: [{ root: 'r', bundle: 'b', until: 1_800_000_000_000 }],
};

describe('the report of a replica', () => {
  it('is read as it was written, and that of an older release with what it has', () => {
    expect(parseReport(encodeReport(report))).toEqual(report);
    expect(parseReport('{"bundle":"b","signer":"s"}')).toMatchObject({ rotating: false, roots: { count: 0 }, ends: [] });
  });

  it.each([
    ['nothing', undefined],
    ['no JSON', '{'],
    ['no object', 'null'],
    ['no signer', '{"bundle":"b"}'],
    ['names that are none', JSON.stringify({ ...report, gone: 5 })],
    ['names of which one is none', JSON.stringify({ ...report, found: ['a.shop', {}] })],
    ['a list without a count', JSON.stringify({ ...report, roots: { names: [] } })],
    ['a negative number', JSON.stringify({ ...report, proxies: -1 })],
    ['an end that no date can be', JSON.stringify({ ...report, ends: [{ root: 'r', bundle: 'b', until: 9e15 }] })],
    ['an end without a root', JSON.stringify({ ...report, ends: [{ bundle: 'b', until: 1 }] })],
  ])('is none: %s', (_what, text) => {
    expect(parseReport(text)).toBeUndefined();
  });

  it('has room for names of any kind', () => {
    const long = Array.from({ length: 200 }, (_, i) => `${i}\u0001é${'x'.repeat(900)}.shop`);
    expect(laggingOf(long)).toEqual({ count: 200, names: long.slice(0, 2) });
    expect(fitting(['x'.repeat(5_000), 'a.shop'])).toEqual(['a.shop']);
    const full = { ...report, roots: laggingOf(long), leaves: laggingOf(long), gone: fitting(long), found: fitting(long) };
    expect(Buffer.byteLength(encodeReport(full))).toBeLessThan(14_000);
  });
});
