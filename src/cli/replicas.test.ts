import { expect, test } from 'vitest';
import { replicasText } from './replicas.ts';

const replica = {
  version: '0.1.0',
  startedAt: '2026-01-01T00:00:00.000Z',
  monitoringAddress: '10.0.0.1:15014',
  ready: true,
  live: true,
  data: {},
};

test('says who is ready, who leads and who is gone', () => {
  const text = replicasText(
    {
      self: 'a',
      leader: 'b',
      replicas: [
        { ...replica, name: 'a', streams: 3 },
        { ...replica, name: 'b', streams: 4 },
        { ...replica, name: 'c', streams: 0, ready: false },
        { ...replica, name: 'd', streams: 5, live: false },
      ],
    },
    'table',
  );
  expect(text.split('\n').map((line) => line.split(/ {2,}/).slice(0, 4).join('|'))).toEqual([
    'NAME|STATE|LEADS|STREAMS',
    'a|READY|-|3',
    'b|READY|yes|4',
    'c|NOT READY|-|0',
    'd|GONE|-|5',
    '',
  ]);
});
