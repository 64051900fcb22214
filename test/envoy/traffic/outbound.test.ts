/** What leaves a workload other than plain requests to Services of its mesh: unknown destinations, other protocols, ServiceEntries, narrowed scopes. */
import { expect, it } from 'vitest';
import type { HttpEcho } from '../harness/apps.ts';
import type { Client, HttpOptions } from '../harness/client.ts';
import { needsEnvoy } from '../harness/envoy.ts';
import { describeWithPods } from '../harness/suites.ts';
import { eventually } from '../harness/wait.ts';
import { documents, service } from './manifests.ts';
import { useMesh } from './mesh.ts';

needsEnvoy();

const backend = '10.96.0.50';
const database = '10.96.0.51';
/** Of a service that only its own namespace may see. */
const secret = '10.96.0.52';
/** Of a service in two zones. */
const zoned = '10.96.0.53';
const clients = ['delta', 'sotw'] as const;
const greeting = '5.7.0-mizzen ready\r\n';
const keepStats = ['--stats-prefix', 'cluster.outbound', '--stats-prefix', 'http.inbound'];

const serviceEntry = (name: string, spec: string): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name}, namespace: shop }
spec:
${spec.trim().replaceAll(/^ */gm, '  ')}
`;

const secretService = (exportTo: string): string => `
apiVersion: v1
kind: Service
metadata: { name: secret, namespace: vault, annotations: { networking.istio.io/exportTo: "${exportTo}" } }
spec: { clusterIP: ${secret}, ports: [{ name: http, port: 80 }], selector: { app: outside } }
`;

const http80 = 'ports: [{ name: http, number: 80, protocol: HTTP }]';

/** Only workload `narrow` has it. */
const sidecar = (policy: string): string => `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: narrow, namespace: shop }
spec:
  workloadSelector: { labels: { app: narrow } }
  outboundTrafficPolicy: { mode: ${policy} }
  egress: [{ hosts: ["./backend.shop.svc.cluster.local"] }]
