import { afterEach, describe, expect, it } from 'vitest';
import { HttpTransport } from '../../kubernetes/http-transport.ts';
import { FakeApiServer } from '../../kubernetes/testing/fake-api-server.ts';
import { RecordingSink } from '../testing/recording-sink.ts';
import { ClustersSource, type ClustersSourceOptions } from './clusters-source.ts';

const paths = {
  services: '/api/v1/services',
  namespaces: '/api/v1/namespaces',
  slices: '/apis/discovery.k8s.io/v1/endpointslices',
  pods: '/api/v1/pods',
  gateways: '/apis/networking.istio.io/v1/gateways',
  secrets: '/api/v1/secrets',
  configMaps: '/api/v1/namespaces/istio-system/configmaps',
  remoteSecrets: '/api/v1/namespaces/istio-system/secrets',
};
const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

/** An API server that lets in whoever has one of its tokens. */
class Remote {
  readonly server = new FakeApiServer();
  readonly tokens = new Set<string>();
  readonly asked: string[] = [];
  url = '';

  async start(...tokens: string[]): Promise<this> {
    for (const token of tokens) this.tokens.add(token);
    this.server.intercept = (request, response) => {
      const token = (request.headers.authorization ?? '').slice('Bearer '.length);
      this.asked.push(`${token} ${(request.url ?? '').split('?')[0]}`);
      if (this.tokens.has(token)) return false;
      response.writeHead(401, { 'content-type': 'application/json' }).end(JSON.stringify({ kind: 'Status', message: 'Unauthorized' }));
      return true;
    };
    this.url = await this.server.listen();
    stops.push(() => this.stop());
    return this;
  }

  async stop(): Promise<void> {
    await this.server.close().catch(() => {}); // Stopped by the test already.
  }

  service(name: string): void {
    this.server.put(paths.services, 'shop', name, { ports: [{ port: 80 }] });
  }

