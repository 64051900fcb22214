/** Lazy mode: what requests see of a proxy that gets virtual hosts and clusters with the first request for them, and what the proxy holds. */
import { expect, it } from 'vitest';
import { type HttpEcho, setFault } from '../harness/apps.ts';
import type { Client, HttpOptions } from '../harness/client.ts';
import { needsEnvoy } from '../harness/envoy.ts';
import { describeWithPods } from '../harness/suites.ts';
import { eventually } from '../harness/wait.ts';
import { documents, service } from './manifests.ts';
import { useMesh } from './mesh.ts';

needsEnvoy();

const reviews = '10.96.0.60';
const ratings = '10.96.0.61';
const database = '10.96.0.62';
/** Reached by interception, whatever the Host header says. */
const later = '10.96.0.63';
const greeting = 'ready\r\n';
/** Services that nobody talks to. */
const others = Array.from({ length: 40 }, (_, i) => `other-${i}`);

const rules = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews, namespace: shop }
spec:
  host: reviews
  subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, namespace: shop }
spec:
  hosts: [reviews]
  http:
    - match: [{ headers: { user: { exact: jason } } }]
      route: [{ destination: { host: reviews, subset: v2 } }]
    - match: [{ uri: { prefix: /ratings } }]
      route: [{ destination: { host: ratings } }]
      retries: { attempts: 3, retryOn: 5xx }
    - match: [{ uri: { prefix: /reviews } }]
      route: [{ destination: { host: reviews, subset: v1 } }]
`;

const deny = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: reviews, namespace: shop }
spec:
  selector: { matchLabels: { app: reviews } }
  action: DENY
  rules: [{ to: [{ operation: { paths: [/reviews/closed] } }] }]
`;

