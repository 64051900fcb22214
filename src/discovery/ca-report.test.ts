import { describe, expect, it } from 'vitest';
import { newSelfSignedMaterial } from '../ca/authority.ts';
import { TrustBundle } from '../ca/bundle.ts';
import { FolderCa } from '../ca/folder-ca.ts';
import { encodeReport, parseReport, type CaReport } from '../ca/report.ts';
import { CertificateAuthority } from '../ca/signer.ts';
import { FakeClock } from '../ca/testing/clock.ts';
import { WorkloadCertificates } from '../ca/workload.ts';
import { checkPublished } from '../controllers/replicas.ts';
import { testFolder } from '../identity/testing/folder.ts';
import type { SnapshotPart } from '../snapshot/part.ts';
import type { ResourceTable } from '../snapshot/table.ts';
import type { Caller, ClaimedNode, Part, ResourceSource, TypeUrl } from '../xds/source.ts';
import { FakeSource } from '../xds/testing/fake-source.ts';
import { DeltaClient, node, SotwClient, TestWire, World } from '../xds/testing/harness.ts';
import { CaReporter } from './ca-report.ts';
import { IdentityParts } from './identity-parts.ts';

const names = ['default', 'ROOTCA'];

/** Streams on identity parts of a state folder's authority, as the daemon wires them. */
class Setting {
  readonly store = FolderCa.open(testFolder(), 'cluster.local', Date.now());
  readonly clock = new FakeClock(Date.now());
  readonly ca: CertificateAuthority;
  readonly world: World;
  readonly #pending = new Map<ResourceTable, readonly [SnapshotPart, TypeUrl]>();
  readonly #handlers = new Set<(changed: ReadonlyMap<Part, ReadonlySet<TypeUrl>>) => void>();
  #reports: string[] = [];
  /** Proxies whose pods are gone. */
  deleted: readonly string[] = [];
  #flushes = true;

