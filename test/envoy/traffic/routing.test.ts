/** Where requests go, by VirtualService and DestinationRule, for proxies that take deltas and for those that take whole states. */
import { expect, it } from 'vitest';
import { setFault, type HttpEcho } from '../harness/apps.ts';
import type { Client, HttpOptions } from '../harness/client.ts';
import { needsEnvoy } from '../harness/envoy.ts';
import { Load } from '../harness/load.ts';
import { describeWithPods } from '../harness/suites.ts';
import { eventually } from '../harness/wait.ts';
import { service } from './manifests.ts';
import { useMesh } from './mesh.ts';

needsEnvoy();

const vip = '10.96.0.30';
const clients = ['delta', 'sotw'] as const;

const subsets = (policy = '{ loadBalancer: { simple: ROUND_ROBIN } }'): string => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews, namespace: shop }
spec:
  host: reviews
  trafficPolicy: ${policy}
  subsets:
  - { name: v1, labels: { version: v1 } }
  - { name: v2, labels: { version: v2 } }
  - { name: v3, labels: { version: v3 } }
`;

/** `http` in YAML's flow style. */
const routes = (http: string): string => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, namespace: shop }
spec:
  hosts: [reviews]
  http: ${http}
`;

const to = (subset: string): string => `route: [{ destination: { host: reviews, subset: ${subset} } }]`;
const cluster = (subset: string): string => `cluster.outbound|80|${subset}|reviews.shop.svc.cluster.local;`;
const keepStats = ['--stats-prefix', 'cluster.outbound'];

