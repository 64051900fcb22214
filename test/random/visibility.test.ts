/** What a namespace sees of the shared parts against what it would see if everything were translated for it alone. */
import { expect, test } from 'vitest';
import type { ConfigObject } from '../../src/apis/object.ts';
import { slotsOf, type Slot } from '../../src/mesh/slots.ts';
import { hostClusters, hostEndpoints, type Encoded } from '../../src/snapshot/hosts.ts';
import { buildSlotListener } from '../../src/snapshot/outbound-listeners.ts';
import type { Snapshot } from '../../src/snapshot/snapshot.ts';
import { nodeOf, openProxy, resources, snapshotOf } from '../../src/snapshot/testing/snapshots.ts';
import { identitiesTable, type Scope, type Translation } from '../../src/snapshot/translation.ts';
import { hostTables, hostVirtualHosts } from '../../src/snapshot/virtual-hosts.ts';
import { Derived } from '../../src/store/collection.ts';
import { KeySet } from '../../src/store/keys.ts';
import { shortName, clusterType, endpointType, listenerType, routeType, virtualHostType } from '../../src/wire/types.ts';
import { randomObject } from './mesh.ts';
import { randomOf } from './random.ts';

const outboundKinds = new Set(['Service', 'ServiceEntry', 'WorkloadEntry', 'VirtualService', 'DestinationRule']);
/** Not of one host: the same for all, or of the workload. */
const ofNoHost = /^(CDS (PassthroughCluster|BlackHoleCluster|InboundPassthroughCluster|inbound\|)|LDS virtual(Out|In)bound|RDS \d+$)/;

/** Type and name to version, and the HTTP ports that have a listener. */
function alone(
  snapshot: Snapshot,
  scope: Scope & { readonly namespace: string },
): { readonly found: Record<string, string>; readonly ports: ReadonlySet<number> } {
  const { mesh, visibility, encoder } = snapshot;
  const fault = (collection: string, key: string, cause: unknown): never => {
    throw new Error(`${collection} ${key}`, { cause });
  };
  const t: Translation = {
    mesh,
    visibility,
    encoder,
    capabilities: { kind: 'stock' },
    identities: identitiesTable(mesh),
    report: () => {},
    onFault: fault,
  };
  const { namespace } = scope;
  const set = new KeySet(mesh.graph, [mesh.servicesByHost]).addKeys(mesh.servicesByHost);
  const slots = new Derived<string, readonly Slot[]>({
    name: 'alone',
    from: set,
    reads: [mesh.endpoints],
    compute: (host) => {
      const service = mesh.serviceAt(host, namespace);
      return service === undefined ? undefined : slotsOf(mesh, service);
    },
    onFault: fault,
  });
  const slotsByListener = slots.index((all) => new Set(all.flatMap((s) => [s.listener, `${s.listener}#${s.kind}`])));
  mesh.graph.flush();
  const all = [...slots.keysNow()].flatMap((host) => slots.peek(host) ?? []);
  const ports = new Set(all.filter((s) => s.kind === 'http' || (s.kind === 'auto' && s.address === '0.0.0.0')).map((s) => s.port));
  const hosts = new Set([...mesh.servicesByHost.keysNow(), ...[...mesh.meshRoutesByHost.keysNow()]]);
  const found: Record<string, string> = {};
  const add = (type: string, encoded: readonly Encoded[]): void => {
    for (const one of encoded) if (one !== undefined) found[`${shortName(type)} ${one.name}`] = one.version;
  };
  for (const host of hosts) {
    add(clusterType, hostClusters(t, namespace, host, []));
    add(endpointType, hostEndpoints(t, namespace, host, []));
    add(virtualHostType, hostVirtualHosts(t, scope, host, { httpPorts: () => ports }, []));
    add(routeType, hostTables(t, scope, host, []));
  }
  for (const listener of new Set(all.map((s) => s.listener))) {
    add(listenerType, [buildSlotListener(t, namespace, listener, [{ slots, slotsByListener }], [])]);
  }
  slots.dispose();
  set.dispose();
  return { found, ports };
}

function objects(seed: number, count: number): ConfigObject[] {
  const random = randomOf(seed);
  const all = new Map<string, ConfigObject>();
  for (let step = 0; all.size < count; step++) {
    const object = randomObject(random, step);
    if (outboundKinds.has(object.kind)) all.set(`${object.kind}/${object.namespace}/${object.name}`, object);
  }
  return [...all.values()];
}

test.each(Array.from({ length: 150 }, (_, i) => i + 1))('seed %i', (seed) => {
  const snapshot = snapshotOf(objects(seed, 5 + (seed % 20)));
  for (const namespace of ['a', 'b', 'istio-system', 'elsewhere']) {
    for (const labels of [{}, { version: 'v1' }]) {
      const proxy = openProxy(snapshot, nodeOf('w', namespace, { LABELS: labels }));
      const { found, ports } = alone(snapshot, { namespace, labels });
      // The table of a port that has no listener is asked for by nobody.
      const isAsked = (name: string): boolean => !name.startsWith('VHDS ') || ports.has(Number.parseInt(name.slice(5), 10));
      const shared = Object.entries(resources(proxy.parts)).filter(([name]) => !ofNoHost.test(name) && isAsked(name));
      expect(Object.fromEntries(shared), `${namespace} ${JSON.stringify(labels)}`).toEqual(found);
      proxy.close();
    }
  }
});
