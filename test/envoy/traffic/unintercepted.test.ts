/** A workload whose traffic nothing intercepts (INTERCEPTION_MODE NONE): it listens and calls through what its Sidecar binds, or through the HTTP proxy port. */
import { expect, it } from 'vitest';
import type { HttpEcho } from '../harness/apps.ts';
import type { Client, HttpOptions } from '../harness/client.ts';
import { needsEnvoy } from '../harness/envoy.ts';
import { http } from '../harness/http.ts';
import { describeWithPods } from '../harness/suites.ts';
import { eventually } from '../harness/wait.ts';
import { documents, service } from './manifests.ts';
import { useMesh } from './mesh.ts';

needsEnvoy();

const front = '10.96.0.60';
const backend = '10.96.0.61';
const proxyPort = 15080;
const greeting = '220 backend ready\r\n';
/** Workloads without interception, by what they are sent: changes, or whole states. */
const fronts = ['front', 'front-sotw'] as const;

const sidecar = (mode: string): string => `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: front, namespace: shop }
spec:
  workloadSelector: { labels: { app: front } }
  outboundTrafficPolicy: { mode: ${mode} }
  ingress:
  - { port: { number: 8080, protocol: HTTP, name: http }, defaultEndpoint: "127.0.0.1:8081" }
  egress:
  - { port: { number: 9080, protocol: HTTP, name: http }, bind: 127.0.0.1, hosts: ["./backend.shop.svc.cluster.local"] }
  - { port: { number: 5000, protocol: TCP, name: tcp }, bind: 127.0.0.1, hosts: ["./backend.shop.svc.cluster.local"] }
  - { hosts: ["./*"] }
`;

describeWithPods('without interception', () => {
  const mesh = useMesh(() => ({
    name: 'non',
    manifests: {
      services: documents(
        service('front', { clusterIp: front, ports: [{ name: 'http', port: 80, targetPort: 8080 }] }),
        service('backend', {
          clusterIp: backend,
          ports: [
            { name: 'http', port: 9080, targetPort: 8080 },
            { name: 'tcp-greeting', port: 5000, targetPort: 9091 },
          ],
        }),
        service('plain', { clusterIp: '10.96.0.62', selector: { app: 'backend' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] }),
      ),
      sidecar: sidecar('ALLOW_ANY'),
    },
    workloads: {
      ...Object.fromEntries(
        fronts.map((name) => [
          name,
          {
            labels: { app: 'front' },
            client: true,
            interception: 'NONE' as const,
            bootstrap: ['--metadata', `HTTP_PROXY_PORT=${proxyPort}`, ...(name === 'front' ? [] : ['--protocol', 'sotw'])],
            apps: [{ kind: 'http' as const, port: 8081, address: '127.0.0.1', version: name }],
          },
        ]),
      ),
      backend: {
        client: true,
        apps: [
          { kind: 'http', port: 8080, version: 'backend' },
          { kind: 'tcp-greeting', port: 9091, greeting },
        ],
      },
    },
  }));

  const client = (name: string): Client => mesh().workload(name).client;
  const ipOf = (name: string): string => mesh().workload(name).pod.ip;
  const identity = (name: string): string => `URI=spiffe://cluster.local/ns/shop/sa/${name}`;
  async function echoed(from: string, address: string, port: number, options: HttpOptions): Promise<HttpEcho> {
    const { status, body } = await client(from).http(address, port, options);
    if (status !== 200) throw new Error(`status ${status}: ${body}`);
    return JSON.parse(body) as HttpEcho;
  }
  /** As a program with `http_proxy` set asks: the whole URL in the request line. */
  const proxied = (from: string, url: string): Promise<HttpEcho> =>
    echoed(from, '127.0.0.1', proxyPort, { path: url, host: new URL(url).host });

  it('calls leave through the listeners that its Sidecar binds, HTTP and TCP, with its identity', async () => {
    for (const from of fronts) {
      const { version, path, headers } = await echoed(from, '127.0.0.1', 9080, { host: 'backend.shop:9080', path: '/egress' });
      expect({ version, path }).toEqual({ version: 'backend', path: '/egress' });
      expect(String(headers['x-forwarded-client-cert'])).toContain(identity(from));
      expect(await client(from).tcp('127.0.0.1', 5000)).toBe(greeting);
    }
  });

  it('calls arrive at the ingress listener and go on to the application, with and without mutual TLS', async () => {
    const seen = new Map<string, HttpEcho>();
    await eventually('both replicas answer', async () => {
      const echo = await echoed('backend', front, 80, { host: 'front.shop' });
      seen.set(echo.version, echo);
      return seen.size === fronts.length;
    });
    for (const name of fronts) {
      expect(String(seen.get(name)?.headers['x-forwarded-client-cert'])).toContain(identity('backend'));
      const { body } = await http({ address: ipOf(name), port: 8080, host: 'front.shop' });
      expect((JSON.parse(body) as HttpEcho).version).toBe(name);
    }
  });

  it('the HTTP proxy port reaches every host of the scope by its port', async () => {
    for (const from of fronts) {
      for (const [url, path] of [
        ['http://backend.shop:9080/a?b=c', '/a?b=c'],
        ['http://backend.shop.svc.cluster.local:9080/a', '/a'],
        ['http://plain/a', '/a'],
        ['http://plain.shop:80/a', '/a'],
        [`http://${backend}:9080/a`, '/a'],
      ] as const) {
        const echo = await proxied(from, url);
        expect({ url, version: echo.version, path: echo.path }).toEqual({ url, version: 'backend', path });
        expect(String(echo.headers['x-forwarded-client-cert'])).toContain(identity(from));
      }
    }
  });

  it('the HTTP proxy port follows routes, and refuses hosts that nobody has', async () => {
    mesh().apply(
      'routes',
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: plain, namespace: shop }
spec:
  hosts: [plain]
  http:
  - { match: [{ uri: { prefix: /teapot } }], directResponse: { status: 418 } }
  - { route: [{ destination: { host: plain } }] }
`,
    );
    const ask = async (from: string, url: string): Promise<number> =>
      (await client(from).http('127.0.0.1', proxyPort, { path: url, host: new URL(url).host })).status;
    for (const from of fronts) {
      await eventually('the route is there', async () => (await ask(from, 'http://plain/teapot')) === 418);
      expect(await ask(from, 'http://plain/')).toBe(200);
      // Nothing was intercepted, so there is no original destination to pass it on to.
      expect(await ask(from, 'http://unknown.example/')).toBe(503);
    }
    mesh().apply('sidecar', sidecar('REGISTRY_ONLY'));
    for (const from of fronts) {
      await eventually('REGISTRY_ONLY holds', async () => (await ask(from, 'http://unknown.example/')) === 502);
      expect(await ask(from, 'http://plain/')).toBe(200);
    }
  });

  it('nothing is wrong with the objects, and nothing was refused', async () => {
    expect(await mesh().problems()).toEqual([]);
    expect(await mesh().proxyStatus()).not.toContain('rejected');
  });
});
