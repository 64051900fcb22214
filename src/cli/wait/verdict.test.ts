import { expect, test } from 'vitest';
import type { ObjectReport } from '../../admin/convergence.ts';
import { judge } from './verdict.ts';

const there: ObjectReport = {
  object: 'VirtualService/shop/reviews',
  exists: true,
  read: true,
  resourceVersion: '99',
  generation: 3,
  translated: true,
  pending: false,
  proxies: { total: 2, acked: 2 },
  lagging: [],
  problems: [],
  behind: [],
  converged: true,
};
const gone: ObjectReport = { ...there, exists: false, read: false, translated: false };
const { resourceVersion: _version, generation: _generation, ...fromFile } = { ...there, origin: 'reviews.yaml:1' };

test.each([
  ['all have it', there, [], {}, 'done', 'converged, 2 of 2 proxies have it'],
  ['of the generation that was asked for', there, [], { generation: 3 }, 'done', 'converged'],
  ['of a later generation only', there, [], { generation: 4 }, 'waiting', 'generation 4 was not seen yet'],
  ['of a version with more digits', there, [], { resourceVersion: '100' }, 'waiting', 'version 100 was not seen yet'],
  ['of an earlier version', there, [], { resourceVersion: '98' }, 'done', 'converged'],
  ['not read', gone, [], {}, 'waiting', 'has not read it'],
  ['deleted and still there', there, [], { deleted: true }, 'waiting', 'its deletion was not seen yet'],
  ['deleted and gone', gone, [], { deleted: true }, 'done', 'gone from 2 of 2 proxies'],
  [
    'deleted and not yet gone from all',
    { ...gone, converged: false, proxies: { total: 2, acked: 1 } },
    [],
    { deleted: true },
    'waiting',
    '1 of 2',
  ],
  ['a file, whatever another cluster has', fromFile, [], { deleted: true, unlessFile: true }, 'done', 'converged'],
  ['a replica that does not answer', there, ['r-2'], {}, 'waiting', 'no answer from r-2'],
  ['a replica that has not seen it', { ...there, behind: ['r-2'], converged: false }, [], {}, 'waiting', 'not yet seen by r-2'],
  ['not translated yet', { ...there, pending: true, converged: false }, [], {}, 'waiting', 'being translated'],
  [
    'refused by us',
    { ...there, problems: [{ path: 'spec.hosts', reason: 'Invalid', severity: 'error', message: 'is required' }] },
    [],
    {},
    'failed',
    'Invalid: spec.hosts is required',
  ],
  [
    'refused by a proxy',
    {
      ...there,
      converged: false,
      proxies: { total: 2, acked: 1 },
      lagging: [{ proxy: 'p', replica: 'r', type: 'LDS', since: '', state: 'rejected', error: 'bad' }],
    },
    [],
    {},
    'failed',
    '1 refuse it',
  ],
] as const)('%s', (_name, report, unanswered, expected, state, text) => {
  const verdict = judge(report, unanswered, expected);
  expect(verdict.state).toBe(state);
  expect(verdict.text).toContain(text);
});
