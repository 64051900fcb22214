/** The control plane and its manifests change under load, and no request fails. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { stringify } from 'yaml';
import { needsEnvoy } from '../harness/envoy.ts';
import { Load } from '../harness/load.ts';
import { describeWithPods } from '../harness/suites.ts';
import { eventually } from '../harness/wait.ts';
import { documents, service } from './manifests.ts';
import { useMesh } from './mesh.ts';

needsEnvoy();

const vip = '10.96.0.10';
const versions = ['v1', 'v2', 'v3'] as const;
const rewrites = 100;
const policyRounds = 30;

const peerAuthentication = (mode: string): string => `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: istio-system }
spec: { mtls: { mode: ${mode} } }
`;

/** Lets everything through, in other words each time. */
const allowing = (n: number): string => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: reviews, namespace: shop }
spec:
  selector: { matchLabels: { app: reviews } }
  rules: [{ from: [{ source: { namespaces: [shop] } }] }, { to: [{ operation: { paths: [/round-${n}] } }] }]
`;

/** The nth routing: another subset each time, written together with the route to it, and other weights. */
function routing(n: number): string {
  const stable = `stable-${n}`;
  const canary = `canary-${n}`;
  return documents(
    stringify({
      apiVersion: 'networking.istio.io/v1',
      kind: 'DestinationRule',
      metadata: { name: 'reviews', namespace: 'shop' },
      spec: {
        host: 'reviews',
        trafficPolicy: { connectionPool: { http: { maxRequestsPerConnection: 2 } } },
        subsets: [
          { name: stable, labels: { version: 'v1' } },
          { name: canary, labels: { version: n % 2 === 0 ? 'v2' : 'v3' } },
        ],
      },
    }),
    stringify({
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: 'reviews', namespace: 'shop' },
      spec: {
        hosts: ['reviews'],
        http: [
          {
            route: [
              { destination: { host: 'reviews', subset: stable }, weight: 100 - (n % 101) },
              { destination: { host: 'reviews', subset: canary }, weight: n % 101 },
            ],
          },
        ],
      },
    }),
  );
}

describeWithPods('changes under load', () => {
  const mesh = useMesh(() => ({
    name: 'res',
    manifests: {
      strict: peerAuthentication('STRICT'),
      reviews: service('reviews', { clusterIp: vip, ports: [{ name: 'http', port: 80, targetPort: 8080 }] }),
    },
    workloads: {
      client: { client: true },
      'client-sotw': { bootstrap: ['--protocol', 'sotw'] },
      ...Object.fromEntries(
        versions.map((version) => [
          `reviews-${version}`,
          { serviceAccount: 'reviews', labels: { app: 'reviews', version }, apps: [{ kind: 'http' as const, port: 8080, version }] },
        ]),
      ),
    },
  }));

  /** From a proxy that takes deltas, unless another one is named. */
  const load = (from = 'client'): Promise<Load> => Load.start({ address: vip, port: 80, host: 'reviews.shop' }, mesh().workload(from).pod);

  /** Which versions answer 20 requests. */
  async function answering(): Promise<string[]> {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => mesh().workload('client').client.http(vip, 80, { host: 'reviews.shop' })),
    );
    return [...new Set(answers.map((answer) => String(answer.headers['x-version'] ?? answer.status)))].sort();
  }

  it('manifests that are rewritten 100 times fail no request, whether a proxy takes deltas or whole states', async () => {
    await using running = await load();
    await using whole = await load('client-sotw');
    for (let n = 1; n <= rewrites; n++) {
      mesh().apply('routing', routing(n));
      // Some rewrites come one by one and some meet in one push.
      await delay(n % 4 === 0 ? 200 : 40);
    }
    await eventually('the last routing is in force', async () => (await answering()).join() === 'v2');
    for (const { failed, versions: seen } of [await running.stop(), await whole.stop()]) {
      expect(failed).toEqual({});
      expect(Object.keys(seen).sort()).toEqual([...versions]);
    }
    expect(await mesh().problems()).toEqual([]);
  });

  it('an endpoint that goes only after its removal has arrived, and comes only when it listens, fails no request', async () => {
    mesh().apply('routing', '');
    await eventually('all versions answer', async () => (await answering()).length === 3);
    await using running = await load();
    for (let round = 0; round < 5; round++) {
      for (const version of versions) {
        mesh().withdraw(`reviews-${version}`);
        await eventually(
          `${version} is gone`,
          async () =>
            !(await mesh().endpointsOf('client', 'outbound|80||reviews.shop.svc.cluster.local')).includes(
              mesh().workload(`reviews-${version}`).pod.ip,
            ),
        );
        mesh().announce(`reviews-${version}`);
        await eventually(`${version} is back`, async () =>
          (await mesh().endpointsOf('client', 'outbound|80||reviews.shop.svc.cluster.local')).includes(
            mesh().workload(`reviews-${version}`).pod.ip,
          ),
        );
      }
    }
    const result = await running.stop();
    expect(result.failed).toEqual({});
    expect(Object.keys(result.versions).sort()).toEqual([...versions]);
  });

  it('policies that change at the called side fail no request that all of them allow', async () => {
    await using running = await load();
    const inForce = async (n: number): Promise<boolean> => {
      const { body } = await mesh().workload('reviews-v1').envoy.admin('/config_dump?resource=dynamic_listeners');
      return body.includes(`/round-${n}`);
    };
    for (let n = 1; n <= policyRounds; n++) {
      mesh().apply('policy', allowing(n));
      mesh().apply('strict', peerAuthentication(n % 2 === 0 ? 'STRICT' : 'PERMISSIVE'));
      await eventually(`policy ${n} is in force`, () => inForce(n));
      await delay(200);
    }
    mesh().remove('policy');
    expect((await running.stop()).failed).toEqual({});
  });

  it('a control plane that is killed and started again fails no request, and what changed meanwhile arrives', async () => {
    mesh().apply('routing', routing(1));
    await eventually('the routing is in force', async () => !(await answering()).includes('v2'));
    await using running = await load();
    {
      // Of whole states a new stream cannot tell what the proxy has: only what has not changed goes on without a failure.
      await using whole = await load('client-sotw');
      await mesh().discovery.kill();
      await mesh().discovery.restart();
      for (const name of ['client', 'client-sotw']) await eventually(`${name} is back`, () => mesh().inSync(name), 20_000);
      expect((await whole.stop()).failed).toEqual({});
    }
    for (let round = 1; round <= 3; round++) {
      const n = 100 + 101 * round;
      await mesh().discovery.kill();
      mesh().apply('routing', routing(n));
      if (round === 1) mesh().withdraw('reviews-v1');
      else mesh().announce('reviews-v1');
      await mesh().discovery.restart();
      const expected = n % 2 === 0 ? 'v2' : 'v3';
      await eventually('the routing written meanwhile is in force', async () => (await answering()).join() === expected, 20_000);
      const endpoints = await mesh().endpointsOf('client', 'outbound|80||reviews.shop.svc.cluster.local');
      expect(endpoints.includes(mesh().workload('reviews-v1').pod.ip)).toBe(round > 1);
    }
    const result = await running.stop();
    expect(result.failed).toEqual({});
  });
});
