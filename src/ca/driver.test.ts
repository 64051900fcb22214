import { describe, expect, it } from 'vitest';
import { ManualClock } from '../kubernetes/testing/manual-clock.ts';
import { newSelfSignedMaterial } from './authority.ts';
import { RotationDriver, type ListedReplica } from './driver.ts';
import { Listeners } from './listeners.ts';
import { laggingOf } from './report.ts';
import type { CaStatus } from './status.ts';
import type { CaStore } from './store.ts';
import { stableState, viewOf, type CaState, type CaView } from './state.ts';

const began = Date.parse('2026-01-01T00:00:00Z');
const patienceMs = 10_000;

class Setting implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly listeners = new Listeners();
  replicas: readonly string[] | undefined = ['a', 'b'];
  pods: readonly string[] = ['a', 'b'];
  dead: readonly string[] = [];
  lagging: Readonly<Record<string, readonly string[]>> = {};
  /** Of all replicas while the new root signs. */
  laggingLeaves: readonly string[] = [];
  /** By how much the clock of this machine is wrong. */
  wrongMs = 0;
  /** Another replica is first, so often. */
  conflicts = 0;
  failures = 0;
  readonly faults: unknown[] = [];
  readonly said: string[] = [];
  readonly statuses: CaStatus[] = [];
  state: CaState = stableState('self-signed', newSelfSignedMaterial('cluster.local', began));
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly driver: RotationDriver;

  /** `otherTime`: what the API server says; absent: there is none. */
  constructor(otherTime?: (trueMs: number) => number | undefined) {
    const view = (): CaView => viewOf(this.state, 'test');
    const store: CaStore = {
      get view() {
        return view();
      },
      given: undefined,
      plugged: false,
      onChange: (listener) => this.listeners.add(listener),
      repair: async () => {},
      problems: () => [],
      save: async (state) => {
        if (this.failures-- > 0) throw new Error('no answer');
        if (this.conflicts-- > 0) return false;
        this.state = state;
        this.listeners.notify();
        return true;
      },
    };
    this.driver = new RotationDriver({
      store,
      clock: this.clock,
      now: () => began + this.clock.now() + this.wrongMs,
      ...(otherTime !== undefined && { otherTime: async () => otherTime(began + this.clock.now()) }),
      request: () => ({ id: '1', action: 'rotate' }),
      replicas: () => this.replicas?.map((name) => this.#listed(name)),
      exists: () => true,
      replicaExists: (name) => this.pods.includes(name),
      newRoot: () => newSelfSignedMaterial('cluster.local', began),
      ...{ patienceMs, missingMs: 3600_000, leafMs: 3600_000, renewalFraction: 0 },
      onStep: (said) => this.said.push(said),
      onStatus: async (status) => void this.statuses.push(status),
      onFault: (error) => this.faults.push(error),
    });
    this.#running = this.driver.run(this.#stop.signal);
  }

  #listed(name: string): ListedReplica {
    const view = viewOf(this.state, 'test');
    const late = laggingOf([...(this.lagging[name] ?? []), ...(this.state.phase === 'signing' ? this.laggingLeaves : [])]);
    const rest = { rotating: true, proxies: 1, agents: 0, gone: [], found: [], ends: [] };
    const report = { bundle: view.version, signer: view.authority.generation, roots: late, leaves: late, ...rest };
    return { name, live: !this.dead.includes(name), report };
  }

  get last(): CaStatus | undefined {
    return this.statuses.at(-1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.clock.advance(1_000);
    await this.#running;
  }
}

