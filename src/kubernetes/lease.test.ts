import { expect, test } from 'vitest';
import { LeaseElection, type LeaseElectionOptions } from './lease.ts';
import { ManualClock } from './testing/manual-clock.ts';
import { MemoryApi } from './testing/memory-api.ts';

interface Reign {
  readonly holder: string;
  readonly from: number;
  to: number;
}

/** Holders of one lease, whose times of leading are recorded. */
class Contest {
  readonly clock = new ManualClock();
  /** What the server has; each holder reaches it by an api of its own. */
  readonly objects = new MemoryApi();
  readonly reigns: Reign[] = [];
  readonly faults: unknown[] = [];

  holder(name: string, options: Partial<LeaseElectionOptions> = {}): Holder {
    return new Holder(this, name, options);
  }

  get spec(): Record<string, unknown> {
    return this.objects.objects.get('leader')?.['spec'] as Record<string, unknown>;
  }

  /** Who led while another did; none may have. */
  overlaps(): string[] {
    const sorted = this.reigns.toSorted((one, other) => one.from - other.from);
    return sorted.flatMap((reign, index) => {
      const next = sorted[index + 1];
      return next === undefined || reign.to <= next.from ? [] : [`${reign.holder} until ${reign.to}, ${next.holder} from ${next.from}`];
    });
  }
}

class Holder {
  readonly api: Link;
  readonly election: LeaseElection;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor({ clock, objects, reigns, faults }: Contest, name: string, options: Partial<LeaseElectionOptions>) {
    this.api = new Link(objects);
    this.election = new LeaseElection({
      api: this.api,
      clock,
      wallClock: () => Date.parse('2026-01-01T00:00:00Z') + clock.now(),
      namespace: 'istio-system',
      name: 'leader',
      holder: name,
      onFault: (error) => faults.push(error),
      ...options,
    });
    this.#running = this.election.run(async (signal) => {
      const reign: Reign = { holder: name, from: clock.now(), to: Infinity };
      reigns.push(reign);
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      reign.to = clock.now();
    }, this.#stop.signal);
  }

  /** As a daemon that is asked to end. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

/** The way of one holder to the server, which may be cut while those of the others are not. */
class Link extends MemoryApi {
  readonly #server: MemoryApi;
  /** Answers that come so late were still acted upon. */
  answerLater: Promise<void> | undefined;

  constructor(server: MemoryApi) {
    super();
    this.#server = server;
  }

  override async get(...args: Parameters<MemoryApi['get']>): ReturnType<MemoryApi['get']> {
    await super.get(...args);
    return this.#server.get(...args);
  }

  override async create(...args: Parameters<MemoryApi['create']>): ReturnType<MemoryApi['create']> {
    const answer = await this.#server.create(...args);
    await this.answerLater;
    return answer;
  }

  override async replace(...args: Parameters<MemoryApi['replace']>): ReturnType<MemoryApi['replace']> {
    const answer = await this.#server.replace(...args);
    await this.answerLater;
    return answer;
  }
}

test('the first to come leads and renews; the others wait', async () => {
  const contest = new Contest();
  const a = contest.holder('a');
  await contest.clock.advance(500);
  const b = contest.holder('b');
  await contest.clock.advance(120_000);
  expect(contest.reigns).toEqual([{ holder: 'a', from: 0, to: Infinity }]);
  expect([a.election.leading, b.election.leading, b.election.currentHolder]).toEqual([true, false, 'a']);
  expect(contest.spec).toMatchObject({
    holderIdentity: 'a',
    leaseDurationSeconds: 15,
    acquireTime: '2026-01-01T00:00:00.000000Z',
    renewTime: '2026-01-01T00:02:00.000000Z',
    leaseTransitions: 0,
  });
  await Promise.all([a.stop(), b.stop()]);
});

test('given up at the end, it is taken over within two seconds', async () => {
  const contest = new Contest();
  contest.clock.chance = 0.99;
  const a = contest.holder('a');
  await contest.clock.advance(100);
  const b = contest.holder('b');
  await contest.clock.advance(60_000);
  await a.stop();
  expect(contest.spec).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1 });
  const stopped = contest.clock.now();
  await contest.clock.advance(2_000);
  expect(contest.reigns.map(({ holder }) => holder)).toEqual(['a', 'b']);
  expect((contest.reigns[1]?.from ?? Infinity) - stopped).toBeLessThan(2_000);
  expect(contest.spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
  expect(contest.overlaps()).toEqual([]);
  await b.stop();
});

test('of a holder that dies without a word it is taken after its duration, not before', async () => {
  const contest = new Contest();
  const a = contest.holder('a');
  await contest.clock.advance(100);
  const b = contest.holder('b');
  await contest.clock.advance(60_000);
  // Nothing of it reaches the server any more.
  a.api.frozen = true;
  const died = contest.clock.now();
  await contest.clock.advance(20_000);
  const taken = (contest.reigns[1]?.from ?? Infinity) - died;
  expect(taken).toBeGreaterThan(12_000);
  expect(taken).toBeLessThan(16_500);
  expect(contest.overlaps()).toEqual([]);
  a.api.thaw();
  await contest.clock.advance(30_000);
  expect(a.election.leading).toBe(false);
  expect(contest.reigns.map(({ holder }) => holder)).toEqual(['a', 'b']);
  await Promise.all([a.stop(), b.stop()]);
});

