/** Several replicas of the control plane: they are killed, stopped, cut off and added while real Envoys carry traffic over mutual TLS. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { needsEnvoy } from '../envoy/harness/envoy.ts';
import { http } from '../envoy/harness/http.ts';
import { Load } from '../envoy/harness/load.ts';
import { describeWithPods } from '../envoy/harness/suites.ts';
import { eventually } from '../envoy/harness/wait.ts';
import { clusterBinaries } from './harness/binaries.ts';
import { setReady } from './harness/objects.ts';
import { ServiceAddress } from './harness/service-address.ts';
import { Streams } from './harness/streams.ts';
import { KubernetesMesh, type Replica, reviewsPod, strictReviews } from './mesh.ts';

needsEnvoy();

const vip = '10.96.101.10';
const cluster = 'outbound|80||reviews.shop.svc.cluster.local';
const proxies = ['client', 'reviews-1', 'reviews-2'] as const;

/** Others wait for so long for a sign of life of the leader, and then for their next attempt. */
const leaseMs = 15_000;
const retryMs = 1_200;

interface Known {
  readonly self: string;
  readonly leader: string;
  readonly replicas: readonly { readonly name: string; readonly live: boolean; readonly ready: boolean; readonly streams: number }[];
}

describeWithPods('several replicas of the control plane', () => {
  let mesh: KubernetesMesh;

  beforeAll(async () => {
    await clusterBinaries();
  }, 3_600_000);

  beforeAll(async () => {
    mesh = await KubernetesMesh.start({
      name: 'ha',
      replicas: 2,
      manifests: strictReviews(vip),
      workloads: { client: { client: true }, 'reviews-1': reviewsPod('1'), 'reviews-2': reviewsPod('2') },
    });
  });

  beforeEach(() => mesh?.explainFailure());

  afterAll(() => mesh?.[Symbol.asyncDispose]());

  async function knownTo({ discovery }: Replica): Promise<Known> {
    const { adminAddress: address, monitoring: port } = discovery.addresses;
    return JSON.parse((await http({ address, port, path: '/debug/replicas' })).body) as Known;
  }

  /** The leader and another one, of which the other one says so. */
  async function leaderAndOther(): Promise<readonly [Replica, Replica]> {
    return eventually('a leader', async () => {
      for (const replica of mesh.replicas) {
        const { leader } = await knownTo(replica);
        if (leader !== '' && leader !== replica.name) return [mesh.replica(leader), replica] as const;
      }
      return undefined;
    });
  }

  /** Milliseconds until the replica leads. */
  async function leads(replica: Replica, limitMs: number): Promise<number> {
    const began = performance.now();
    await eventually(`${replica.name} leads`, async () => (await knownTo(replica)).leader === replica.name, limitMs);
    return performance.now() - began;
  }

  const ipOf = (name: string): string => mesh.workload(name).pod.ip;

  async function endpointsAre(...names: readonly string[]): Promise<void> {
    const expected = names.map(ipOf).sort().join();
    await eventually(`the endpoints are ${names.join(', ')}`, async () => (await mesh.endpointsOf('client', cluster)).join() === expected);
  }

  /** Every proxy has a control plane, and what changes reaches them. */
  async function served(): Promise<void> {
    for (const name of proxies) {
      const { envoy } = mesh.workload(name);
      await eventually(`${name} is connected`, async () => (await envoy.stat('control_plane.connected_state')) === 1, 60_000);
    }
    await setReady(mesh.cluster.api, mesh.pod('reviews-2'), false);
    await endpointsAre('reviews-1');
    await setReady(mesh.cluster.api, mesh.pod('reviews-2'), true);
    await endpointsAre('reviews-1', 'reviews-2');
  }

  const startLoad = (limitMs = 150_000): Promise<Load> =>
    Load.start({ address: vip, port: 80, host: 'reviews.shop', limitMs }, mesh.workload('client').pod);

  it('knows its replicas and has one leader', async () => {
    await served();
    const [leader, other] = await leaderAndOther();
    for (const replica of [leader, other]) {
      const known = await eventually('both are in the list', async () => {
        const answer = await knownTo(replica);
        return answer.replicas.length === 2 && answer.replicas.every(({ live, ready }) => live && ready) ? answer : undefined;
      });
      expect(known).toMatchObject({ self: replica.name, leader: leader.name, replicas: [{ name: 'replica-1' }, { name: 'replica-2' }] });
    }
    const { adminAddress: address, monitoring: port } = leader.discovery.addresses;
    expect((await http({ address, port, path: '/metrics' })).body).toMatch(/^mizzen_leader 1$/m);
  });

  it('loses no request when the leader is killed, and another one leads when its lease is over', async () => {
    await using load = await startLoad();
    const [leader, other] = await leaderAndOther();
    await leader.discovery.kill();
    const took = await leads(other, leaseMs + retryMs + 3_000);
    expect(took).toBeLessThan(leaseMs + retryMs + 1_000);
    await served();
    await leader.discovery.restart();
    await served();
    expect((await load.stop()).failed).toEqual({});
    console.log(`another one led ${Math.round(took)} ms after the leader was killed`);
  });

  it('loses no request when the leader is asked to end, and another one leads within two seconds', async () => {
    await using load = await startLoad();
    const [leader, other] = await leaderAndOther();
    const began = performance.now();
    const [exitCode, took] = await Promise.all([leader.discovery.stop(), leads(other, 5_000)]);
    expect(exitCode).toBe(0);
    expect(took).toBeLessThan(2_000);
    // Over the drain duration, and no longer.
    expect(performance.now() - began).toBeLessThan(8_000);
    await eventually('it is off the list', async () => (await knownTo(other)).replicas.length === 1);
    await served();
    await leader.discovery.restart();
    await served();
    expect((await load.stop()).failed).toEqual({});
    console.log(`another one led ${Math.round(took)} ms after the leader was asked to end`);
  });

  it('has never two leaders while one is cut off from the API server', { timeout: 240_000 }, async () => {
    await using load = await startLoad(200_000);
    for (let round = 0; round < 2; round++) {
      const [leader, other] = await leaderAndOther();
      leader.connection.silence();
      const took = await leads(other, leaseMs + retryMs + 5_000);
      expect(took).toBeGreaterThan(leaseMs - 3_000);
      leader.connection.heal();
      await eventually('the one that was cut off knows', async () => (await knownTo(leader)).leader === other.name, 30_000);
    }
    const reigns = mesh.replicas.flatMap(reignsOf).sort((a, b) => a.from - b.from);
    expect(reigns.length).toBeGreaterThanOrEqual(3);
    const overlaps = reigns.filter((reign, index) => (reigns[index + 1]?.from ?? Infinity) < reign.to);
    expect(overlaps).toEqual([]);
    await served();
    expect((await load.stop()).failed).toEqual({});
  });

  it('evens out the streams when a third replica comes', { timeout: 240_000 }, async () => {
    await using service = await ServiceAddress.listen(mesh.network.testAddress);
    const addPlaintext = async ({ discovery: { addresses } }: Replica): Promise<void> =>
      service.add({ address: addresses.address, port: addresses.grpc, probe: { address: addresses.adminAddress, port: addresses.http } });
    for (const replica of mesh.replicas) await addPlaintext(replica);
    using streams = new Streams({ address: `${mesh.network.testAddress}:${service.port}`, count: 90, namespace: 'shop' });
    await eventually('all streams are there', async () => streams.synced === 90, 30_000);
    await using load = await startLoad(200_000);
    const third = await mesh.startReplica('replica-3');
    await addPlaintext(third);
    const began = performance.now();
    const counts = await eventually(
      'the streams are even',
      async () => {
        const { replicas } = await knownTo(third);
        const each = replicas.map((replica) => replica.streams);
        const mean = each.reduce((sum, count) => sum + count, 0) / 3;
        return each.length === 3 && mean > 29 && (Math.max(...each) - Math.min(...each)) / mean < 0.2 ? each : undefined;
      },
      60_000,
    );
    const took = performance.now() - began;
    await eventually('all streams are there again', async () => streams.synced === 90, 30_000);
    console.log(
      `90 streams and 3 Envoys on three replicas: ${counts.join(', ')} after ${Math.round(took / 1000)} s, ends by status`,
      streams.ends,
    );
    await served();
    expect((await load.stop()).failed).toEqual({});
  });
});

interface Reign {
  readonly replica: string;
  readonly from: number;
  readonly to: number;
}

/** When a replica led, by its log; a process that was killed led until its last line at least, and what it did then nobody knows. */
function reignsOf({ name, discovery }: Replica): Reign[] {
  const reigns: Reign[] = [];
  let from: number | undefined;
  let last = 0;
  for (const line of discovery.fullLog().split('\n')) {
    if (!line.startsWith('{')) continue;
    const { time: at, msg } = JSON.parse(line) as { readonly time: string; readonly msg: string };
    const time = Date.parse(at);
    // The first line of a process that follows one that was killed.
    const killed = msg === 'xDS listening' || msg === 'leads';
    if ((killed || msg === 'no longer leads') && from !== undefined) {
      reigns.push({ replica: name, from, to: killed ? last : time });
      from = undefined;
    }
    if (msg === 'leads') from = time;
    last = time;
  }
  return from === undefined ? reigns : [...reigns, { replica: name, from, to: Infinity }];
}
