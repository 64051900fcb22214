import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { ConvergenceAnswer, ObjectReport } from '../admin/convergence.ts';
import { objectKey, type ConfigObject } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import type { Replica } from '../controllers/replicas.ts';
import { Convergence } from '../snapshot/convergence.ts';
import { snapshotOf } from '../snapshot/testing/snapshots.ts';
import type { Observed } from '../sources/source.ts';
import { ConvergenceDesk } from './convergence.ts';

const reviews = objectKey('VirtualService', 'shop', 'reviews');
const object: ConfigObject = {
  kind: 'VirtualService',
  apiVersion: 'networking.istio.io/v1',
  name: 'reviews',
  namespace: 'shop',
  labels: {},
  annotations: {},
  spec: { hosts: ['reviews'] },
  origin: { resourceVersion: '10' },
};

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

/** A replica that answers with this text; its questions are in `asked`. */
async function peer(name: string, answer: string, asked: string[] = []): Promise<Replica> {
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.end(answer);
  });
  servers.push(server);
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return replica(name, `127.0.0.1:${(server.address() as AddressInfo).port}`);
}

function replica(name: string, monitoringAddress: string): Replica {
  return { name, version: '1', startedAt: '', monitoringAddress, ready: true, streams: 1, live: true, data: {} };
}

const theirs: ObjectReport = {
  object: reviews,
  exists: true,
  read: true,
  resourceVersion: '10',
  translated: true,
  pending: false,
  proxies: { total: 3, acked: 2 },
  lagging: [{ proxy: 'sidecar~p', replica: 'b', type: 'LDS', since: '', state: 'rejected', error: 'bad' }],
  problems: [
    { path: '', reason: 'Refused', severity: 'error', message: 'proxy p refused it' },
    { path: 'spec', reason: 'Invalid', severity: 'error', message: 'the other replica says so too' },
  ],
  behind: [],
  converged: false,
};
const text = (report: ObjectReport): string =>
  JSON.stringify({ replica: 'b', unanswered: [], objects: [report] } satisfies ConvergenceAnswer);

function desk(
  replicas: readonly Replica[],
  observed: Observed = { apiVersion: 'v1', resourceVersion: '10', generation: 2, conditions: '' },
): ConvergenceDesk {
  const snapshot = snapshotOf([object]);
  const problems: Problem[] = [{ object: reviews, path: 'spec', reason: 'Invalid', severity: 'error', message: 'own' }];
  return new ConvergenceDesk({
    convergence: new Convergence({ snapshot, streams: () => [] }),
    snapshot,
    observed: { get: () => observed, keys: () => [reviews], listen: () => () => {} },
    problemsOf: (asked) => problems.filter(({ object: of }) => of === asked),
    rejections: () => [],
    self: 'a',
    replicas: () => [replica('a', '127.0.0.1:1'), ...replicas],
    turns: { now: () => 0, pause: () => Promise.resolve() },
  });
}

test('proxies of all replicas count, and what they refuse is told once', async () => {
  const asked: string[] = [];
  const { objects, unanswered } = await desk([await peer('b', text(theirs), asked)]).answer([reviews], false);
  expect(unanswered).toEqual([]);
  expect(objects[0]).toMatchObject({ generation: 2, proxies: { total: 3, acked: 2 }, behind: [], converged: false });
  expect(objects[0]?.lagging).toEqual(theirs.lagging);
  expect(objects[0]?.problems.map(({ message }) => message)).toEqual(['own', 'proxy p refused it']);
  expect(asked).toEqual(['/debug/convergence?peers=false&object=VirtualService%2Fshop%2Freviews']);
});

test.each(['Service/shop/reviews@east', 'MutatingWebhookConfiguration//', 'Pod/shop/A&object=b'])(
  '%s is answered from here, and the others of its batch by all replicas',
  async (odd) => {
    const asked: string[] = [];
    const own = desk([await peer('b', text(theirs), asked)]);
    const { objects, unanswered } = await own.answer([odd, reviews], false);
    expect(unanswered).toEqual([]);
    expect(objects[0]).toMatchObject({ object: odd, behind: [], converged: true });
    expect(objects[1]).toMatchObject({ proxies: { total: 3, acked: 2 }, converged: false });
    expect(asked).toEqual(['/debug/convergence?peers=false&object=VirtualService%2Fshop%2Freviews']);
  },
);

test('a batch is answered in turns, each while the snapshot is settled', async () => {
  let nowMs = 0;
  const turns: string[][] = [[]];
  const waits: boolean[] = [];
  let settled = true;
  const snapshot = snapshotOf([object]);
  const whenSettled = (task: () => void): void => {
    waits.push(settled);
    settled = true;
    task();
  };
  const batch = Array.from({ length: 8 }, (_, i) => objectKey('VirtualService', 'shop', `v${i}`));
  const own = new ConvergenceDesk({
    convergence: new Convergence({ snapshot, streams: () => [] }),
    snapshot: { objects: snapshot.objects, whenSettled },
    problemsOf: (asked) => {
      expect(settled).toBe(true);
      turns.at(-1)?.push(asked);
      nowMs += 2;
      return [];
    },
    rejections: () => [],
    self: 'a',
    replicas: () => [],
    turns: {
      now: () => nowMs,
      pause: () => {
        turns.push([]);
        // Another change.
        settled = false;
        return Promise.resolve();
      },
    },
  });
  const { objects } = await own.answer(batch, true);
  expect(objects.map((report) => report.object)).toEqual(batch);
  // Two milliseconds each, five in a turn.
  expect(turns.map((some) => some.length)).toEqual([3, 3, 2]);
  expect(waits).toEqual([true, false, false]);
});

test('nobody else is asked for an answer of this replica alone', async () => {
  const asked: string[] = [];
  const { objects } = await desk([await peer('b', text(theirs), asked)]).answer([reviews], true);
  expect(objects[0]).toMatchObject({ proxies: { total: 0, acked: 0 }, converged: true });
  expect(asked).toEqual([]);
});

test('a replica that has an older version is behind', async () => {
  const converged = { ...theirs, resourceVersion: '9', proxies: { total: 0, acked: 0 }, lagging: [], problems: [], converged: true };
  const { objects } = await desk([await peer('b', text(converged))]).answer([reviews], false);
  expect(objects[0]).toMatchObject({ behind: ['b'], converged: false });
});

test.each([
  ['no answer', async () => replica('b', '127.0.0.1:9')],
  ['no JSON', async () => peer('b', 'hello')],
  ['another form', async () => peer('b', '{"replica":"b","objects":[{}]}')],
  ['too much', async () => peer('b', ' '.repeat(5_000_000))],
  ['no address', async () => replica('b', '')],
])('%s: the replica is named and nothing has converged', async (_name, start) => {
  const { objects, unanswered } = await desk([await start()]).answer([reviews], false);
  expect(unanswered).toEqual(['b']);
  expect(objects[0]?.converged).toBe(false);
});

test('a caller is another replica by the address of its record alone', () => {
  const own = desk([replica('b', '10.0.0.7:15014'), { ...replica('c', '10.0.0.8:15014'), live: false }]);
  expect(own.isPeer('10.0.0.7')).toBe(true);
  expect(own.isPeer('::ffff:10.0.0.7')).toBe(true);
  expect(own.isPeer('10.0.0.8')).toBe(false);
  expect(own.isPeer('10.0.0.9')).toBe(false);
});