  constructor() {
    const { authority, roots } = this.store.view;
    const bundle = new TrustBundle('cluster.local', [], roots);
    this.ca = new CertificateAuthority({ authority, bundle, now: () => this.clock.now() });
    this.store.onChange(() => {
      const { view } = this.store;
      bundle.update(view.authority.roots, view.roots);
      this.ca.use(view.authority);
    });
    const workloads = new WorkloadCertificates({ ca: this.ca, clock: this.clock, random: () => 0.5 });
    const touched = (part: SnapshotPart, type: TypeUrl, table: ResourceTable): void => void this.#pending.set(table, [part, type]);
    const parts = new IdentityParts(workloads, touched, () => this.#flushes && this.flush());
    const reporter = new CaReporter({
      certificates: this,
      identities: parts,
      clusterId: 'Kubernetes',
      exists: (proxy) => !this.deleted.includes(proxy),
      horizonMs: 3600_000,
      now: () => this.clock.now(),
      streams: () => this.world.hub.streams,
      settled: () => true,
      publish: (report) => this.#reports.push(report),
      after: (ms, task) => this.clock.after(ms, task),
    });
    this.world = new World(new FakeSource(), { source: this.#source(parts), observer: reporter });
  }

  #source(parts: IdentityParts): ResourceSource {
    let opened = 0;
    return {
      settled: true,
      version: '1',
      onSettled: (handler) => {
        this.#handlers.add(handler);
        return () => this.#handlers.delete(handler);
      },
      open: (claimed, caller) => {
        const held = parts.acquire(caller);
        this.flush();
        return {
          connectionId: `${claimed.id}-${++opened}`,
          node: claimed,
          parts: held === undefined ? [] : [held.part],
          onPartsChanged: () => {},
          placed: true,
          onFailed: () => {},
          explain: () => undefined,
          close: () => held?.release(),
        };
      },
    };
  }

  /** What was put into tables becomes visible. */
  flush(): void {
    const changed = new Map<Part, Set<TypeUrl>>();
    for (const [table, [part, type]] of this.#pending) {
      table.commit();
      changed.set(part, new Set([type]));
    }
    this.#pending.clear();
    for (const handler of this.#handlers) handler(changed);
    this.world?.turn();
  }

  /** Changes of secrets wait for `flush` from now on. */
  hold(): void {
    this.#flushes = false;
  }

  #caller(account: string, cluster?: string): Caller {
    const spiffeId = `spiffe://cluster.local/ns/shop/sa/${account}`;
    const identity = {
      spiffeId,
      trustDomain: 'cluster.local',
      namespace: 'shop',
      serviceAccount: account,
      ...(cluster !== undefined && { cluster }),
    };
    return { address: '10.0.0.1', secure: true, identity };
  }

  #node(name: string): ClaimedNode {
    return { ...node, id: `sidecar~10.0.0.1~${name}.shop~shop.svc.cluster.local` };
  }

  delta(name: string, cluster?: string, account = name): DeltaClient {
    const wire = new TestWire();
    const stream = this.world.hub.openDelta(this.#node(name), this.#caller(account, cluster), wire);
    if ('refused' in stream) throw new Error(stream.refused);
    return new DeltaClient(this.world, stream, wire);
  }

  sotw(name: string): SotwClient {
    const wire = new TestWire();
    const stream = this.world.hub.openSotw(this.#node(name), this.#caller(name), wire);
    if ('refused' in stream) throw new Error(stream.refused);
    return new SotwClient(this.world, stream, wire);
  }

  async stage(): Promise<void> {
    const now = this.clock.now();
    const material = newSelfSignedMaterial('cluster.local', now);
    const rotation = { reason: 'requested', from: 'a', to: 'b', stagedAt: now } as const;
    await this.store.save({ ...this.store.view.state, phase: 'staged', next: { origin: 'self-signed', material }, rotation });
  }

  async sign(): Promise<void> {
    const { next, signer, ...rest } = this.store.view.state;
    if (next === undefined) throw new Error('nothing is staged');
    await this.store.save({ ...rest, phase: 'signing', signer: next.material, trusted: signer.roots });
  }

  report(): CaReport {
    this.clock.advance(1_000);
    const report = parseReport(this.#reports.at(-1));
    if (report === undefined) throw new Error('nothing is reported');
    return report;
  }
}

describe('the report of a replica', () => {
  it('counts as accepted what a proxy has acknowledged, in both forms of ADS, and nothing before', async () => {
    const setting = new Setting();
    const delta = setting.delta('delta');
    const sotw = setting.sotw('sotw');
    delta.send('SDS', { sub: names });
    sotw.send('SDS', names);
    // Nobody asks.
    expect(setting.report()).toMatchObject({ rotating: false, proxies: 2, roots: { count: 0 }, leaves: { count: 0 } });
    delta.settle();
    sotw.settle();

    await setting.stage();
    expect(setting.report()).toMatchObject({
      rotating: true,
      bundle: setting.store.view.version,
      roots: { count: 2, names: ['delta.shop', 'sotw.shop'] },
    });
    delta.settle();
    expect(setting.report().roots.names).toEqual(['sotw.shop']);
    sotw.settle();
    expect(setting.report().roots.count).toBe(0);

    await setting.sign();
    expect(setting.report()).toMatchObject({
      signer: setting.store.view.authority.generation,
      leaves: { names: ['delta.shop', 'sotw.shop'] },
    });
    // All are renewed within 30 s, here after half of that.
    setting.clock.advance(15_000);
    delta.settle();
    expect(setting.report().leaves.names).toEqual(['sotw.shop']);
    sotw.settle();
    expect(setting.report().leaves.count).toBe(0);
  });

  it('does not count what is not visible yet, or was refused', async () => {
    const setting = new Setting();
    const proxy = setting.delta('page');
    proxy.send('SDS', { sub: names });
    proxy.settle();
    setting.hold();
    await setting.stage();
    expect(setting.report()).toMatchObject({ bundle: setting.store.view.version, roots: { names: ['page.shop'] } });
    setting.flush();
    proxy.got();
    proxy.nack('SDS', 'no');
    expect(setting.report().roots.names).toEqual(['page.shop']);
  });

  it('tells of proxies with an agent that ask for no secrets, and leaves out those that need none and those without identity', () => {
    const setting = new Setting();
    setting.delta('agent').send('CDS');
    const gateway = setting.delta('gateway');
    gateway.send('SDS', { sub: ['kubernetes://credential'] });
    gateway.settle();
    setting.world.delta().send('SDS', { sub: names });
    expect(setting.report()).toMatchObject({ proxies: 1, agents: 1, roots: { count: 0 }, leaves: { count: 0 } });
  });

  it('remembers who went away before it was done, until it is back, and finds those that others have lost', async () => {
    const setting = new Setting();
    const [done, late] = [setting.delta('done'), setting.delta('late', 'east')];
    for (const proxy of [done, late]) {
      proxy.send('SDS', { sub: names });
      proxy.settle();
    }
    await setting.stage();
    done.settle();
    expect(setting.report().roots.names).toEqual(['late.shop@east']);
    done.stream.disconnected('gone');
    late.stream.disconnected('gone');
    expect(setting.report()).toMatchObject({ proxies: 0, gone: ['late.shop@east'] });
    await setting.store.save({ ...setting.store.view.state, missing: ['late.shop@east', 'other.shop'] });
    expect(setting.report()).toMatchObject({ gone: [], found: [] });
    const back = setting.delta('late', 'east');
    back.send('SDS', { sub: names });
    expect(setting.report().found).toEqual([]);
    back.settle();
    expect(setting.report()).toMatchObject({ gone: [], found: ['late.shop@east'] });
  });

  it('tells when a rotation begins of those that had left before, as far as they may come back', async () => {
    const setting = new Setting();
    const proxies = ['early', 'deleted', 'moved', 'stayed'].map((name) => setting.delta(name));
    for (const proxy of proxies) {
      proxy.send('SDS', { sub: names });
      proxy.settle();
    }
    const [early, deleted, moved] = proxies;
    early?.stream.disconnected('gone');
    setting.report();
    setting.clock.advance(3600_000);
    deleted?.stream.disconnected('gone');
    moved?.stream.disconnected('gone');
    setting.deleted = ['deleted.shop'];
    expect(setting.report().gone).toEqual([]);
    await setting.stage();
    expect(setting.report().gone).toEqual(['moved.shop']);
    // Somebody has taken it over, and somebody else finds it.
    await setting.store.save({ ...setting.store.view.state, missing: ['moved.shop'] });
    expect(setting.report().gone).toEqual([]);
    await setting.store.save({ ...setting.store.view.state, missing: [] });
    expect(setting.report().gone).toEqual([]);
    await setting.sign();
    expect(setting.report().gone).toEqual(['moved.shop']);
  });

  it('can be published whatever proxies call themselves', async () => {
    const setting = new Setting();
    const long = (n: number): DeltaClient => setting.delta(`${n}${'\u0001\u{1f310}'.repeat(150)}`, undefined, 'all');
    const proxies = Array.from({ length: 60 }, (_, n) => long(n));
    for (const proxy of proxies) {
      proxy.send('SDS', { sub: names });
      proxy.settle();
    }
    await setting.stage();
    for (const proxy of proxies.slice(0, 30)) proxy.stream.disconnected('gone');
    const report = setting.report();
    expect([report.roots.count, report.gone.length > 0]).toEqual([30, true]);
    expect(() => checkPublished('ca', encodeReport(report))).not.toThrow();
  });
});
