import { fromBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.js';
import type { ConfigObject } from '../apis/object.ts';
import { parseObject } from '../apis/parse.ts';
import { statsLoggerConfigs } from '../envoy/filters/stats-logger.ts';
import { hash } from '../wire/hash.ts';
import { listenerType } from '../wire/types.ts';
import { PartsView } from '../xds/view.ts';
import { nodeOf, openProxy, snapshotOf } from './testing/snapshots.ts';

function workload(name: string, address: string): ConfigObject {
  const spec = { address, labels: { app: name } };
  const { object } = parseObject(
    { apiVersion: 'networking.istio.io/v1', kind: 'WorkloadEntry', metadata: { name, namespace: 'shop' }, spec },
    {},
  );
  if (object === undefined) throw new Error(name);
  return object;
}

function service(name: string): ConfigObject {
  const spec = {
    hosts: [`${name}.shop`],
    ports: [{ number: 80, name: 'http' }],
    location: 'MESH_INTERNAL',
    resolution: 'STATIC',
    workloadSelector: { labels: { app: name } },
  };
  const { object } = parseObject(
    { apiVersion: 'networking.istio.io/v1', kind: 'ServiceEntry', metadata: { name, namespace: 'shop' }, spec },
    {},
  );
  if (object === undefined) throw new Error(name);
  return object;
}

test('inbound listeners hold the loggers that count metrics once for all workloads', () => {
  const apps = ['page', 'reviews'];
  const snapshot = snapshotOf(apps.flatMap((app, i) => [service(app), workload(app, `10.0.0.${i + 1}`)]));
  const listeners = apps.map((app) => {
    const view = new PartsView(openProxy(snapshot, nodeOf(app, 'shop', { LABELS: { app } })).parts);
    const found = view.find(listenerType, 'virtualInbound');
    if (found === undefined) throw new Error(app);
    return found;
  });
  const loggers = statsLoggerConfigs();
  for (const { bytes, version, pieces = [] } of listeners) {
    expect(fromBinary(ListenerSchema, bytes).filterChains.length).toBeGreaterThan(4);
    expect(version).toBe(hash(bytes));
    const own = pieces.filter((piece) => !loggers.includes(piece));
    expect(pieces.length - own.length).toBeGreaterThan(4);
    expect(own.reduce((sum, piece) => sum + piece.byteLength, 0)).toBeLessThan(bytes.byteLength / 5);
  }
});