describeWithPods('routing', () => {
  const mesh = useMesh(() => ({
    name: 'rou',
    manifests: {
      reviews: service('reviews', { clusterIp: vip, ports: [{ name: 'http', port: 80, targetPort: 8080 }] }),
      rule: subsets(),
    },
    workloads: {
      delta: { client: true, bootstrap: keepStats },
      sotw: { client: true, bootstrap: [...keepStats, '--protocol', 'sotw'] },
      ...Object.fromEntries(
        ['v1', 'v2', 'v3'].map((version) => [
          `reviews-${version}`,
          { serviceAccount: 'reviews', labels: { app: 'reviews', version }, apps: [{ kind: 'http' as const, port: 8080, version }] },
        ]),
      ),
    },
  }));

  const client = (name: string): Client => mesh().workload(name).client;
  const call = (from: string, options: HttpOptions = {}) => client(from).http(vip, 80, { host: 'reviews.shop', ...options });
  /** The version that answers, or the status. */
  const version = async (from: string, options: HttpOptions = {}): Promise<string> => {
    const { status, headers } = await call(from, options);
    return status === 200 ? String(headers['x-version']) : String(status);
  };
  const becomes = (from: string, expected: string, options: HttpOptions = {}): Promise<string> =>
    eventually(`${from} gets ${expected}`, async () => {
      const seen = await version(from, options);
      if (seen === expected) return seen;
      throw new Error(`it gets ${seen}`);
    });
  const fault = (name: string, value: Parameters<typeof setFault>[2]): Promise<void> => setFault(mesh().workload(name).pod.ip, 8080, value);

  it('weights hold over 2,000 requests', async () => {
    const weights = { v1: 70, v2: 25, v3: 5 };
    const destinations = Object.entries(weights).map(
      ([subset, weight]) => `{ destination: { host: reviews, subset: ${subset} }, weight: ${weight} }`,
    );
    // The match tells whether the weights are there yet.
    mesh().apply('routes', routes(`[{ match: [{ uri: { exact: /probe } }], ${to('v3')} }, { route: [${destinations.join(', ')}] }]`));
    for (const from of clients) {
      await Promise.all(Array.from({ length: 5 }, () => becomes(from, 'v3', { path: '/probe' })));
      const limitRequests = 2_000;
      await using load = await Load.start(
        { address: vip, port: 80, host: 'reviews.shop', rate: 300, limitRequests },
        mesh().workload(from).pod,
      );
      const { failed, sent, versions } = await load.finished();
      console.log(`${from}: ${JSON.stringify(versions)} of ${sent}`);
      expect({ failed, sent }).toEqual({ failed: {}, sent: limitRequests });
      for (const [name, weight] of Object.entries(weights)) {
        const p = weight / 100;
        // Five standard deviations: one run in a million is outside by chance.
        const deviation = 5 * Math.sqrt(sent * p * (1 - p));
        expect(Math.abs((versions[name] ?? 0) - sent * p), `${from} to ${name}`).toBeLessThan(deviation);
      }
    }
  });

  it('matches by URI, header, method, query and authority choose the route', async () => {
    mesh().apply(
      'routes',
      routes(`
  - { match: [{ uri: { exact: /exact } }], ${to('v2')} }
  - { match: [{ uri: { prefix: /pre } }, { uri: { regex: "/item/[0-9]+" } }], ${to('v2')} }
  - { match: [{ uri: { exact: /CASE }, ignoreUriCase: true }], ${to('v2')} }
  - { match: [{ headers: { x-user: { exact: jason } } }, { headers: { x-user: { regex: "q.*" } } }], ${to('v3')} }
  - { match: [{ method: { exact: POST } }], ${to('v2')} }
  - { match: [{ queryParams: { beta: { exact: "1" } } }], ${to('v3')} }
  - { match: [{ uri: { prefix: /both }, headers: { x-both: { prefix: ye } } }], ${to('v3')} }
  - { match: [{ uri: { prefix: /without }, withoutHeaders: { x-user: {} } }], ${to('v2')} }
  - match: [{ uri: { prefix: /old/ } }]
    rewrite: { uri: /new/ }
    headers: { request: { set: { x-set: by-route } }, response: { add: { x-answer: by-route } } }
    ${to('v2')}
  - { match: [{ uri: { prefix: /moved } }], redirect: { uri: /there, redirectCode: 302 } }
  - { match: [{ uri: { prefix: /fixed } }], directResponse: { status: 418, body: { string: teapot } } }
  - { ${to('v1')} }`),
    );
    const cases: readonly (readonly [HttpOptions, string])[] = [
      [{ path: '/exact' }, 'v2'],
      [{ path: '/exact/more' }, 'v1'],
      [{ path: '/prefix/x' }, 'v2'],
      [{ path: '/item/42' }, 'v2'],
      [{ path: '/item/42x' }, 'v1'],
      [{ path: '/case' }, 'v2'],
      [{ headers: { 'x-user': 'jason' } }, 'v3'],
      [{ headers: { 'x-user': 'quentin' } }, 'v3'],
      [{ headers: { 'x-user': 'other' } }, 'v1'],
      [{ method: 'POST' }, 'v2'],
      [{ path: '/?beta=1' }, 'v3'],
      [{ path: '/?beta=2' }, 'v1'],
      [{ path: '/both' }, 'v1'],
      [{ path: '/both', headers: { 'x-both': 'yes' } }, 'v3'],
      [{ path: '/without' }, 'v2'],
      [{ path: '/without', headers: { 'x-user': 'other' } }, 'v1'],
      [{ path: '/moved' }, '302'],
      [{ path: '/fixed' }, '418'],
    ];
    for (const from of clients) {
      await becomes(from, '418', { path: '/fixed' });
      const seen = await Promise.all(cases.map(async ([options]) => [options, await version(from, options)]));
      expect(seen, from).toEqual(cases);
      const { headers, body } = await call(from, { path: '/old/thing' });
      const echo = JSON.parse(body) as HttpEcho;
      expect([echo.version, echo.path, echo.headers['x-set'], headers['x-answer']]).toEqual(['v2', '/new/thing', 'by-route', 'by-route']);
      expect((await call(from, { path: '/moved' })).headers['location']).toBe('http://reviews.shop/there');
      expect((await call(from, { path: '/fixed' })).body).toBe('teapot');
    }
  });

  it('a slow server is given up after the timeout of the route', async () => {
    await fault('reviews-v1', { kind: 'slow', delayMs: 3_000 });
    mesh().apply('routes', routes(`[{ timeout: 700ms, ${to('v1')} }]`));
    for (const from of clients) {
      await becomes(from, '504', { timeoutMs: 20_000 });
      const start = performance.now();
      expect((await call(from, { timeoutMs: 20_000 })).status).toBe(504);
      const elapsed = performance.now() - start;
      console.log(`${from}: 504 after ${Math.round(elapsed)} ms`);
      expect(elapsed).toBeGreaterThan(600);
      // The server itself would have answered after 3 s.
      expect(elapsed).toBeLessThan(2_800);
    }
    await fault('reviews-v1', { kind: 'none' });
  });

  it('a flaky server is tried again as the route says, and not otherwise', async () => {
    await fault('reviews-v1', { kind: 'status', status: 500, every: 2 });
    mesh().apply(
      'routes',
      routes(
        `[{ match: [{ uri: { exact: /once } }], retries: { attempts: 0 }, ${to('v1')} }, { retries: { attempts: 3, retryOn: 5xx }, ${to('v1')} }]`,
      ),
    );
    for (const from of clients) {
      await eventually('the route is there', async () =>
        (await Promise.all([1, 2, 3, 4].map(() => version(from)))).every((v) => v === 'v1'),
      );
      await fault('reviews-v1', { kind: 'status', status: 500, every: 2 });
      const { envoy } = mesh().workload(from);
      const before = (await envoy.stat(`${cluster('v1')}.upstream_rq_retry`)) ?? 0;
      const seen: string[] = [];
      for (let n = 0; n < 10; n++) seen.push(await version(from));
      expect(seen).toEqual(Array.from({ length: 10 }, () => 'v1'));
      const retries = ((await envoy.stat(`${cluster('v1')}.upstream_rq_retry`)) ?? 0) - before;
      console.log(`${from}: 10 requests, ${retries} retries`);
      expect(retries).toBe(10);
      expect([await version(from, { path: '/once' }), await version(from, { path: '/once' })]).toEqual(['500', 'v1']);
    }
    await fault('reviews-v1', { kind: 'none' });
  });

  it('injected faults, and a mirror that answers nobody', async () => {
    mesh().apply(
      'routes',
      routes(`
  - { match: [{ uri: { prefix: /abort } }], fault: { abort: { httpStatus: 555, percentage: { value: 100 } } }, ${to('v1')} }
  - { match: [{ uri: { prefix: /delay } }], fault: { delay: { fixedDelay: 1s, percentage: { value: 100 } } }, ${to('v1')} }
  - { mirror: { host: reviews, subset: v3 }, mirrorPercentage: { value: 100 }, ${to('v1')} }`),
    );
    for (const from of clients) {
      await becomes(from, '555', { path: '/abort' });
      const start = performance.now();
      expect(await version(from, { path: '/delay' })).toBe('v1');
      expect(performance.now() - start).toBeGreaterThan(900);
      const { envoy } = mesh().workload(from);
      const mirrored = (await envoy.stat(`${cluster('v3')}.upstream_rq_total`)) ?? 0;
      expect(await version(from)).toBe('v1');
      await eventually('the mirror got it', async () => ((await envoy.stat(`${cluster('v3')}.upstream_rq_total`)) ?? 0) === mirrored + 1);
    }
  });

  it('a subset is a subset: without a route all answer, with one only its own', async () => {
    mesh().remove('routes');
    for (const from of clients) {
      await eventually(
        'all three answer',
        async () => new Set(await Promise.all(Array.from({ length: 30 }, () => version(from)))).size === 3,
      );
    }
    mesh().apply('routes', routes(`[{ ${to('v2')} }]`));
    for (const from of clients) {
      await eventually('only v2 answers', async () => {
        const seen = new Set(await Promise.all(Array.from({ length: 10 }, () => version(from))));
        return seen.size === 1 && seen.has('v2');
      });
      expect(await mesh().endpointsOf(from, 'outbound|80|v2|reviews.shop.svc.cluster.local')).toEqual([
        mesh().workload('reviews-v2').pod.ip,
      ]);
    }
  });

  it('a hash of a header keeps each user with one server', async () => {
    mesh().remove('routes');
    mesh().apply('rule', subsets('{ loadBalancer: { consistentHash: { httpHeaderName: x-user } } }'));
    const users = Array.from({ length: 40 }, (_, n) => `user-${n}`);
    for (const from of clients) {
      const homes = await eventually('every user has one server, and all servers have users', async () => {
        const seen = await Promise.all(
          users.map(async (user) => {
            const answers = await Promise.all(Array.from({ length: 3 }, () => version(from, { headers: { 'x-user': user } })));
            return [...new Set(answers)].join('+');
          }),
        );
        return new Set(seen).size === 3 && seen.every((home) => !home.includes('+')) && seen;
      });
      expect([...new Set(homes)].sort()).toEqual(['v1', 'v2', 'v3']);
      // The server goes by the user alone, whatever came between.
      expect(await Promise.all(users.map((user) => version(from, { headers: { 'x-user': user } })))).toEqual(homes);
    }
    mesh().apply('rule', subsets());
  });
});