describeWithPods('lazy', () => {
  const mesh = useMesh(() => ({
    name: 'laz',
    manifests: {
      services: documents(
        service('reviews', { clusterIp: reviews, ports: [{ name: 'http', port: 80, targetPort: 8080 }] }),
        service('ratings', { clusterIp: ratings, ports: [{ name: 'http', port: 80, targetPort: 8080 }] }),
        service('database', {
          clusterIp: database,
          selector: { app: 'ratings' },
          ports: [{ name: 'tcp-greeting', port: 5000, targetPort: 9091 }],
        }),
        ...others.map((name, i) => service(name, { clusterIp: `10.96.1.${i + 1}`, ports: [{ name: 'http', port: 80 }] })),
      ),
      rules,
    },
    workloads: {
      lazy: { client: true, labels: { 'mizzen.io/lazy': 'true' } },
      'reviews-v1': {
        serviceAccount: 'reviews',
        labels: { app: 'reviews', version: 'v1' },
        apps: [{ kind: 'http', port: 8080, version: 'v1' }],
      },
      'reviews-v2': {
        serviceAccount: 'reviews',
        labels: { app: 'reviews', version: 'v2' },
        apps: [{ kind: 'http', port: 8080, version: 'v2' }],
      },
      ratings: {
        apps: [
          { kind: 'http', port: 8080, version: 'ratings' },
          { kind: 'tcp-greeting', port: 9091, greeting },
        ],
      },
      outside: { proxy: 'none', apps: [{ kind: 'http', port: 80, version: 'outside' }] },
    },
  }));

  const client = (): Client => mesh().workload('lazy').client;
  const ipOf = (name: string): string => mesh().workload(name).pod.ip;
  /** The version that answers, the status of another answer, or the code of the fault. */
  const ask = (address: string, host: string, options: HttpOptions = {}): Promise<string> =>
    client()
      .http(address, 80, { host, ...options })
      .then(
        ({ status, headers }) => (status === 200 ? String(headers['x-version']) : String(status)),
        (fault: Error) => fault.message,
      );
  const becomes = (what: string, seen: () => Promise<string>, expected: string, limitMs?: number): Promise<unknown> =>
    eventually(
      `${what} gives ${expected}`,
      async () => {
        const now = await seen();
        if (now !== expected) throw new Error(`it gives ${now}`);
        return true;
      },
      limitMs,
    );
  const clusters = async (): Promise<string[]> =>
    Object.keys((await mesh().workload('lazy').envoy.clusterStates()).active)
      .filter((name) => name.startsWith('outbound'))
      .sort();

  it('holds nothing but what a listener names itself, and a TCP service is there without a question', async () => {
    expect(await clusters()).toEqual(['outbound|5000||database.shop.svc.cluster.local']);
    await becomes('the TCP service', () => client().tcp(database, 5000).catch(String), greeting);
  });

  it('the first request to a service works, by any of its names, with mutual TLS; what comes with it is what its routes name', async () => {
    const { status, body, headers } = await client().http(reviews, 80, { host: 'reviews.shop:80', path: '/reviews/1' });
    expect({ status, version: headers['x-version'] }).toEqual({ status: 200, version: 'v1' });
    expect(String((JSON.parse(body) as HttpEcho).headers['x-forwarded-client-cert'])).toContain(
      'URI=spiffe://cluster.local/ns/shop/sa/lazy',
    );
    expect(await clusters()).toEqual([
      'outbound|5000||database.shop.svc.cluster.local',
      'outbound|80|v1|reviews.shop.svc.cluster.local',
      'outbound|80|v2|reviews.shop.svc.cluster.local',
      'outbound|80||ratings.shop.svc.cluster.local',
    ]);
    const mark = await mesh().workload('lazy').envoy.stat('cluster_manager.cds.update_attempt');
    expect(await ask(reviews, 'reviews', { path: '/reviews/1' })).toBe('v1');
    expect(await ask(reviews, 'reviews.shop.svc.cluster.local', { path: '/reviews/1', headers: { user: 'jason' } })).toBe('v2');
    // It is there now: nothing is asked for.
    expect(await mesh().workload('lazy').envoy.stat('cluster_manager.cds.update_attempt')).toBe(mark);
    // No route takes it.
    expect(await ask(reviews, 'reviews', { path: '/other' })).toBe('404');
  });

  it('a request with a body is sent on whole, and retries are made', async () => {
    const sent = await client().http(ratings, 80, { host: 'ratings', path: '/first', method: 'POST', headers: { 'content-length': '0' } });
    expect(sent.status).toBe(200);
    await setFault(ipOf('ratings'), 8080, { kind: 'status', status: 503, every: 2 });
    for (let i = 0; i < 4; i++) expect(await ask(reviews, 'reviews', { path: '/ratings/1' })).toBe('ratings');
    await setFault(ipOf('ratings'), 8080, { kind: 'none' });
  });

  it('endpoints, routes and policies that change reach it', async () => {
    mesh().withdraw('reviews-v1');
    await becomes('the subset without endpoints', () => ask(reviews, 'reviews', { path: '/reviews/1' }), '503');
    mesh().announce('reviews-v1');
    await becomes('the subset with endpoints', () => ask(reviews, 'reviews', { path: '/reviews/1' }), 'v1');
    mesh().apply('rules', rules.replace('subset: v1 } }]\n', 'subset: v2 } }]\n'));
    await becomes('the changed route', () => ask(reviews, 'reviews', { path: '/reviews/1' }), 'v2');
    mesh().apply('rules', rules);
    await becomes('the route as it was', () => ask(reviews, 'reviews', { path: '/reviews/1' }), 'v1');
    mesh().apply('deny', deny);
    await becomes('what the policy denies', () => ask(reviews, 'reviews', { path: '/reviews/closed' }), '403');
    expect(await ask(reviews, 'reviews', { path: '/reviews/open' })).toBe('v1');
    mesh().remove('deny');
  });

  it('a host that nobody has is reached under ALLOW_ANY and answered with 502 under REGISTRY_ONLY, and a Service of that name takes over', async () => {
    expect(await ask(ipOf('outside'), 'unknown.example')).toBe('outside');
    expect(await ask(ipOf('outside'), 'later.shop')).toBe('outside');
    mesh().configure('outboundTrafficPolicy: { mode: REGISTRY_ONLY }');
    await becomes('a host that was let through', () => ask(ipOf('outside'), 'unknown.example'), '502');
    expect(await ask(ipOf('outside'), 'another.example')).toBe('502');
    mesh().apply(
      'later',
      service('later', { clusterIp: later, selector: { app: 'ratings' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] }),
    );
    await becomes('the Service that takes over', () => ask(later, 'later.shop'), 'ratings');
    mesh().remove('later');
    await becomes('the Service that is gone', () => ask(later, 'later.shop'), '502');
    mesh().configure('');
    await becomes('a host that was refused', () => ask(ipOf('outside'), 'unknown.example'), 'outside');
  });

  it('a host that cannot be one is answered at once', async () => {
    expect(await ask(ipOf('outside'), '*.example')).toBe('404');
  });

  it('while there is no control plane known hosts go on and new ones wait, until it is back or for 15 s', async () => {
    await mesh().discovery.kill();
    expect(await ask(reviews, 'reviews', { path: '/reviews/1' })).toBe('v1');
    const given = performance.now();
    const waits = ask('10.96.1.1', 'other-0', { timeoutMs: 60_000 });
    expect(await waits).toMatch(/504|408/);
    expect(performance.now() - given).toBeGreaterThan(14_000);
    await mesh().discovery.restart();
    // Envoy comes back after a pause of its own, which may be longer than one request waits.
    await becomes('a new host', () => ask(ipOf('outside'), 'outside.example', { timeoutMs: 60_000 }), 'outside', 90_000);
    expect(await ask(reviews, 'reviews', { path: '/reviews/1' })).toBe('v1');
    expect((await clusters()).length).toBeLessThan(8);
    await eventually('the stream is in sync', () => mesh().inSync('lazy'));
  });

  it('an answer that takes longer than the wait for a host is not cut', async () => {
    await setFault(ipOf('ratings'), 8080, { kind: 'slow', delayMs: 17_000 });
    expect(await ask(ratings, 'ratings', { timeoutMs: 60_000 })).toBe('ratings');
  });
});
