import { describe, expect, it, vi } from 'vitest';
import type { KubernetesApi } from '../../kubernetes/api.ts';
import { systemClock } from '../../kubernetes/clock.ts';
import { HttpTransport } from '../../kubernetes/http-transport.ts';
import { ApiRefusal, type RawObject } from '../../kubernetes/list.ts';
import { FakeApiServer } from '../../kubernetes/testing/fake-api-server.ts';
import { ManualClock } from '../../kubernetes/testing/manual-clock.ts';
import { RateLimit } from './rate-limit.ts';
import { RootConfigMaps } from './root-config-maps.ts';

const maps = '/api/v1/configmaps';

class Setting implements AsyncDisposable {
  readonly server: FakeApiServer;
  readonly #running: Promise<void>;
  readonly #stop = new AbortController();
  readonly #listeners = new Set<() => void>();
  readonly writes: string[] = [];
  readonly faults: string[] = [];
  roots = 'old';
  refuse: ((namespace: string) => ApiRefusal | undefined) | undefined;

  private constructor(server: FakeApiServer, url: string) {
    this.server = server;
    const controller = new RootConfigMaps({
      api: { apply: this.#apply },
      transport: new HttpTransport({ server: url }),
      clock: systemClock,
      roots: () => this.roots,
      onRootsChange: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
      selects: (labels) => labels['mesh'] !== 'no',
      onFault: (message) => this.faults.push(message),
    });
    this.#running = controller.run(this.#stop.signal);
  }

  static async start(...namespaces: readonly string[]): Promise<Setting> {
    const server = new FakeApiServer();
    const setting = new Setting(server, await server.listen());
    for (const name of namespaces) setting.namespace(name);
    return setting;
  }

  readonly #apply: KubernetesApi['apply'] = async ({ namespace = '', name }, body) => {
    const refusal = this.refuse?.(namespace);
    this.writes.push(namespace);
    if (refusal !== undefined) throw refusal;
    const { data, metadata } = body as { data: object; metadata: { labels: object } };
    return this.server.put(maps, namespace, name, undefined, { data, metadata: { labels: metadata.labels } }) as unknown as RawObject;
  };

  namespace(name: string, metadata: object = {}): void {
    this.server.put('/api/v1/namespaces', '', name, {}, { metadata });
  }

  rotate(roots: string): void {
    this.roots = roots;
    for (const listener of this.#listeners) listener();
  }

  edit(namespace: string, data: object, labels: object = { 'istio.io/config': 'true' }): void {
    this.server.put(maps, namespace, 'istio-ca-root-cert', undefined, { data, metadata: { labels } });
  }

  published(): Record<string, unknown> {
    return Object.fromEntries(
      [...this.server.objects(maps)].map(([key, object]) => {
        const { data, metadata } = object as unknown as { data: Record<string, string>; metadata: { labels: Record<string, string> } };
        return [key.split('/')[0], `${data['root-cert.pem']} ${metadata.labels['istio.io/config']}`];
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.server.close();
  }
}

describe('the ConfigMap of roots', () => {
  it('is in all namespaces that are selected and stay, and in those that come', async () => {
    await using setting = await Setting.start('shop', 'kube-system', 'kube-public', 'kube-node-lease');
    setting.namespace('other', { labels: { mesh: 'no' } });
    setting.namespace('ending', { deletionTimestamp: '2026-01-01T00:00:00Z' });
    await vi.waitFor(() => expect(setting.published()).toEqual({ shop: 'old true' }));
    setting.namespace('later');
    setting.namespace('other', { labels: { mesh: 'yes' } });
    await vi.waitFor(() => expect(setting.published()).toEqual({ shop: 'old true', later: 'old true', other: 'old true' }));
    expect(setting.writes.sort()).toEqual(['later', 'other', 'shop']);
  });

  it('follows the roots, and is put right when it is edited or deleted', async () => {
    await using setting = await Setting.start('shop', 'bank');
    await vi.waitFor(() => expect(Object.keys(setting.published())).toHaveLength(2));
    setting.rotate('new');
    await vi.waitFor(() => expect(setting.published()).toEqual({ shop: 'new true', bank: 'new true' }));
    setting.edit('shop', { 'root-cert.pem': 'mine' });
    setting.edit('bank', { 'root-cert.pem': 'new' }, {});
    await vi.waitFor(() => expect(setting.published()).toEqual({ shop: 'new true', bank: 'new true' }));
    setting.server.delete(maps, 'shop', 'istio-ca-root-cert');
    await vi.waitFor(() => expect(setting.published()).toEqual({ shop: 'new true', bank: 'new true' }));
    const { length } = setting.writes;
    setting.edit('shop', { 'root-cert.pem': 'new', more: 'of others' });
    setting.namespace('shop', { labels: { a: 'b' } });
    setting.namespace('last');
    await vi.waitFor(() => expect(setting.published()).toHaveProperty('last'));
    expect(setting.writes.slice(length)).toEqual(['last']);
  });

  it('is written again after a failure, and not in a namespace that ends', async () => {
    await using setting = await Setting.start();
    let failures = 0;
    setting.refuse = (namespace) => {
      if (namespace === 'ending')
        return new ApiRefusal(403, 'unable to create new content in namespace ending because it is being terminated');
      return failures++ < 2 ? new ApiRefusal(500, 'not now') : undefined;
    };
    setting.namespace('ending');
    setting.namespace('shop');
    await vi.waitFor(() => expect(setting.published()).toEqual({ shop: 'old true' }), 5_000);
    expect(setting.writes.filter((namespace) => namespace === 'ending')).toHaveLength(1);
    expect(setting.faults).toEqual(Array(2).fill('istio-ca-root-cert of namespace shop could not be written'));
  });
});

it('a rate limit lets a burst pass, and then so many a second', async () => {
  const clock = new ManualClock();
  const limit = new RateLimit(clock, { burst: 3, perSecond: 10 });
  const turns: number[] = [];
  const { signal } = new AbortController();
  const all = Promise.all(Array.from({ length: 5 }, () => limit.turn(signal).then(() => turns.push(clock.now()))));
  await clock.advance(1_000);
  await all;
  expect(turns).toEqual([0, 0, 0, 100, 200]);
  await clock.advance(60_000);
  await Promise.all(Array.from({ length: 3 }, () => limit.turn(signal)));
});
