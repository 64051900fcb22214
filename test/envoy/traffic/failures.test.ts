/** What happens when an endpoint fails and when Envoy refuses something, and what the metrics say of it all. */
import { expect, it } from 'vitest';
import { type HttpEcho, setFault } from '../harness/apps.ts';
import type { Client } from '../harness/client.ts';
import { needsEnvoy } from '../harness/envoy.ts';
import { http } from '../harness/http.ts';
import { describeWithPods } from '../harness/suites.ts';
import { eventually } from '../harness/wait.ts';
import { documents, service } from './manifests.ts';
import { useMesh } from './mesh.ts';

needsEnvoy();

const reviews = '10.96.0.40';
const tools = '10.96.0.41';
const gatewayPort = 8080;

const subsets = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews, namespace: shop }
spec:
  host: reviews
  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 } }
`;

const to = (subset: string): string => `route: [{ destination: { host: reviews, subset: ${subset} } }]`;

/** A VirtualService of this service with these HTTP routes. */
const routes = (host: string, ...http: readonly string[]): string => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${host}, namespace: shop }
spec:
  hosts: [${host}]
  http:
${http.map((route) => `    - { ${route} }`).join('\n')}
`;

const gateway = (name: string, port: number, bind = ''): string => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: ${name}, namespace: shop }
spec:
  selector: { app: gateway }
  servers: [{ port: { number: ${port}, name: http, protocol: HTTP }, hosts: ["*"]${bind} }]
`;

describeWithPods('failures', () => {
  const mesh = useMesh(() => ({
    name: 'fai',
    manifests: {
      services: documents(
        service('reviews', { clusterIp: reviews, ports: [{ name: 'http', port: 80, targetPort: 8080 }] }),
        service('tools', { clusterIp: tools, ports: [{ name: 'http', port: 80, targetPort: 8080 }] }),
      ),
    },
    workloads: {
      client: { client: true, locality: 'r1/z1/s1' },
      'reviews-v1': {
        serviceAccount: 'reviews',
        labels: { app: 'reviews', version: 'v1' },
        locality: 'r1/z1/s1',
        apps: [{ kind: 'http', port: 8080, version: 'v1' }],
      },
      'reviews-v2': {
        serviceAccount: 'reviews',
        labels: { app: 'reviews', version: 'v2' },
        locality: 'r2/z1/s1',
        apps: [{ kind: 'http', port: 8080, version: 'v2' }],
      },
      tools: { apps: [{ kind: 'http', port: 8080, version: 'tools' }] },
      gateway: { proxy: 'router' },
    },
  }));

  const client = (): Client => mesh().workload('client').client;
  const ipOf = (name: string): string => mesh().workload(name).pod.ip;
  /** The version that answers, or the status of another answer. */
  const answerer = async (): Promise<string> => {
    const { status, headers } = await client().http(reviews, 80, { host: 'reviews.shop' });
    return status === 200 ? String(headers['x-version']) : String(status);
  };
  const answerers = async (count: number): Promise<string> =>
    [...new Set(await Promise.all(Array.from({ length: count }, answerer)))].sort().join();
  const becomes = (what: string, seen: () => Promise<string>, expected: string, limitMs?: number): Promise<unknown> =>
    eventually(
      `${what} is ${expected}`,
      async () => {
        const now = await seen();
        if (now !== expected) throw new Error(`it is ${now}`);
        return true;
      },
      limitMs,
    );
  it('requests stay in their locality and leave it when that fails', async () => {
    mesh().apply(
      'subsets',
      `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews, namespace: shop }
spec:
  host: reviews
  trafficPolicy:
    outlierDetection: { consecutive5xxErrors: 2, interval: 200ms, baseEjectionTime: 3s, maxEjectionPercent: 100 }
