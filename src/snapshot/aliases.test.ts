/** Services of type ExternalName that name a service of the mesh. */
import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import type { ConfigObject } from '../apis/object.ts';
import { keyOf } from '../apis/object.ts';
import { parseObject } from '../apis/parse.ts';
import { clusterType, virtualHostType } from '../wire/types.ts';
import { PartsView } from '../xds/view.ts';
import type { Snapshot } from './snapshot.ts';
import { nodeOf, openProxy, snapshotOf } from './testing/snapshots.ts';
import { VirtualHostSchema } from '#gen/envoy/config/route/v3/route_components_pb.js';

function serviceOf(namespace: string, name: string, spec: object, annotations: object = {}): ConfigObject {
  const parsed = parseObject(
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace, annotations },
      spec: { ports: [{ name: 'http', port: 80 }], ...spec },
    },
    {},
  );
  if (parsed.object === undefined) throw new Error(JSON.stringify(parsed.problems));
  return parsed.object;
}

const external = (namespace: string, name: string, externalName: string, annotations: object = {}): ConfigObject =>
  serviceOf(namespace, name, { type: 'ExternalName', externalName }, annotations);

const reviews = serviceOf('shop', 'reviews', { clusterIP: '10.0.0.1' });
const host = 'reviews.shop.svc.cluster.local';

/** Domains of the virtual host `80/<host>`, and whether the alias has a cluster of its own. */
function seenFrom(snapshot: Snapshot, namespace: string, alias: string): { domains: string[]; ownCluster: boolean } {
  const view = new PartsView(openProxy(snapshot, nodeOf('client', namespace)).parts);
  const found = [...view.resources(virtualHostType)].find((r) => r.name === `80/${host}:80`);
  const clusters = [...view.resources(clusterType)].map((r) => r.name);
  return {
    domains:
      found === undefined
        ? []
        : fromBinary(VirtualHostSchema, found.bytes).domains.filter((d) => !d.startsWith('reviews') && !d.startsWith('10.')),
    ownCluster: clusters.includes(`outbound|80||${alias}`),
  };
}

describe('an ExternalName', () => {
  const alias = 'old.bank.svc.cluster.local';

  it('that names a service of the mesh is another name of it', () => {
    const snapshot = snapshotOf([reviews, external('bank', 'old', `${host}.`)]);
    expect(seenFrom(snapshot, 'other', alias)).toEqual({ domains: [alias, `${alias}.`, 'old.bank', 'old.bank.svc'], ownCluster: false });
    // In its own namespace by its short name too.
    expect(seenFrom(snapshot, 'bank', alias).domains).toEqual([alias, `${alias}.`, 'old', 'old.bank.svc', 'old.bank']);
  });

  it('may name one that names it', () => {
    const snapshot = snapshotOf([reviews, external('bank', 'old', host), external('bank', 'older', alias)]);
    expect(seenFrom(snapshot, 'other', 'older.bank.svc.cluster.local')).toMatchObject({ ownCluster: false });
    expect(seenFrom(snapshot, 'other', alias).domains).toContain('older.bank.svc.cluster.local');
  });

  it('is found by DNS where it names nothing of the mesh, until that comes', () => {
    const snapshot = snapshotOf([external('bank', 'old', host)]);
    expect(seenFrom(snapshot, 'other', alias)).toEqual({ domains: [], ownCluster: true });
    snapshot.objects.put(reviews);
    snapshot.flush();
    expect(seenFrom(snapshot, 'other', alias)).toMatchObject({ ownCluster: false });
    expect(seenFrom(snapshot, 'other', alias).domains).toContain(alias);
    snapshot.objects.remove(keyOf(reviews));
    snapshot.flush();
    expect(seenFrom(snapshot, 'other', alias)).toEqual({ domains: [], ownCluster: true });
  });

  it('is seen where it is exported to', () => {
    const snapshot = snapshotOf([reviews, external('bank', 'old', host, { 'networking.istio.io/exportTo': '.' })]);
    expect(seenFrom(snapshot, 'other', alias).domains).toEqual([]);
    expect(seenFrom(snapshot, 'bank', alias).domains).toContain(alias);
  });

  it('that names itself in a circle is nobody’s name', () => {
    const snapshot = snapshotOf([external('bank', 'a', 'b.bank.svc.cluster.local'), external('bank', 'b', 'a.bank.svc.cluster.local')]);
    expect(seenFrom(snapshot, 'bank', 'a.bank.svc.cluster.local').ownCluster).toBe(true);
  });
});
