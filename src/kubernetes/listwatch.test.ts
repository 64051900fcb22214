import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock, type Clock } from './clock.ts';
import { HttpTransport } from './http-transport.ts';
import { ListWatch, type ListWatchFault, type ListWatchLimits } from './listwatch.ts';
import type { RawObject } from './list.ts';
import { FakeApiServer } from './testing/fake-api-server.ts';

const path = '/api/v1/services';
const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

/** A server and a watch of it that keeps what it was told. */
class Watched {
  readonly server = new FakeApiServer();
  readonly objects = new Map<string, unknown>();
  readonly told: string[] = [];
  readonly faults: (ListWatchFault | undefined)[] = [];
  watch: ListWatch<unknown> | undefined;
  wanted: (object: RawObject) => boolean = () => true;
  served = true;
  #waiting: (() => void)[] = [];

  async start(limits: Partial<ListWatchLimits> = {}, clock: Clock = systemClock): Promise<this> {
    const server = await this.server.listen();
    const stop = new AbortController();
    this.watch = new ListWatch<unknown>({
      transport: new HttpTransport({ server, timeoutMs: 5_000 }),
      clock,
      resolve: async () => (this.served ? { path } : undefined),
      trim: (object) => (this.wanted(object) ? object['spec'] : undefined),
      onChange: ({ upserts, deletes }) => {
        for (const [key, value] of upserts) this.objects.set(key, value);
        for (const key of deletes) this.objects.delete(key);
        this.told.push([...[...upserts.keys()].map((key) => `+${key}`), ...deletes.map((key) => `-${key}`)].join(' '));
        this.#check();
      },
      onFault: (fault) => {
        this.faults.push(fault);
        this.#check();
      },
      limits: { absentMs: 5, ...limits },
      backoff: { firstMs: 1, maxMs: 10 },
    });
    const running = this.watch.run(stop.signal);
    stops.push(async () => {
      stop.abort();
      await running;
      await this.server.close();
    });
    return this;
  }