`,
    );
    await becomes('the answerer in the locality', () => answerers(20), 'v1');
    await setFault(ipOf('reviews-v1'), 8080, { kind: 'status', status: 500, every: 1 });
    await becomes('the answerer elsewhere', () => answerers(20), 'v2');
    await setFault(ipOf('reviews-v1'), 8080, { kind: 'none' });
    await becomes('the answerer in the locality again', () => answerers(20), 'v1', 20_000);
  });

  it('requests are counted with the labels of both ends', async () => {
    const counts = async (name: string, ...labels: readonly string[]): Promise<string[]> => {
      const { body } = await http({ address: ipOf(name), port: 15090, path: '/stats/prometheus' });
      return body.split('\n').filter((line) => line.startsWith('istio_requests_total{') && labels.every((label) => line.includes(label)));
    };
    const seen = await eventually('the reports', async () => {
      const sent = await counts('client', 'reporter="source"', 'destination_version="v1"', 'response_code="200"');
      const received = await counts('reviews-v1', 'reporter="destination"', 'source_principal="spiffe://cluster.local/ns/shop/sa/client"');
      return sent.length + received.length >= 2 && { source: sent.join('\n'), destination: received.join('\n') };
    });
    for (const label of [
      'source_workload="client"',
      'source_workload_namespace="shop"',
      'source_principal="spiffe://cluster.local/ns/shop/sa/client"',
      'destination_workload="reviews-v1"',
      'destination_workload_namespace="shop"',
      'destination_principal="spiffe://cluster.local/ns/shop/sa/reviews"',
      'destination_service="reviews.shop.svc.cluster.local"',
      'destination_service_name="reviews"',
      'destination_service_namespace="shop"',
      'request_protocol="http"',
    ]) {
      expect(seen.source).toContain(label);
    }
    for (const label of [
      'destination_workload="reviews-v1"',
      'destination_version="v1"',
      'destination_service="reviews.shop.svc.cluster.local"',
      'connection_security_policy="mutual_tls"',
    ]) {
      expect(seen.destination).toContain(label);
    }
  });

  it('a route that Envoy refuses leaves the rest in force, and is named with its object', async () => {
    mesh().apply('subsets', subsets);
    mesh().apply('routes', routes('reviews', to('v2')));
    await becomes('the answerer', () => answerers(10), 'v2');
    // Well-formed: only RE2 itself finds how large it becomes.
    mesh().apply('routes', routes('reviews', `match: [{ uri: { regex: "((a{100}){100}){100}" } }], ${to('v2')}`, to('v1')));
    const named = 'VirtualService/shop/reviews';
    const isNamed = (): Promise<unknown> =>
      eventually(
        'the refusal is a problem of its object',
        async () =>
          (await mesh().problems()).some(
            ({ object, reason, message }) => object === named && reason === 'Refused' && message.includes('repetition'),
          ),
        20_000,
      );
    await isNamed();
    expect(await answerers(10)).toBe('v2');
    // A control plane that knows nothing of it tries again, finds it again, and lets it rest again.
    await mesh().discovery.kill();
    await mesh().discovery.restart();
    await isNamed();
    await eventually('the client is back', async () => (await mesh().proxyStatus('client.shop')).includes(named), 20_000);
    const status = await mesh().proxyStatus('client.shop');
    expect(status).toMatch(/rejected VHDS: .*repetition/);
    expect(status).toContain(named);
    expect(await answerers(10)).toBe('v2');
    // What else is in the same table goes on changing.
    mesh().apply('tools-routes', routes('tools', 'directResponse: { status: 418 }'));
    await becomes('another host', async () => String((await client().http(tools, 80, { host: 'tools.shop' })).status), '418');
    mesh().remove('tools-routes');
    mesh().apply('routes', routes('reviews', to('v1')));
    await becomes('the answerer after the repair', () => answerers(10), 'v1');
    await eventually('the problem is gone', async () => (await mesh().problems()).every(({ object }) => object !== named));
    expect(await mesh().proxyStatus('client.shop')).not.toContain('rejected');
  });

  it('a cluster that Envoy refuses leaves the rest in force, and is named with its object', async () => {
    const toolsAnswer = async (): Promise<string> => String((await client().http(tools, 80, { host: 'tools.shop' })).status);
    expect(await toolsAnswer()).toBe('200');
    mesh().apply(
      'tools-rule',
      `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: tools, namespace: shop }
spec:
  host: tools
  # Maglev wants a prime number.
  trafficPolicy: { loadBalancer: { consistentHash: { httpHeaderName: x-user, maglev: { tableSize: 1000 } } } }
`,
    );
    const named = 'DestinationRule/shop/tools';
    await eventually('the refusal is a problem of its object', async () =>
      (await mesh().problems()).some(({ object, reason }) => object === named && reason === 'Refused'),
    );
    expect(await mesh().proxyStatus('client.shop')).toContain(named);
    expect(await toolsAnswer()).toBe('200');
    mesh().apply('routes', routes('reviews', to('v2')));
    await becomes('the answerer elsewhere', () => answerers(10), 'v2');
    mesh().remove('tools-rule');
    await eventually('the problem is gone', async () => (await mesh().problems()).every(({ object }) => object !== named));
    expect(await toolsAnswer()).toBe('200');
  });

  it('a listener that Envoy refuses leaves the others in force, and is named with its object', async () => {
    // No address of the pod.
    mesh().apply('gateway-bad', gateway('bad', 9999, ', bind: 192.0.2.1'));
    mesh().apply(
      'gateway',
      documents(
        gateway('good', gatewayPort),
        `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: entry, namespace: shop }
spec:
  hosts: ["*"]
  gateways: [good, bad]
  http: [{ route: [{ destination: { host: tools, port: { number: 80 } } }] }]
`,
      ),
    );
    await becomes(
      'what the gateway answers',
      async () => {
        const { status, body } = await http({ address: ipOf('gateway'), port: gatewayPort });
        return status === 200 ? (JSON.parse(body) as HttpEcho).version : String(status);
      },
      'tools',
    );
    await eventually('the refusal is a problem of its object', async () =>
      (await mesh().problems()).some(({ object, reason }) => object === 'Gateway/shop/bad' && reason === 'Refused'),
    );
    const status = await mesh().proxyStatus('gateway.shop');
    expect(status).toMatch(/rejected LDS: .*192\.0\.2\.1/s);
    expect(status).toContain('Gateway/shop/bad');
  });
});
