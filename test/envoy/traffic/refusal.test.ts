/**
 * What only Envoy itself finds wrong: it stays out, the rest goes on, and the object behind it is named until it is mended. Over deltas and whole
 * states, at proxies that run and at ones that start meanwhile.
 */
import { expect, it } from 'vitest';
import { needsEnvoy } from '../harness/envoy.ts';
import { describeWithPods } from '../harness/suites.ts';
import { eventually } from '../harness/wait.ts';
import { documents, service } from './manifests.ts';
import { useMesh, type WorkloadOptions } from './mesh.ts';

needsEnvoy();

const reviews = '10.96.0.80';
const other = '10.96.0.81';
const added = '10.96.0.82';
const clients = ['delta', 'sotw'] as const;

const sotw: WorkloadOptions = { client: true, bootstrap: ['--protocol', 'sotw'] };

const routes = (host: string, http: string): string => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${host}, namespace: shop }
spec:
  hosts: [${host}]
  http: ${http}
`;

/** Well-formed; only RE2 itself finds how large it becomes. */
const hugeRegex = '{ match: [{ uri: { regex: "((a{100}){100}){100}" } }], directResponse: { status: 409 } }';

const rule = (tableSize: number): string => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews, namespace: shop }
spec: { host: reviews, trafficPolicy: { loadBalancer: { consistentHash: { httpHeaderName: x-user, maglev: { tableSize: ${tableSize} } } } } }
`;

const http80 = [{ name: 'http', port: 80, targetPort: 8080 }];

describeWithPods('refusals', () => {
  const mesh = useMesh(() => ({
    name: 'ref',
    manifests: {
      services: documents(
        service('reviews', { clusterIp: reviews, ports: http80 }),
        service('other', { clusterIp: other, ports: http80, selector: { app: 'reviews' } }),
      ),
    },
    workloads: {
      delta: { client: true },
      sotw,
      reviews: { apps: [{ kind: 'http', port: 8080, version: 'v1' }] },
    },
  }));

  const status = async (from: string, address: string, host: string, path = '/'): Promise<number> =>
    (await mesh().workload(from).client.http(address, 80, { host, path })).status;
  const becomes = (from: string, address: string, host: string, expected: number, path = '/'): Promise<unknown> =>
    eventually(`${from} gets ${expected} from ${host}`, async () => {
      const seen = await status(from, address, host, path);
      if (seen !== expected) throw new Error(`it gets ${seen}`);
      return true;
    });
  /** The object is named, with what each proxy said, wherever one looks. */
  async function named(object: string, type: RegExp, why: RegExp, proxies: readonly string[]): Promise<void> {
    await eventually(`the refusals of ${proxies.join()} are problems of ${object}`, async () => {
      const refusals = (await mesh().problems()).filter((problem) => problem.object === object && problem.reason === 'Refused');
      return proxies.every((proxy) => refusals.some(({ message }) => message.includes(`~${proxy}.shop~`) && why.test(message)));
    });
    for (const proxy of proxies) {
      const text = await mesh().proxyStatus(`${proxy}.shop`);
      expect(text).toMatch(new RegExp(`rejected ${type.source}: .*${why.source}`, 's'));
      expect(text).toContain(object);
    }
  }
  async function unnamed(object: string): Promise<void> {
    await eventually('nobody refuses it any more', async () => (await mesh().problems()).every((problem) => problem.object !== object));
    expect(await mesh().proxyStatus()).not.toContain('rejected');
  }

  it('a route: the one before stays, its neighbours in the table go on, a mended one takes its place', async () => {
    mesh().apply('routes', routes('reviews', '[{ directResponse: { status: 410 } }]'));
    for (const from of clients) await becomes(from, reviews, 'reviews.shop', 410);
    mesh().apply('routes', routes('reviews', `[${hugeRegex}, { directResponse: { status: 411 } }]`));
    await named('VirtualService/shop/reviews', /(VHDS|RDS)/, /repetition/, clients);
    mesh().apply('other-routes', routes('other', '[{ directResponse: { status: 418 } }]'));
    await becomes('delta', other, 'other.shop', 418);
    // A whole state has the table in one piece: what Envoy had of it stays until the object is mended.
    expect(await status('sotw', other, 'other.shop')).toBe(200);
    for (const from of clients) expect(await status(from, reviews, 'reviews.shop')).toBe(410);
    mesh().apply('routes', routes('reviews', '[{ directResponse: { status: 412 } }]'));
    for (const from of clients) {
      await becomes(from, reviews, 'reviews.shop', 412);
      await becomes(from, other, 'other.shop', 418);
    }
    await unnamed('VirtualService/shop/reviews');
    mesh().remove('routes');
    mesh().remove('other-routes');
    for (const from of clients) await becomes(from, reviews, 'reviews.shop', 200);
  });

  it('a cluster: the one before stays, new ones still come, a mended one takes its place', async () => {
    // Not a prime number.
    mesh().apply('rule', rule(1000));
    await named('DestinationRule/shop/reviews', /CDS/, /prime/, clients);
    mesh().apply('added', service('added', { clusterIp: added, ports: http80, selector: { app: 'reviews' } }));
    for (const from of clients) {
      await becomes(from, added, 'added.shop', 200);
      expect(await status(from, reviews, 'reviews.shop')).toBe(200);
      expect(await status(from, other, 'other.shop')).toBe(200);
    }
  });

  it('a proxy that starts meanwhile becomes ready with all the rest', async () => {
    const late = ['late', 'late-sotw'] as const;
    await mesh().add('late-sotw', sotw);
    await named('DestinationRule/shop/reviews', /CDS/, /prime/, ['late-sotw']);
    mesh().apply('routes', routes('other', `[${hugeRegex}, { route: [{ destination: { host: other } }] }]`));
    // This one has to do with both: a cluster and a route of which there is none to keep.
    await mesh().add('late', { client: true });
    await named('DestinationRule/shop/reviews', /CDS/, /prime/, ['late']);
    await named('VirtualService/shop/other', /(VHDS|RDS)/, /repetition/, ['late']);
    for (const from of late) {
      await becomes(from, added, 'added.shop', 200);
      expect(await status(from, reviews, 'reviews.shop')).toBe(503);
    }
    mesh().apply('rule', rule(1009));
    mesh().remove('routes');
    for (const from of [...clients, ...late]) {
      await becomes(from, reviews, 'reviews.shop', 200);
      await becomes(from, other, 'other.shop', 200);
    }
    await unnamed('DestinationRule/shop/reviews');
    await unnamed('VirtualService/shop/other');
  });
});