  async until(state: () => boolean): Promise<void> {
    if (state()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(() => (state() ? resolve() : undefined));
    await promise;
  }

  /** What the server has, as far as it is wanted, is what was told. */
  same(): Promise<void> {
    return this.until(() => {
      const there = [...this.server.objects(path)].filter(([, object]) => this.wanted({ ...object }));
      return (
        there.length === this.objects.size &&
        there.every(([key, { spec }]) => JSON.stringify(this.objects.get(key)) === JSON.stringify(spec))
      );
    });
  }

  async watching(): Promise<void> {
    await vi.waitUntil(() => this.server.watching === 1, { interval: 1 });
  }

  #check(): void {
    for (const check of this.#waiting) check();
  }
}

describe('ListWatch', () => {
  it('tells the list as one change, over pages, and then each event', async () => {
    const watched = new Watched();
    for (const name of ['a', 'b', 'c']) watched.server.put(path, 'shop', name, { name });
    await watched.start({ pageSize: 2 });
    await watched.watching();
    watched.server.put(path, 'shop', 'b', { name: 'b2' });
    watched.server.delete(path, 'shop', 'a');
    await watched.same();
    expect(watched.told).toEqual(['+shop/a +shop/b +shop/c', '+shop/b', '-shop/a']);
    expect(watched.server.requests.pages).toBe(1);
  });

  it('tells an empty list too', async () => {
    const watched = await new Watched().start();
    await watched.until(() => watched.told.length === 1);
    expect(watched.told).toEqual(['']);
  });

  it('goes on after a cut from the last version without a list', async () => {
    const watched = await new Watched().start();
    await watched.watching();
    watched.server.put(path, 'shop', 'a', 1);
    await watched.same();
    watched.server.cut();
    watched.server.put(path, 'shop', 'b', 2);
    await watched.same();
    expect(watched.server.requests.list).toBe(1);
    expect(watched.told).toEqual(['', '+shop/a', '+shop/b']);
  });

  it('goes on from a bookmark, where the past of its last object is gone', async () => {
    const watched = await new Watched().start();
    await watched.watching();
    watched.server.put('/other', 'shop', 'x', 1);
    watched.server.bookmark();
    watched.server.compact();
    watched.server.endWatches();
    await expect.poll(() => watched.server.requests.watch, { interval: 1 }).toBeGreaterThan(1);
    watched.server.put(path, 'shop', 'a', 1);
    await watched.same();
    expect(watched.server.requests.list).toBe(1);
  });

  it('lists again after 410 and tells only the difference', async () => {
    const watched = new Watched();
    for (const name of ['same', 'changed', 'gone']) watched.server.put(path, 'shop', name, 1);
    await watched.start();
    await watched.watching();
    watched.server.cut();
    watched.server.put(path, 'shop', 'changed', 2);
    watched.server.delete(path, 'shop', 'gone');
    watched.server.put(path, 'shop', 'new', 1);
    watched.server.compact();
    await watched.same();
    expect(watched.told.slice(1)).toEqual(['+shop/changed +shop/new -shop/gone']);
    expect(watched.server.requests.list).toBe(2);
  });

  it('does not take repeated events of the past for new ones', async () => {
    const watched = await new Watched().start();
    watched.server.repeat = 3;
    await watched.watching();
    watched.server.put(path, 'shop', 'a', 1);
    watched.server.delete(path, 'shop', 'a');
    watched.server.put(path, 'shop', 'b', 1);
    await watched.same();
    watched.server.cut();
    watched.server.put(path, 'shop', 'c', 1);
    await watched.same();
    expect(watched.told.slice(1)).toEqual(['+shop/a', '-shop/a', '+shop/b', '+shop/b', '+shop/c']);
  });

  it('joins chunks that end inside characters and inside JSON', async () => {
    const watched = await new Watched().start();
    watched.server.chunkBytes = 1;
    await watched.watching();
    watched.server.put(path, 'shop', 'a', { text: 'Grüße, 世界 🌍' });
    await watched.same();
    expect(watched.objects.get('shop/a')).toEqual({ text: 'Grüße, 世界 🌍' });
  });

  it('reports a line that is no event and makes good what it may have missed by a list', async () => {
    const watched = await new Watched().start();
    await watched.watching();
    watched.server.raw(path, '{"type":"ADDED","object":{"metadata":\n');
    await watched.until(() => watched.faults.some((fault) => fault?.type === 'unreadable'));
    watched.server.put(path, 'shop', 'a', 1);
    await watched.same();
    await watched.until(() => watched.faults.at(-1) === undefined);
    expect(watched.server.requests.list).toBe(2);
  });

  it('does not keep an event that is too large', async () => {
    const watched = await new Watched().start({ maxEventBytes: 1000 });
    await watched.watching();
    watched.server.put(path, 'shop', 'large', 'x'.repeat(5000));
    await watched.same();
    expect(watched.faults.map((fault) => fault?.message)).toContainEqual(
      expect.stringMatching(/^an event of .* has 5\d{3} bytes, at most 1000 are read$/),
    );
  });

  it('gives up a connection that is silent', async () => {
    const watched = await new Watched().start({ silenceMs: 20 });
    await expect.poll(() => watched.server.requests.watch, { interval: 5 }).toBeGreaterThan(2);
    expect(watched.server.requests.list).toBe(1);
  });

  it('keeps what it holds while the server refuses or is away', async () => {
    const watched = new Watched();
    watched.server.put(path, 'shop', 'a', 1);
    await watched.start();
    await watched.watching();
    watched.server.refuse = 403;
    watched.server.compact();
    watched.server.cut();
    await watched.until(() => watched.faults.some((fault) => fault?.status === 403));
    expect([...watched.objects.keys()]).toEqual(['shop/a']);
    watched.server.refuse = undefined;
    watched.server.put(path, 'shop', 'b', 1);
    await watched.same();
    expect(watched.told.every((change) => !change.includes('-'))).toBe(true);
  });

  it('waits for a kind that is not served yet', async () => {
    const watched = new Watched();
    watched.served = false;
    watched.server.put(path, 'shop', 'a', 1);
    await watched.start();
    await watched.until(() => watched.told.length === 1);
    expect(watched.faults.at(-1)?.type).toBe('not-served');
    watched.served = true;
    await watched.same();
    expect(watched.told).toEqual(['', '+shop/a']);
  });

  it('forgets what is not wanted any more, and finds what is wanted now, by a list on request', async () => {
    const watched = new Watched();
    watched.wanted = ({ metadata }) => metadata.namespace !== 'other';
    watched.server.put(path, 'shop', 'a', 1);
    watched.server.put(path, 'other', 'b', 1);
    await watched.start();
    await watched.watching();
    expect(watched.watch?.size).toBe(1);
    watched.wanted = ({ metadata }) => metadata.namespace === 'other';
    watched.watch?.relist();
    await watched.until(() => watched.told.length === 2);
    expect(watched.told).toEqual(['+shop/a', '+other/b -shop/a']);
  });
});

describe('ListWatch of selected namespaces', () => {
  async function selecting(...namespaces: readonly string[]): Promise<{ watched: Watched; selected: Set<string> }> {
    const watched = new Watched();
    const selected = new Set(namespaces);
    watched.wanted = ({ metadata }) => selected.has(metadata.namespace ?? '');
    for (const namespace of ['shop', 'other']) for (const name of ['a', 'b']) watched.server.put(path, namespace, name, 1);
    await watched.start();
    await watched.watching();
    return { watched, selected };
  }

  it('lists what is in one that is wanted now, and goes on watching', async () => {
    const { watched, selected } = await selecting('shop');
    selected.add('other');
    watched.watch?.readNamespace('other');
    await watched.same();
    watched.server.put(path, 'other', 'b', 2);
    watched.server.delete(path, 'other', 'a');
    await watched.same();
    expect(watched.told).toEqual(['+shop/a +shop/b', '+other/a +other/b', '+other/b', '-other/a']);
    expect(watched.server.queries.map(({ pathname }) => pathname)).toEqual([path, path, '/api/v1/namespaces/other/services']);
    expect(watched.server.requests.watch).toBe(1);
  });

  it('drops what is in one that is not wanted any more, and asks for nothing', async () => {
    const { watched, selected } = await selecting('shop', 'other');
    const requests = watched.server.queries.length;
    selected.delete('other');
    watched.watch?.dropNamespace('other');
    expect(watched.told.at(-1)).toBe('-other/a -other/b');
    watched.server.put(path, 'other', 'c', 2);
    watched.server.put(path, 'shop', 'c', 2);
    await watched.same();
    expect([watched.told.at(-1), watched.watch?.size, watched.server.queries.length]).toEqual(['+shop/c', 3, requests]);
  });

  it('takes the newer of what the list and the watch say, and nothing that was deleted meanwhile', async () => {
    const { watched, selected } = await selecting('shop');
    const { server } = watched;
    // The list is of before, and arrives after what the watch tells.
    const items = [...server.objects(path).values()].filter(({ metadata }) => metadata.namespace === 'other');
    const body = JSON.stringify({ metadata: { resourceVersion: server.version }, items });
    const { promise: asked, resolve } = Promise.withResolvers<() => void>();
    server.intercept = (request, response) => {
      if (request.url?.includes('/namespaces/other/') !== true) return false;
      resolve(() => {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(body);
      });
      return true;
    };
    selected.add('other');
    watched.watch?.readNamespace('other');
    const answer = await asked;
    server.put(path, 'other', 'a', 'newer');
    server.delete(path, 'other', 'b');
    server.put(path, 'other', 'c', 'new');
    await watched.until(() => watched.objects.has('other/c'));
    answer();
    server.intercept = undefined;
    server.put(path, 'shop', 'last', 1);
    await watched.same();
    selected.add('third');
    server.put(path, 'third', 'x', 1);
    watched.watch?.readNamespace('third');
    await watched.same();
    expect(watched.told.slice(1)).toEqual(['+other/a', '+other/c', '+shop/last', '+third/x']);
    expect(server.requests.watch).toBe(1);
  });

  it('is not set back by a watch that is behind the list', async () => {
    const { watched, selected } = await selecting('shop');
    const { server } = watched;
    const ahead = { metadata: { namespace: 'other', name: 'a', resourceVersion: String(Number(server.version) + 100) }, spec: 'ahead' };
    server.intercept = (request, response) => {
      if (request.url?.includes('/namespaces/other/') !== true) return false;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ metadata: { resourceVersion: ahead.metadata.resourceVersion }, items: [ahead] }));
      return true;
    };
    selected.add('other');
    watched.watch?.readNamespace('other');
    await watched.until(() => watched.objects.get('other/a') === 'ahead');
    server.put(path, 'other', 'a', 'past');
    server.delete(path, 'other', 'a');
    server.put(path, 'shop', 'last', 1);
    await watched.until(() => watched.objects.has('shop/last'));
    expect(watched.told.slice(1)).toEqual(['+other/a', '+shop/last']);
    server.raw(
      path,
      `${JSON.stringify({ type: 'DELETED', object: { ...ahead, metadata: { ...ahead.metadata, resourceVersion: '900' } } })}\n`,
    );
    await watched.until(() => watched.told.at(-1) === '-other/a');
  });

  it('lists everything where it cannot list one namespace', async () => {
    const { watched, selected } = await selecting('shop');
    watched.server.intercept = (request, response) => {
      if (request.url?.includes('/namespaces/') !== true) return false;
      response.writeHead(500).end();
      return true;
    };
    selected.add('other');
    watched.watch?.readNamespace('other');
    await watched.same();
    expect(watched.told).toEqual(['+shop/a +shop/b', '+other/a +other/b']);
    expect(watched.server.requests.list).toBe(2);
  });

  it('begins a list anew that a namespace has joined or left meanwhile', async () => {
    const { watched, selected } = await selecting('shop');
    const { promise: asked, resolve } = Promise.withResolvers<void>();
    watched.server.intercept = (request) => {
      resolve();
      return request.url?.includes('watch=') !== true;
    };
    watched.watch?.relist();
    await asked;
    selected.add('other');
    selected.delete('shop');
    watched.server.intercept = undefined;
    watched.watch?.readNamespace('other');
    watched.watch?.dropNamespace('shop');
    await watched.same();
    expect(watched.told).toEqual(['+shop/a +shop/b', '+other/a +other/b -shop/a -shop/b']);
    expect(watched.server.queries.filter(({ pathname }) => pathname !== path)).toEqual([]);
  });
});