describe('who leads a rotation', () => {
  it('gives replicas time that it has just learnt of, and then goes on by itself', async () => {
    await using setting = new Setting();
    await setting.clock.advance(2_000);
    expect(setting.last).toMatchObject({
      phase: 'staged',
      waits: ['a', 'b'].map((name) => `replica ${name} has just begun; proxies are given time to come to it`),
    });
    const { length } = setting.statuses;
    await setting.clock.advance(5_000);
    // Nothing has changed: nothing is written.
    expect(setting.statuses).toHaveLength(length);
    await setting.clock.advance(20_000);
    expect(setting.last?.phase).toBe('retired');
    expect(setting.said).toHaveLength(4);
  });

  it('counts a replica that is listed no more as gone, for as long as its proxies need to come back or its pod is there', async () => {
    await using setting = new Setting();
    setting.lagging = { b: ['p.shop'] };
    await setting.clock.advance(patienceMs + 3_000);
    expect(setting.last?.lagging).toEqual(['p.shop']);
    setting.replicas = ['a'];
    await setting.clock.advance(3 * patienceMs);
    expect(setting.last).toMatchObject({ phase: 'staged', lagging: ['p.shop'] });
    expect(setting.last?.waits).toContain('replica b is gone; its proxies are given time to come back to another');
    setting.pods = ['a'];
    await setting.clock.advance(patienceMs + 2_000);
    // What lagged there is still missing.
    expect(setting.last).toMatchObject({ phase: 'staged', waits: ['1 proxy no longer connected: p.shop'] });
  });

  it('does nothing while it is not known which replicas there are', async () => {
    await using setting = new Setting();
    await setting.clock.advance(500);
    setting.replicas = undefined;
    await setting.clock.advance(60_000);
    expect(setting.last).toMatchObject({ phase: 'staged', waits: ['it is not known which replicas there are'] });
  });

  it('tries again where a write fails or another was first', async () => {
    await using setting = new Setting();
    setting.failures = 2;
    setting.conflicts = 1;
    await setting.clock.advance(60_000);
    expect(setting.faults).toHaveLength(2);
    expect(setting.last?.phase).toBe('retired');
  });

  it('does not take the time from a clock that jumps: the old root stays as long as its leaves', async () => {
    await using setting = new Setting();
    setting.laggingLeaves = ['p.shop'];
    await setting.clock.advance(60_000);
    expect(setting.last?.phase).toBe('signing');
    setting.wrongMs = 24 * 3600_000;
    await setting.clock.advance(3_000);
    setting.clock.jump(3600_000 - 120_000);
    await setting.clock.advance(3_000);
    expect(setting.last).toMatchObject({ phase: 'signing', lagging: ['p.shop'] });
    // The life of a leaf has passed, and a minute for replicas to follow.
    setting.clock.jump(180_000);
    await setting.clock.advance(3_000);
    expect(setting.last?.phase).toBe('retired');
  });

  it('leaves all phases as they are while its clock and that of the API server differ, and names that', async () => {
    await using setting = new Setting((trueMs) => trueMs);
    setting.wrongMs = 24 * 3600_000;
    await setting.clock.advance(120_000);
    expect(setting.last).toMatchObject({
      phase: 'staged',
      waits: ['the clock of the leader is 24 hours ahead of that of the API server; set them right'],
      rotation: { stagedAt: expect.stringMatching(/^2026-01-01T00:00/) as string },
    });
    setting.wrongMs = -600_000;
    await setting.clock.advance(60_000);
    expect(setting.last?.waits[0]).toContain('10 minutes behind');
    setting.wrongMs = 2_000;
    await setting.clock.advance(60_000);
    expect(setting.last?.phase).toBe('retired');
  });

  it('asks the API server until it says what time it is', async () => {
    let said: 'nothing' | 'no date' | 'the time' = 'nothing';
    await using setting = new Setting((trueMs) => {
      if (said === 'nothing') throw new Error('no answer');
      return said === 'no date' ? undefined : trueMs;
    });
    await setting.clock.advance(60_000);
    said = 'no date';
    await setting.clock.advance(60_000);
    const fault = 'the API server has not told the time yet, and the clock of one machine is not relied on';
    expect(setting.last).toMatchObject({ phase: 'staged', waits: [fault] });
    said = 'the time';
    await setting.clock.advance(60_000);
    expect(setting.last?.phase).toBe('retired');
    // What it said last goes on with the time that passes.
    said = 'nothing';
    await setting.clock.advance(600_000);
    expect(setting.faults).toEqual([]);
  });
});