  kubeconfig(token: string): string {
    return JSON.stringify({
      clusters: [{ name: 'c', cluster: { server: this.url } }],
      users: [{ name: 'u', user: { token } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    });
  }
}

class World {
  readonly server = new FakeApiServer();
  readonly sink = new RecordingSink();
  readonly timedOut: string[] = [];
  readonly loaded: string[] = [];
  readonly secretEvents: string[] = [];
  readonly stale = new Map<string, number>();
  source!: ClustersSource;

  async start(options: Partial<ClustersSourceOptions> = {}): Promise<this> {
    this.source = new ClustersSource({
      local: {
        transport: new HttpTransport({ server: await this.server.listen() }),
        limits: { absentMs: 5 },
        backoff: { firstMs: 1, maxMs: 10 },
      },
      clusterId: 'home',
      remoteTimeoutMs: 5_000,
      wallClock: () => Date.parse('2026-01-02T03:04:05Z'),
      ...options,
    });
    this.source.listen({
      clusters: (ids) => this.loaded.push([...ids].join()),
      timedOut: (id) => this.timedOut.push(id),
      stale: (id, collections) => this.stale.set(id, collections.length),
      removed: (id) => this.stale.delete(id),
      secret: (event) => this.secretEvents.push(event),
    });
    const stop = new AbortController();
    const running = this.source.run(this.sink, stop.signal);
    stops.push(async () => {
      stop.abort();
      await running;
      await this.server.close();
    });
    return this;
  }

  secret(name: string, clusters: Readonly<Record<string, string>>, metadata: object = {}): void {
    const data = Object.fromEntries(Object.entries(clusters).map(([id, text]) => [id, Buffer.from(text).toString('base64')]));
    this.server.put(paths.remoteSecrets, 'istio-system', name, undefined, { type: 'Opaque', data, metadata });
  }

  services(): string {
    return this.sink.keys.filter((key) => key.startsWith('Service/')).join();
  }

  /** Without the warning of every fake server's plain HTTP. */
  problems(): string[] {
    const told = this.sink.problems.map(({ object, path, message }) => `${object} ${path}: ${message}`);
    return told.filter((text) => !text.includes('is not https'));
  }

  /** Of all changes since the first `from`. */
  deleted(from = 0): string[] {
    return this.sink.changes.slice(from).flatMap(({ deletes }) => [...deletes]);
  }
}

describe('remote clusters', () => {
  it('a collection is not stale where its kind is not installed', async () => {
    const world = await new World().start();
    await world.source.ready;
    expect([...world.stale]).toEqual([['home', 0]]);
  });

  it('the collections of the cluster whose configuration is read are stale while its server is away', async () => {
    const world = new World();
    const told = Promise.withResolvers<number>();
    await world.start();
    await world.source.ready;
    world.source.listen({ stale: (id, collections) => id === 'home' && collections.includes('pods') && told.resolve(collections.length) });
    await world.server.close();
    expect(await told.promise).toBeGreaterThan(0);
  });

  it('add what makes endpoints, before the source is ready, and nothing else', async () => {
    const east = await new Remote().start('t');
    east.service('reviews');
    east.server.put(paths.gateways, 'shop', 'g', {});
    east.server.put(paths.secrets, 'shop', 's', undefined, { type: 'kubernetes.io/tls', data: { 'tls.key': 'YQ==' } });
    const world = new World();
    world.secret('east', { east: east.kubeconfig('t') });
    world.server.put(paths.services, 'shop', 'reviews', { ports: [{ port: 80 }] });
    await world.start();
    await world.source.ready;
    expect(world.services()).toBe('Service/shop/reviews,Service/shop/reviews@east');
    expect(world.source.clusters()).toEqual([
      { id: 'east', secret: 'istio-system/east', server: `${east.url}/`, syncStatus: 'synced', since: Date.parse('2026-01-02T03:04:05Z') },
    ]);
    expect(world.loaded).toEqual(['east']);
    expect(new Set(east.asked)).toEqual(
      new Set(['pods', 'nodes', 'services', 'namespaces'].map((kind) => `t /api/v1/${kind}`).concat(`t ${paths.slices}`)),
    );
    expect(world.server.queries.find((url) => url.pathname === paths.remoteSecrets)?.searchParams.get('labelSelector')).toBe(
      'istio/multiCluster=true',
    );
    east.service('ratings');
    await world.sink.until(() => world.services().includes('Service/shop/ratings@east'));
  });

  it('go on by a new credential without a word of what stays', async () => {
    const east = await new Remote().start('old');
    east.service('reviews');
    east.service('gone');
    const world = new World();
    world.secret('east', { east: east.kubeconfig('old') });
    await world.start();
    await world.source.ready;
    const before = world.sink.changes.length;
    const transport = world.source.transportOf('east');
    east.tokens.add('new');
    east.tokens.delete('old');
    world.secret('east', { east: east.kubeconfig('new') });
    await expect.poll(() => world.source.transportOf('east')).not.toBe(transport);
    east.server.delete(paths.services, 'shop', 'gone');
    east.service('ratings');
    await world.sink.until(() => world.services() === 'Service/shop/ratings@east,Service/shop/reviews@east');
    const upserts = world.sink.changes.slice(before).flatMap((change) => change.upserts.map((o) => o.name));
    expect(upserts).toEqual(['ratings']);
    expect(world.deleted(before)).toEqual(['Service/shop/gone@east']);
  });

  it('keep the last good version of an object that is refused, also by a new credential', async () => {
    const east = await new Remote().start('t', 'u');
    east.service('reviews');
    const world = new World();
    world.secret('east', { east: east.kubeconfig('t') });
    await world.start();
    await world.source.ready;
    east.server.put(paths.services, 'shop', 'reviews', { ports: [{ port: 'eighty' }] });
    const told = (): boolean => world.problems().some((text) => text.startsWith('Service/shop/reviews@east spec.ports[0].port: '));
    await world.sink.until(told);
    const transport = world.source.transportOf('east');
    world.secret('east', { east: east.kubeconfig('u') });
    await expect.poll(() => world.source.transportOf('east')).not.toBe(transport);
    east.service('ratings');
    await world.sink.until(() => world.services() === 'Service/shop/ratings@east,Service/shop/reviews@east');
    expect(world.deleted()).toEqual([]);
    expect(told()).toBe(true);
  });

  it('lose what was deleted while nothing could be read', async () => {
    const east = await new Remote().start('old');
    east.service('reviews');
    east.service('gone');
    const world = new World();
    world.secret('east', { east: east.kubeconfig('old') });
    await world.start();
    await world.source.ready;
    east.tokens.clear();
    east.server.cut();
    await world.sink.until(() => world.problems().length > 0);
    east.server.delete(paths.services, 'shop', 'gone');
    east.tokens.add('new');
    world.secret('east', { east: east.kubeconfig('new') });
    await world.sink.until(() => world.services() === 'Service/shop/reviews@east');
    expect(world.deleted()).toEqual(['Service/shop/gone@east']);
    await world.sink.until(() => world.problems().length === 0);
    expect(world.stale.get('east')).toBe(0);
  });

  it('keep what was last read while the credential fails or the server is away, and say so', async () => {
    const east = await new Remote().start('t');
    east.service('reviews');
    const world = new World();
    world.secret('east', { east: east.kubeconfig('t') });
    await world.start();
    await world.source.ready;
    east.tokens.clear();
    east.server.cut();
    await world.sink.until(() => world.problems()[0]?.includes('namespaces: watch refused with HTTP status 401') === true);
    expect(world.problems()).toEqual([
      expect.stringMatching(
        /^Secret\/istio-system\/east data\["east"\]: cluster east refuses .*renew the credential in its kubeconfig, since 2026-01-02T03:04:05.000Z; what was last read of it stays in force$/,
      ),
    ]);
    expect(world.stale.get('east')).toBeGreaterThan(0);
    await east.stop();
    await world.sink.until(() => world.problems()[0]?.includes('cannot be read: API server 127.0.0.1') === true);
    expect(world.source.clusters()[0]).toMatchObject({ syncStatus: 'synced', fault: expect.stringContaining('cannot be read') as string });
    expect(world.deleted()).toEqual([]);
    expect(world.services()).toBe('Service/shop/reviews@east');
  });

  it('keep what was read where a server has forgotten its own kinds', async () => {
    const east = await new Remote().start('t');
    east.server.put(paths.slices, 'shop', 'reviews-x', undefined, { addressType: 'IPv4', endpoints: [] });
    const world = new World();
    world.secret('east', { east: east.kubeconfig('t') });
    await world.start();
    await world.source.ready;
    east.server.refuse = 404;
    east.server.cut();
    await world.sink.until(() => world.problems()[0]?.includes('endpointslices') === true);
    const requests = east.server.requests.list;
    await expect.poll(() => east.server.requests.list).toBeGreaterThan(requests + 20);
    expect(world.deleted()).toEqual([]);
  });

  it('stay on the earlier kubeconfig while the new one is broken or is not accepted', async () => {
    const east = await new Remote().start('t');
    east.service('reviews');
    const world = new World();
    world.secret('east', { east: east.kubeconfig('t') });
    await world.start();
    await world.source.ready;
    world.secret('east', { east: 'current-context: [' });
    await world.sink.until(() => world.problems().some((text) => text.includes('data["east"]: is not YAML')));
    east.service('ratings');
    await world.sink.until(() => world.services() === 'Service/shop/ratings@east,Service/shop/reviews@east');
    world.secret('east', { east: east.kubeconfig('wrong') });
    await world.sink.until(() => world.problems().some((text) => text.includes('so that the earlier one stays in use')));
    east.service('details');
    await world.sink.until(() => world.services().startsWith('Service/shop/details@east'));
    expect(world.deleted()).toEqual([]);
    expect(world.source.clusters()[0]?.syncStatus).toBe('synced');
  });

  it('take all their objects with them when their Secret goes', async () => {
    const east = await new Remote().start('t');
    const west = await new Remote().start('t');
    for (const remote of [east, west]) remote.service('reviews');
    const world = new World();
    world.secret('both', { east: east.kubeconfig('t'), west: west.kubeconfig('t') });
    await world.start();
    await world.source.ready;
    world.secret('both', { west: west.kubeconfig('t') });
    await world.sink.until(() => world.services() === 'Service/shop/reviews@west');
    expect(world.sink.keys.filter((key) => key.endsWith('@east'))).toEqual([]);
    world.server.delete(paths.remoteSecrets, 'istio-system', 'both');
    await world.sink.until(() => world.sink.keys.length === 0);
    expect(world.source.clusters()).toEqual([]);
    expect(world.source.transportOf('east')).toBeUndefined();
    expect(world.loaded.at(-1)).toBe('');
    expect([...world.stale.keys()]).not.toContain('east');
    expect(world.secretEvents).toEqual(['add', 'update', 'delete']);
  });

  it('are named once: not the cluster itself, the oldest Secret where two name one', async () => {
    const east = await new Remote().start('first', 'second');
    east.service('reviews');
    const world = new World();
    world.secret('a', { east: east.kubeconfig('second') }, { creationTimestamp: '2026-02-01T00:00:00Z' });
    world.secret('b', { east: east.kubeconfig('first'), home: '' }, { creationTimestamp: '2026-01-01T00:00:00Z' });
    await world.start();
    await world.source.ready;
    expect(new Set(east.asked.map((asked) => asked.split(' ')[0]))).toEqual(new Set(['first']));
    expect(world.problems()).toEqual([
      'Secret/istio-system/b data["home"]: is ignored: home is the cluster whose configuration is read; see --cluster-id',
      'Secret/istio-system/a data["east"]: is ignored: Secret istio-system/b, which is older, names cluster east too',
    ]);
    const before = world.sink.changes.length;
    world.server.delete(paths.remoteSecrets, 'istio-system', 'b');
    await world.sink.until(() => world.problems().length === 0);
    await expect.poll(() => world.source.clusters()[0]?.secret).toBe('istio-system/a');
    expect(world.deleted(before)).toEqual([]);
  });

  it('do not hold up a start for longer than is allowed', async () => {
    const east = await new Remote().start();
    const world = new World();
    world.secret('east', { east: east.kubeconfig('t') });
    world.server.put(paths.services, 'shop', 'reviews', { ports: [{ port: 80 }] });
    await world.start({ remoteTimeoutMs: 400 });
    expect(world.source.waitingFor()[0]).toMatch(/^still to be read: /);
    await world.sink.until(() => world.source.clusters().length > 0);
    expect(world.source.waitingFor()).toEqual([expect.stringMatching(/^cluster east /)]);
    await world.source.ready;
    expect(world.source.waitingFor()).toEqual([]);
    await expect.poll(() => world.timedOut).toEqual(['east']);
    expect(world.services()).toBe('Service/shop/reviews');
    expect(world.source.clusters()[0]?.syncStatus).toBe('timeout');
    await world.sink.until(() => world.problems()[0]?.includes('it has no endpoints yet') === true);
    east.service('reviews');
    east.tokens.add('t');
    await world.sink.until(() => world.services() === 'Service/shop/reviews,Service/shop/reviews@east');
    await world.sink.until(() => world.problems().length === 0);
  });

  it('are read in the namespaces that the mesh configuration selects', async () => {
    const east = await new Remote().start('t');
    const labels = { metadata: { labels: { mesh: 'on' } } };
    for (const namespace of ['shop', 'other']) {
      east.server.put(paths.namespaces, '', namespace, {}, namespace === 'shop' ? labels : {});
      east.server.put(paths.services, namespace, 'reviews', { ports: [{ port: 80 }] });
    }
    const world = new World();
    world.server.put(paths.configMaps, 'istio-system', 'istio', undefined, {
      data: { mesh: 'discoverySelectors:\n- matchLabels: { mesh: "on" }\n' },
    });
    world.secret('east', { east: east.kubeconfig('t') });
    await world.start();
    await world.source.ready;
    expect(world.services()).toBe('Service/shop/reviews@east');
    world.server.delete(paths.configMaps, 'istio-system', 'istio');
    await world.sink.until(() => world.services() === 'Service/other/reviews@east,Service/shop/reviews@east');
  });
});