`;

describeWithPods('outbound', () => {
  const mesh = useMesh(() => ({
    name: 'out',
    manifests: {
      services: documents(
        service('backend', {
          clusterIp: backend,
          ports: [
            { name: 'http', port: 80, targetPort: 8080 },
            { name: 'grpc', port: 9080, targetPort: 9080 },
            // Names that say nothing of the protocol.
            { name: 'web', port: 7000, targetPort: 8080 },
            { name: 'data', port: 7001, targetPort: 9090 },
          ],
        }),
        // Headless: reached by the addresses of its pods.
        service('pods', {
          clusterIp: 'None',
          selector: { app: 'backend' },
          ports: [
            { name: 'http', port: 8080 },
            { name: 'tcp-greeting', port: 9091 },
          ],
        }),
        service('database', {
          clusterIp: database,
          selector: { app: 'backend' },
          ports: [
            { name: 'tcp-greeting', port: 5000, targetPort: 9091 },
            { name: 'mysql', port: 5001, targetPort: 9091 },
          ],
        }),
      ),
      secret: secretService('.'),
      zoned: service('zoned', { clusterIp: zoned, ports: [{ name: 'http', port: 80, targetPort: 8080 }] }),
    },
    workloads: {
      delta: {
        client: true,
        locality: 'r1/z1',
        bootstrap: keepStats,
        apps: [{ kind: 'http', port: 8081, address: '127.0.0.1', version: 'localhost' }],
      },
      sotw: {
        client: true,
        locality: 'r1/z1',
        bootstrap: [...keepStats, '--protocol', 'sotw'],
        apps: [{ kind: 'http', port: 8081, address: '127.0.0.1', version: 'localhost' }],
      },
      narrow: { client: true },
      backend: {
        bootstrap: keepStats,
        apps: [
          { kind: 'http', port: 8080, version: 'backend' },
          { kind: 'tcp-echo', port: 9090 },
          { kind: 'tcp-greeting', port: 9091, greeting },
          { kind: 'grpc', port: 9080 },
        ],
      },
      near: { proxy: 'none', locality: 'r1/z1', labels: { app: 'zoned' }, apps: [{ kind: 'http', port: 8080, version: 'near' }] },
      far: { proxy: 'none', locality: 'r1/z2', labels: { app: 'zoned' }, apps: [{ kind: 'http', port: 8080, version: 'far' }] },
      // Outside of the mesh: no Service selects it.
      outside: {
        proxy: 'none',
        apps: [
          { kind: 'http', port: 80, version: 'outside' },
          { kind: 'http', port: 8888, version: 'outside' },
          { kind: 'tcp-echo', port: 9080 },
          { kind: 'tcp-echo', port: 9999 },
          { kind: 'tcp-greeting', port: 3306, greeting },
        ],
      },
    },
  }));

  const client = (name: string): Client => mesh().workload(name).client;
  const ipOf = (name: string): string => mesh().workload(name).pod.ip;
  /** The version that answers, the status of another answer, or the code of the fault. */
  const ask = (from: string, address: string, port: number, options: HttpOptions = {}): Promise<string> =>
    client(from)
      .http(address, port, options)
      .then(
        ({ status, headers }) => (status === 200 ? String(headers['x-version']) : String(status)),
        (fault: Error) => fault.message,
      );
  const tcp = (from: string, address: string, port: number, options: Parameters<Client['tcp']>[2] = {}): Promise<string> =>
    client(from)
      .tcp(address, port, options)
      .catch((fault: Error) => fault.message);
  /** A whole line: of `ping` alone it cannot be told yet that it does not begin a request. */
  const echo = (from: string, address: string, port: number): Promise<string> => tcp(from, address, port, { data: 'ping\n', until: 5 });
  const becomes = (what: string, seen: () => Promise<string>, expected: string | RegExp): Promise<string> =>
    eventually(`${what} gives ${String(expected)}`, async () => {
      const now = await seen();
      if (typeof expected === 'string' ? now === expected : expected.test(now)) return now;
      throw new Error(`it gives ${now}`);
    });
  const clustersOf = async (name: string): Promise<string[]> =>
    Object.keys((await mesh().workload(name).envoy.clusterStates()).active).sort();

  it('a server that speaks first is heard, on a TCP port and on one named mysql', async () => {
    for (const from of clients) {
      await becomes('the TCP port', () => tcp(from, database, 5000), greeting);
      const start = performance.now();
      expect(await tcp(from, database, 5001)).toBe(greeting);
      // Nothing waits for the client to speak: detection would give up only after its timeout.
      expect(performance.now() - start).toBeLessThan(2_000);
    }
  });

  it('WebSocket and gRPC pass with mutual TLS, gRPC with HTTP/2 all the way', async () => {
    for (const from of clients) {
      expect(await client(from).websocket(backend, 80, 'hello', { host: 'backend.shop' })).toBe('hello');
      expect(await client(from).grpc(backend, 9080, 'hello', { host: 'backend.shop:9080' })).toBe('hello');
      const { envoy } = mesh().workload(from);
      const grpc = 'cluster.outbound|9080||backend.shop.svc.cluster.local;';
      expect(await envoy.stat(`${grpc}.upstream_cx_http2_total`)).toBeGreaterThanOrEqual(1);
      expect(await envoy.stat(`${grpc}.ssl.handshake`)).toBeGreaterThanOrEqual(1);
      const { body } = await client(from).http(backend, 80, { host: 'backend.shop' });
      const forwarded = String((JSON.parse(body) as HttpEcho).headers['x-forwarded-client-cert']);
      expect(forwarded).toContain(`URI=spiffe://cluster.local/ns/shop/sa/${from}`);
    }
    expect(await mesh().workload('backend').envoy.stat('http.inbound_0.0.0.0_9080;.downstream_cx_http2_total')).toBeGreaterThanOrEqual(2);
  });

  it('a port whose name says nothing carries HTTP, routed and counted as such, and bytes', async () => {
    for (const from of clients) {
      const { status, body } = await client(from).http(backend, 7000, { host: 'backend.shop:7000', path: '/sniffed' });
      const answer = JSON.parse(body) as HttpEcho;
      expect({ status, version: answer.version, path: answer.path }).toEqual({ status: 200, version: 'backend', path: '/sniffed' });
      // The server's proxy took it as HTTP too: only then does it write the client's identity into the request.
      expect(String(answer.headers['x-forwarded-client-cert'])).toContain(`URI=spiffe://cluster.local/ns/shop/sa/${from}`);
      expect(await echo(from, backend, 7001)).toBe('ping\n');
      expect(
        await mesh().workload(from).envoy.stat('cluster.outbound|7001||backend.shop.svc.cluster.local;.ssl.handshake'),
      ).toBeGreaterThanOrEqual(1);
    }
  });

  it('a headless service is reached by the addresses of its pods, with mutual TLS', async () => {
    for (const from of clients) {
      for (const host of ['pods.shop:8080', 'backend-0.pods.shop.svc.cluster.local:8080', `${ipOf('backend')}:8080`]) {
        const { status, body } = await client(from).http(ipOf('backend'), 8080, { host });
        expect({ host, status }).toEqual({ host, status: 200 });
        const forwarded = (JSON.parse(body) as HttpEcho).headers['x-forwarded-client-cert'];
        // By the bare address it is a destination that the mesh does not know, and passed on as it is.
        expect(forwarded === undefined, host).toBe(!host.includes('pods'));
      }
      expect(await tcp(from, ipOf('backend'), 9091)).toBe(greeting);
    }
  });

  it('an unknown destination is reached under ALLOW_ANY and refused under REGISTRY_ONLY, over HTTP and TCP', async () => {
    const unknown = { host: 'unknown.example' };
    for (const from of clients) {
      expect(await ask(from, ipOf('outside'), 80, unknown)).toBe('outside');
      expect(await ask(from, ipOf('outside'), 8888, unknown)).toBe('outside');
      expect(await echo(from, ipOf('outside'), 9999)).toBe('ping\n');
      expect(await tcp(from, ipOf('outside'), 3306)).toBe(greeting);
    }
    mesh().configure('outboundTrafficPolicy: { mode: REGISTRY_ONLY }');
    for (const from of clients) {
      await becomes('an unknown host', () => ask(from, ipOf('outside'), 80, unknown), '502');
      await becomes('HTTP to an unknown port', () => ask(from, ipOf('outside'), 8888, unknown), /ECONNRESET|socket hang up/);
      await becomes('TCP to an unknown port', () => echo(from, ipOf('outside'), 9999), /^$|ECONNRESET/);
      expect(await ask(from, backend, 80, { host: 'backend.shop' })).toBe('backend');
    }
  });

  // REGISTRY_ONLY is still in force: what gets through does so because of a ServiceEntry.
  it('ServiceEntries open a way: STATIC, DNS, NONE and wildcard hosts', async () => {
    mesh().apply(
      'entries',
      documents(
        serviceEntry(
          'static',
          `hosts: [static.example]\nresolution: STATIC\n${http80}\nendpoints: [{ address: ${ipOf('outside')}, ports: { http: 8888 } }]`,
        ),
        serviceEntry('dns', `hosts: [dns.example]\nresolution: DNS\n${http80}\nendpoints: [{ address: localhost, ports: { http: 8081 } }]`),
        serviceEntry('none', `hosts: [none.example]\nresolution: NONE\n${http80}`),
        serviceEntry('wildcard', `hosts: ["*.wild.example"]\nresolution: NONE\n${http80}`),
        serviceEntry(
          'bytes',
          `hosts: [bytes.example]\naddresses: [${ipOf('outside')}]\nresolution: NONE\nports: [{ name: tcp, number: 9999, protocol: TCP }]`,
        ),
        serviceEntry(
          'range',
          `hosts: [range.example]\naddresses: [${ipOf('outside')}/32]\nresolution: NONE\nports: [{ name: mysql, number: 3306, protocol: MYSQL }]`,
        ),
      ),
    );
    // No DNS here: any address serves that interception takes.
    const anywhere = '10.96.255.1';
    for (const from of clients) {
      await becomes('STATIC', () => ask(from, anywhere, 80, { host: 'static.example' }), 'outside');
      await becomes('DNS', () => ask(from, anywhere, 80, { host: 'dns.example' }), 'localhost');
      await becomes('NONE', () => ask(from, ipOf('outside'), 80, { host: 'none.example' }), 'outside');
      await becomes('a wildcard', () => ask(from, ipOf('outside'), 80, { host: 'a.wild.example' }), 'outside');
      expect(await ask(from, ipOf('outside'), 80, { host: 'wild.example' })).toBe('502');
      expect(await ask(from, ipOf('outside'), 80, { host: 'unknown.example' })).toBe('502');
      await becomes('bytes to an address', () => echo(from, ipOf('outside'), 9999), 'ping\n');
      await becomes('bytes to a range', () => tcp(from, ipOf('outside'), 3306), greeting);
    }
    mesh().remove('entries');
    for (const from of clients) {
      await becomes('NONE without its entry', () => ask(from, ipOf('outside'), 80, { host: 'none.example' }), '502');
      await becomes('bytes without their entry', () => echo(from, ipOf('outside'), 9999), /^$|ECONNRESET/);
    }
    mesh().configure('');
    for (const from of clients)
      await becomes('an unknown host again', () => ask(from, ipOf('outside'), 80, { host: 'unknown.example' }), 'outside');
  });

  it('a service that is exported to its namespace only is unknown elsewhere', async () => {
    const cluster = 'outbound|80||secret.vault.svc.cluster.local';
    for (const from of clients) expect(await clustersOf(from)).not.toContain(cluster);
    mesh().apply('secret', secretService('*'));
    for (const from of clients)
      await becomes('whether it is known', async () => String((await clustersOf(from)).includes(cluster)), 'true');
    mesh().apply('secret', secretService('.'));
    for (const from of clients)
      await becomes('whether it is known', async () => String((await clustersOf(from)).includes(cluster)), 'false');
  });

  it('a Sidecar takes away clusters, and its policy decides on requests to what is gone', async () => {
    const other = 'outbound|5000||database.shop.svc.cluster.local';
    expect(await clustersOf('narrow')).toContain(other);
    mesh().apply('sidecar', sidecar('REGISTRY_ONLY'));
    const outbound = async (): Promise<string> => (await clustersOf('narrow')).filter((name) => name.startsWith('outbound|')).join(' ');
    const left = [7000, 7001, 80, 9080].map((port) => `outbound|${port}||backend.shop.svc.cluster.local`).join(' ');
    await becomes('what is left', outbound, left);
    await becomes('TCP that is out of scope', () => tcp('narrow', database, 5000), /^$|ECONNRESET/);
    expect(await ask('narrow', backend, 80, { host: 'backend.shop' })).toBe('backend');
    expect(await ask('narrow', ipOf('outside'), 80, { host: 'database.shop' })).toBe('502');
    // Bytes on a port that HTTP services share: no table, yet the same policy.
    expect(await echo('narrow', ipOf('outside'), 9080)).toMatch(/^$|ECONNRESET/);
    mesh().apply('sidecar', sidecar('ALLOW_ANY'));
    // Like any host that the mesh does not know: on to the address that it was sent to.
    await becomes('a host that is out of scope', () => ask('narrow', ipOf('outside'), 80, { host: 'database.shop' }), 'outside');
    await becomes('bytes that are out of scope', () => echo('narrow', ipOf('outside'), 9080), 'ping\n');
    expect(await outbound()).toBe(left);
    // Others of the namespace are not concerned.
    expect(await clustersOf('delta')).toContain(other);
    mesh().remove('sidecar');
    // Until then it is passed through to an address that nobody has.
    await becomes('TCP without the Sidecar', () => tcp('narrow', database, 5000, { timeoutMs: 300 }), greeting);
    expect(await clustersOf('narrow')).toContain(other);
  });

  it('a zone that stops hands over to the next one, which without outlier detection shares the load from the start', async () => {
    const answering = async (from: string): Promise<string> =>
      [...new Set(await Promise.all(Array.from({ length: 20 }, () => ask(from, zoned, 80, { host: 'zoned.shop' }))))].sort().join();
    for (const from of clients) await becomes('both zones', () => answering(from), 'far,near');
    mesh().apply(
      'zoned-rule',
      `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: zoned, namespace: shop }
spec:
  host: zoned
  trafficPolicy: { outlierDetection: { consecutive5xxErrors: 3, interval: 300ms, baseEjectionTime: 60s, maxEjectionPercent: 100 } }
`,
    );
    for (const from of clients) await becomes('the zone of the caller', () => answering(from), 'near');
    // Its process ends: connections are refused.
    await mesh().workload('near')[Symbol.asyncDispose]();
    for (const from of clients) await becomes('the other zone', () => answering(from), 'far');
  });
});