test('while the API server is away for longer than the deadline nobody leads; then one does', async () => {
  const contest = new Contest();
  const a = contest.holder('a');
  await contest.clock.advance(100);
  const b = contest.holder('b');
  await contest.clock.advance(60_000);
  a.api.frozen = b.api.frozen = true;
  await contest.clock.advance(9_000);
  expect(a.election.leading).toBe(true);
  await contest.clock.advance(51_000);
  expect([a.election.leading, b.election.leading]).toEqual([false, false]);
  a.api.thaw();
  b.api.thaw();
  await contest.clock.advance(30_000);
  expect([a.election.leading, b.election.leading].filter(Boolean)).toHaveLength(1);
  expect(contest.overlaps()).toEqual([]);
  await Promise.all([a.stop(), b.stop()]);
});

test('an answer that comes after the deadline is no ground to lead', async () => {
  const contest = new Contest();
  const late = Promise.withResolvers<void>();
  const a = contest.holder('a', { retryMs: 60_000 });
  a.api.answerLater = late.promise;
  await contest.clock.advance(14_000);
  late.resolve();
  await contest.clock.advance(0);
  expect(contest.spec).toMatchObject({ holderIdentity: 'a' });
  expect(contest.reigns).toEqual([]);
  await a.stop();
});

test('a lease that another has taken is lost at once', async () => {
  const contest = new Contest();
  const a = contest.holder('a');
  await contest.clock.advance(10_000);
  const lease = contest.objects.objects.get('leader');
  contest.objects.put('leader', { ...lease, spec: { ...contest.spec, holderIdentity: 'thief', renewTime: 'now' } });
  await contest.clock.advance(2_000);
  expect(a.election.leading).toBe(false);
  expect(contest.reigns[0]?.to).toBe(12_000);
  // And not given up in the name of the other.
  expect(contest.spec).toMatchObject({ holderIdentity: 'thief' });
  await a.stop();
});

test('of two that take it at the same time one gets it', async () => {
  const contest = new Contest();
  const a = contest.holder('a');
  const b = contest.holder('b');
  await contest.clock.advance(100);
  expect([a.election.leading, b.election.leading].filter(Boolean)).toHaveLength(1);
  // Both find it abandoned, and write.
  const [leader, other] = a.election.leading ? [a, b] : [b, a];
  const third = contest.holder('c');
  await contest.clock.advance(60_000);
  leader.api.frozen = true;
  await contest.clock.advance(60_000);
  expect([other.election.leading, third.election.leading].filter(Boolean)).toHaveLength(1);
  expect(contest.overlaps()).toEqual([]);
  // Who was second is no fault.
  expect(contest.faults.filter((fault) => String(fault).includes('modified'))).toEqual([]);
  leader.api.thaw();
  await Promise.all([a.stop(), b.stop(), third.stop()]);
});

test('a conflict while it is renewed is no loss', async () => {
  const contest = new Contest();
  const a = contest.holder('a');
  await contest.clock.advance(3_000);
  // Somebody has labelled it in between.
  contest.objects.beforeWrite = () => {
    contest.objects.beforeWrite = undefined;
    contest.objects.put('leader', contest.objects.objects.get('leader') ?? {});
  };
  await contest.clock.advance(60_000);
  expect(contest.reigns).toEqual([{ holder: 'a', from: 0, to: Infinity }]);
  await a.stop();
});

test('a process that stood still does not take itself for the leader when it goes on', async () => {
  const contest = new Contest();
  const a = contest.holder('a');
  await contest.clock.advance(5_000);
  expect(a.election.leading).toBe(true);
  contest.clock.jump(20_000);
  expect(a.election.leading).toBe(false);
  await contest.clock.advance(5_000);
  expect(contest.reigns.map(({ holder }) => holder)).toEqual(['a', 'a']);
  expect(contest.overlaps()).toEqual([]);
  await a.stop();
});

test('never two at a time, whatever breaks', async () => {
  let seed = 7;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  const contest = new Contest();
  const holders = ['a', 'b', 'c'].map((name) => contest.holder(name));
  for (let step = 0; step < 400; step++) {
    const { api } = holders[random(3)] as Holder;
    if (api.frozen) api.thaw();
    else if (random(2) === 0) api.frozen = true;
    await contest.clock.advance(random(6_000));
    expect(holders.filter(({ election }) => election.leading).length).toBeLessThanOrEqual(1);
  }
  expect(contest.reigns.length).toBeGreaterThan(20);
  expect(contest.overlaps()).toEqual([]);
  for (const { api } of holders) api.thaw();
  await Promise.all(holders.map((holder) => holder.stop()));
});
