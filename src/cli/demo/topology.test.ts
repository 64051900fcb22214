import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadDirectory } from '../../sources/directory/load.ts';
import { topologyOf } from './topology.ts';

const bookshop = join(import.meta.dirname, '../../../deploy/samples/bookshop');

test('the sample has no problems, and says where every application listens and calls out', async () => {
  const { objects, problems } = await loadDirectory(bookshop);
  expect(problems).toEqual([]);
  const { workloads, gateway } = topologyOf(objects);
  expect(gateway).toEqual({ address: '127.10.0.2', port: 18080 });
  expect(workloads.map((w) => [w.type, w.name, w.address, w.serviceAccount, w.service?.port, w.service?.egress?.address])).toEqual([
    ['sidecar', 'details-v1', '127.10.0.20', 'details', 19020, '127.10.1.20'],
    ['router', 'gateway', '127.10.0.2', 'gateway', undefined, undefined],
    ['sidecar', 'page-v1', '127.10.0.10', 'page', 19010, '127.10.1.10'],
    ['sidecar', 'ratings-v1', '127.10.0.40', 'ratings', 19040, '127.10.1.40'],
    ['sidecar', 'reviews-v1', '127.10.0.31', 'reviews', 19031, '127.10.1.31'],
    ['sidecar', 'reviews-v2', '127.10.0.32', 'reviews', 19032, '127.10.1.32'],
    ['sidecar', 'reviews-v3', '127.10.0.33', 'reviews', 19033, '127.10.1.33'],
  ]);
});

test('what is missing is named', async () => {
  const { objects } = await loadDirectory(bookshop);
  expect(() => topologyOf(objects.filter((o) => o.kind !== 'Gateway'))).toThrow('declares no Gateway');
  expect(() => topologyOf(objects.filter((o) => o.name !== 'details-v1' || o.kind !== 'Sidecar'))).toThrow(
    'WorkloadEntry bookshop/details-v1',
  );
});
