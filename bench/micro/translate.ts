/**
 * What translating and encoding cost, without files, streams and proxies. Run: `node bench/micro/translate.ts [services] [proxies]`.
 *
 * Every row counts evaluations (entries of derived collections that were computed) and encodings (resources turned into bytes): what a change costs
 * must not depend on the size of the mesh.
 */
import { parseObject } from '../../src/apis/parse.ts';
import { readRegistry } from '../../src/discovery/descriptors.ts';
import { Intake } from '../../src/discovery/objects.ts';
import { Objects } from '../../src/mesh/objects.ts';
import { Snapshot } from '../../src/snapshot/snapshot.ts';
import { Graph } from '../../src/store/graph.ts';
import { clusterType, endpointType, listenerType, routeType, shortName, virtualHostType } from '../../src/wire/types.ts';
import { createValidator } from '../../src/wire/validate.ts';
import type { Subscription } from '../../src/xds/source.ts';
import { changeScenarios } from '../workload/changes.ts';
import type { Change } from '../workload/edit.ts';
import { folderManifests } from '../workload/entries.ts';
import { meshItems, simulatedProxies, type Manifest, type SimulatedProxy } from '../workload/mesh.ts';

const services = Number(process.argv[2] ?? 1000);
const proxies = Number(process.argv[3] ?? 200);
const size = { services, virtualServices: Math.floor(services / 10), proxies, layout: 'default' as const };

const graph = new Graph();
const objects = new Objects(graph);
const snapshot = new Snapshot(objects, {
  validator: createValidator(readRegistry()),
  untranslated: () => [],
  readCredential: () => ({ secret: undefined, problems: [] }),
  onFault: (collection, key, cause) => {
    throw new Error(`fault in the translation of ${collection} ${key}`, { cause });
  },
  admit: () => undefined,
});
const intake = new Intake({ objects, changed: () => {}, event: () => {} });

const applied = new Set<string>();

/** Leaves out what did not change, as a source does. */
function apply(manifests: readonly Manifest[]): void {
  const changed = manifests.filter((manifest) => !applied.has(JSON.stringify(manifest)));
  for (const manifest of changed) applied.add(JSON.stringify(manifest));
  const parsed = changed.map((manifest) => parseObject(manifest, {}));
  const problems = parsed.flatMap((p) => p.problems);
  if (problems.length > 0) throw new Error(JSON.stringify(problems[0]));
  intake.apply({ upserts: parsed.flatMap((p) => p.object ?? []), deletes: [], problems: new Map() });
}

function open({ name, namespace, address, serviceAccount, labels }: SimulatedProxy): Subscription {
  const metadata = { NAME: name, NAMESPACE: namespace, SERVICE_ACCOUNT: serviceAccount, LABELS: labels, ISTIO_VERSION: '1.32.0' };
  const id = `sidecar~${address}~${name}.${namespace}~${namespace}.svc.cluster.local`;
  const node = { id, cluster: name, metadata, userAgentName: 'envoy', userAgentVersion: '1.40.0' };
  const opened = snapshot.open(node, { address, secure: false });
  if ('refused' in opened) throw new Error(opened.refused);
  return opened;
}

const rows: Record<string, string | number>[] = [];

function measure<T>(what: string, run: () => T, per?: { readonly unit: string; readonly count: (result: T) => number }): T {
  const before = { evaluations: graph.evaluations, encodings: snapshot.encoder.count };
  const began = process.cpuUsage();
  const result = run();
  const { user, system } = process.cpuUsage(began);
  const ms = (user + system) / 1000;
  rows.push({
    what,
    'CPU ms': Number(ms.toFixed(2)),
    evaluations: graph.evaluations - before.evaluations,
    encodings: snapshot.encoder.count - before.encodings,
    ...(per === undefined ? {} : { rate: `${Math.round(per.count(result) / (ms / 1000))} ${per.unit} a CPU second` }),
  });
  return result;
}

const all = meshItems(size).flatMap(folderManifests);
measure('objects are checked and put into the collections', () => apply(all), { unit: 'objects', count: () => all.length });
measure('services, endpoints and routes are modelled', () => snapshot.flush());
const [first, ...others] = simulatedProxies(size);
if (first === undefined) throw new Error('no proxy');
const encoded = { unit: 'resources', count: () => snapshot.encoder.count };
const subscriptions = [measure('the first proxy: the public part and its namespace', () => open(first), encoded)];
const already = snapshot.encoder.count;
subscriptions.push(
  ...measure(`${others.length} more proxies, in all namespaces`, () => others.map(open), {
    unit: 'resources',
    count: () => snapshot.encoder.count - already,
  }),
);
/** Without what is removed: nothing here is. */
function put({ edit }: Change): void {
  apply((edit.put ?? []).flatMap(folderManifests));
  snapshot.flush();
}

for (const { name, title, prepare, change } of changeScenarios(size, 100)) {
  // Removals, and what only a cluster selects.
  if (name === 'service-removed' || name === 'namespace-label') continue;
  if (prepare !== undefined) put(prepare(0, 4));
  for (let n = 0; n < 3; n++) put(change(n, 0));
  measure(title, () => put(change(3, 0)));
}
console.log(`${services} services, ${size.virtualServices} VirtualServices, ${proxies} proxies, ${snapshot.partCount} parts`);
console.table(rows);

/** What the first proxy gets; a later part's resource takes the place of an earlier one's. */
const sizes: Record<string, { resources: number; bytes: number; largest: number }> = {};
for (const type of [clusterType, endpointType, listenerType, routeType, virtualHostType]) {
  const held = new Map<string, number>();
  for (const part of subscriptions[0]?.parts ?? [])
    for (const name of part.table(type)?.names() ?? []) held.set(name, part.table(type)?.get(name)?.bytes.byteLength ?? 0);
  const bytes = [...held.values()];
  sizes[shortName(type)] = { resources: bytes.length, bytes: bytes.reduce((a, b) => a + b, 0), largest: Math.max(...bytes) };
}
console.table(sizes);
const { rss, heapUsed } = process.memoryUsage();
console.log(`RSS ${Math.round(rss / 1e6)} MB, heap ${Math.round(heapUsed / 1e6)} MB`);