/** A small generator, so that a failing run can be repeated. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) % 4294967296;
    return state / 4294967296;
  };
}

describe('ListWatch under random faults', () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    it(`holds what the server has, seed ${seed}`, async () => {
      const random = randomOf(seed);
      const watched = new Watched();
      const { server } = watched;
      const selected = new Set(['shop']);
      watched.wanted = ({ metadata }) => selected.has(metadata.namespace ?? '');
      await watched.start({ pageSize: 5 });
      for (let step = 0; step < 400; step++) {
        const name = `o${Math.floor(random() * 30)}`;
        const namespace = random() < 0.6 ? 'shop' : 'other';
        if (random() < 0.05) {
          if (selected.delete(namespace)) watched.watch?.dropNamespace(namespace);
          else {
            selected.add(namespace);
            watched.watch?.readNamespace(namespace);
          }
        }
        const dice = random();
        if (dice < 0.55) server.put(path, namespace, name, { step, text: 'ü'.repeat(Math.floor(random() * 20)) });
        else if (dice < 0.8) server.delete(path, namespace, name);
        else if (dice < 0.84) server.cut();
        else if (dice < 0.87) server.compact();
        else if (dice < 0.9) server.endWatches();
        else if (dice < 0.92) server.raw(path, '{"type":\n');
        else if (dice < 0.94) server.repeat = Math.floor(random() * 6);
        else if (dice < 0.96) server.chunkBytes = Math.floor(random() * 40);
        else server.bookmark();
        if (random() < 0.3) await new Promise((resolve) => setImmediate(resolve));
        // Faults are to meet a watch, not only a list.
        if (step % 20 === 0) await watched.watching();
      }
      if (!selected.has('shop')) {
        selected.add('shop');
        watched.watch?.readNamespace('shop');
      }
      server.put(path, 'shop', 'last', seed);
      await watched.same();
      const wanted = [...server.objects(path)].flatMap(([key, object]) => (watched.wanted({ ...object }) ? [key] : []));
      expect([...watched.objects.keys()].sort()).toEqual(wanted.sort());
      expect(watched.watch?.size).toBe(wanted.length);
      expect(server.requests.watch).toBeGreaterThan(3);
    });
  }
});
