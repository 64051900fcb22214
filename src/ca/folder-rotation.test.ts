import type { X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { replaceStateFile } from '../identity/privatefile.ts';
import { testFolder } from '../identity/testing/folder.ts';
import { ManualClock } from '../kubernetes/testing/manual-clock.ts';
import { newSelfSignedMaterial } from './authority.ts';
import { FolderCa } from './folder-ca.ts';
import { requestFile, runFolderRotation, statusFile } from './folder-rotation.ts';
import { readCertificates } from './pem.ts';
import { laggingOf, type CaReport } from './report.ts';
import type { CaStatus } from './status.ts';

const patienceMs = 5_000;

class Setting implements AsyncDisposable {
  readonly stateDir: string;
  readonly store: FolderCa;
  readonly clock = new ManualClock();
  readonly faults: unknown[] = [];
  lagging: readonly string[] = [];
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(stateDir = testFolder()) {
    this.stateDir = stateDir;
    const began = Date.parse('2026-01-01T00:00:00Z');
    const now = (): number => began + this.clock.now();
    this.store = FolderCa.open(stateDir, 'cluster.local', now());
    this.#running = runFolderRotation(
      {
        store: this.store,
        stateDir,
        clock: this.clock,
        now,
        replicas: () => [{ name: 'one', live: true, report: this.#report() }],
        exists: () => true,
        replicaExists: () => false,
        newRoot: () => newSelfSignedMaterial('cluster.local', now()),
        ...{ patienceMs, missingMs: 3600_000, leafMs: 3600_000, renewalFraction: 0.2 },
        onReplicasChange: () => () => {},
        onStep: () => {},
        onFault: (error) => this.faults.push(error),
      },
      this.#stop.signal,
    );
  }

  #report(): CaReport {
    const { view } = this.store;
    const lagging = laggingOf(this.lagging);
    const none = { gone: [], found: [], ends: [] };
    return {
      bundle: view.version,
      signer: view.authority.generation,
      rotating: true,
      proxies: 1,
      agents: 0,
      roots: lagging,
      leaves: lagging,
      ...none,
    };
  }

  ask(action: 'rotate' | 'abort', id: string = action): void {
    replaceStateFile(requestFile(this.stateDir), JSON.stringify({ id, action }), 'secret');
  }

  status(): CaStatus {
    return JSON.parse(readFileSync(statusFile(this.stateDir), 'utf8')) as CaStatus;
  }

  roots(): string[] {
    const pem = readFileSync(join(this.stateDir, 'ca', 'root-cert.pem'), 'utf8');
    return readCertificates(pem, 'roots').map((root) => root.fingerprint256);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.clock.advance(1_000);
    await this.#running;
  }
}

describe('rotation in a state folder', () => {
  it('is asked for in a file, shown in another, and survives a restart in every phase', async () => {
    const stateDir = testFolder();
    {
      await using setting = new Setting(stateDir);
      await setting.clock.advance(100);
      expect(setting.status()).toMatchObject({ phase: 'stable', roots: [{ role: 'signing' }] });
      setting.lagging = ['page.bookshop'];
      setting.ask('rotate');
      await setting.clock.advance(2_000);
      expect(setting.status()).toMatchObject({
        phase: 'staged',
        lagging: ['page.bookshop'],
        waits: expect.arrayContaining(['1 proxy of replica one: page.bookshop']),
        request: { id: 'rotate', outcome: 'staged' },
      });
      expect(setting.roots()).toHaveLength(2);
    }
    {
      await using setting = new Setting(stateDir);
      expect(setting.store.view.state.phase).toBe('staged');
      await setting.clock.advance(patienceMs - 1_000);
      // Proxies may be on their way back to it.
      expect(setting.status()).toMatchObject({
        phase: 'staged',
        waits: ['replica one has just begun; proxies are given time to come to it'],
      });
      await setting.clock.advance(6_000);
      expect(setting.status().phase).toBe('retired');
    }
    await using setting = new Setting(stateDir);
    const { authority } = setting.store.view;
    expect(setting.roots()).toEqual([authority.root.fingerprint256]);
    const key = readFileSync(join(stateDir, 'ca', 'root-key.pem'), 'utf8');
    expect(key).toBe(setting.store.view.state.signer.key);
    for (const name of ['root-key.pem', 'state.json']) expect(statSync(join(stateDir, 'ca', name)).mode & 0o777).toBe(0o600);
    expect(setting.faults).toEqual([]);
  });

  it('is aborted by a file too, and a file that is no request changes nothing', async () => {
    await using setting = new Setting();
    setting.lagging = ['page.bookshop'];
    setting.ask('rotate');
    await setting.clock.advance(1_500);
    setting.ask('abort');
    await setting.clock.advance(1_500);
    expect(setting.status()).toMatchObject({ phase: 'stable', request: { id: 'abort', outcome: 'aborted' } });
    expect(setting.roots()).toHaveLength(1);
    for (const nonsense of ['', '{', 'null', '{"id":"","action":"rotate"}', '{"id":"x","action":"retire"}']) {
      replaceStateFile(requestFile(setting.stateDir), nonsense, 'secret');
      await setting.clock.advance(1_500);
    }
    expect(setting.status().request?.id).toBe('abort');
    expect(setting.faults).toEqual([]);
  });

  it('does not take a request that all users could have left', async () => {
    await using setting = new Setting();
    await setting.clock.advance(100);
    writeFileSync(requestFile(setting.stateDir), JSON.stringify({ id: 'x', action: 'rotate' }), { mode: 0o666 });
    await setting.clock.advance(1_500);
    expect(setting.status().phase).toBe('stable');
    expect(String(setting.faults[0])).toContain('request.json has mode');
  });

  it('is forgotten with the key: who removes it gets a new root', async () => {
    const stateDir = testFolder();
    let before: X509Certificate;
    {
      await using setting = new Setting(stateDir);
      setting.ask('rotate');
      await setting.clock.advance(patienceMs + 4_000);
      before = setting.store.view.authority.certificate;
    }
    for (const name of ['root-key.pem', 'root-cert.pem']) rmSync(join(stateDir, 'ca', name));
    const opened = [1, 2].map(() => FolderCa.open(stateDir, 'cluster.local', Date.now()).view.authority);
    expect(opened[0]?.certificate.raw).not.toEqual(before.raw);
    expect(opened[1]?.generation).toBe(opened[0]?.generation);
  });

  it('has nothing in force that could not be kept', async () => {
    const stateDir = testFolder();
    const now = Date.parse('2026-01-01T00:00:00Z');
    const store = FolderCa.open(stateDir, 'cluster.local', now);
    const { view } = store;
    mkdirSync(join(stateDir, 'ca', 'state.json'));
    const next = { origin: 'self-signed', material: newSelfSignedMaterial('cluster.local', now) } as const;
    await expect(store.save({ ...view.state, phase: 'staged', next })).rejects.toThrow('state.json');
    expect(store.view).toBe(view);
    rmdirSync(join(stateDir, 'ca', 'state.json'));
    await store.save({ ...view.state, phase: 'staged', next });
    expect(store.view.state.phase).toBe('staged');
  });
});
