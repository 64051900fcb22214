/** What proxies tell of requests: Istio's metrics on port 15090 at both ends, and access logs as the mesh configuration says. */
import { expect, it } from 'vitest';
import { setFault } from '../harness/apps.ts';
import type { Client, HttpOptions } from '../harness/client.ts';
import { needsEnvoy } from '../harness/envoy.ts';
import { http } from '../harness/http.ts';
import { describeWithPods } from '../harness/suites.ts';
import { eventually } from '../harness/wait.ts';
import { documents, service } from './manifests.ts';
import { meshConfig, useMesh } from './mesh.ts';

needsEnvoy();

const server = '10.96.0.70';

interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The samples of one metric in Prometheus' text format. */
function samples(text: string, metric: string): Sample[] {
  return [...text.matchAll(new RegExp(`^${metric}\\{([^}]*)\\} (\\S+)$`, 'gm'))].map(([, written = '', value]) => ({
    labels: Object.fromEntries([...written.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, text = '']) => [name ?? '', text])),
    value: Number(value),
  }));
}

const id = (account: string): string => `spiffe://cluster.local/ns/shop/sa/${account}`;

describeWithPods('telemetry', () => {
  const mesh = useMesh(() => ({
    name: 'tel',
    manifests: {
      services: documents(
        service('server', {
          clusterIp: server,
          ports: [
            { name: 'http', port: 80, targetPort: 8080 },
            { name: 'tcp-echo', port: 9000, targetPort: 9090 },
            { name: 'grpc', port: 9080 },
          ],
        }),
      ),
    },
    workloads: {
      caller: { client: true, serviceAccount: 'calling', labels: { version: 'c1' } },
      server: {
        serviceAccount: 'serving',
        labels: { version: 's1' },
        bootstrap: ['--protocol', 'sotw'],
        apps: [
          { kind: 'http', port: 8080, version: 's1' },
          { kind: 'tcp-echo', port: 9090 },
          { kind: 'grpc', port: 9080 },
        ],
      },
      plain: { proxy: 'none', client: true },
    },
  }));

  const client = (name: string): Client => mesh().workload(name).client;
  const ipOf = (name: string): string => mesh().workload(name).pod.ip;
  const call = (options: HttpOptions = {}) => client('caller').http(server, 80, { host: 'server.shop', ...options });
  const scrape = async (name: string, metric: string): Promise<Sample[]> => {
    const { status, body } = await http({ address: ipOf(name), port: 15090, path: '/stats/prometheus' });
    if (status !== 200) throw new Error(`port 15090 of ${name} answers ${status}`);
    return samples(body, metric);
  };
  /** The sum of a metric's samples with these labels, when it has become `expected`. */
  const counted = (name: string, metric: string, labels: Readonly<Record<string, string>>, expected: number): Promise<readonly Sample[]> =>
    eventually(`${metric} of ${name} with ${JSON.stringify(labels)} is ${expected}`, async () => {
      const all = await scrape(name, metric);
      const found = all.filter((sample) => Object.entries(labels).every(([label, value]) => sample.labels[label] === value));
      const sum = found.reduce((total, { value }) => total + value, 0);
      if (sum !== expected) throw new Error(`it is ${sum}: ${JSON.stringify(all)}`);
      return found;
    });

  const destination = {
    destination_workload: 'server',
    destination_workload_namespace: 'shop',
    destination_principal: id('serving'),
    destination_app: 'server',
    destination_version: 's1',
    destination_canonical_service: 'server',
    destination_canonical_revision: 's1',
    destination_service: 'server.shop.svc.cluster.local',
    destination_service_name: 'server',
    destination_service_namespace: 'shop',
  };
  const source = {
    source_workload: 'caller',
    source_workload_namespace: 'shop',
    source_principal: id('calling'),
    source_app: 'caller',
    source_version: 'c1',
    source_canonical_service: 'caller',
    source_canonical_revision: 'c1',
  };

  it('every request is counted once at each end, with the labels of both', async () => {
    for (let n = 0; n < 7; n++) expect((await call()).status).toBe(200);
    await setFault(ipOf('server'), 8080, { kind: 'status', status: 500, every: 1 });
    for (let n = 0; n < 3; n++) expect((await call()).status).toBe(500);
    await setFault(ipOf('server'), 8080, { kind: 'none' });

    const atCaller = { reporter: 'source', ...source, ...destination, request_protocol: 'http', response_flags: '-' };
    await counted('caller', 'istio_requests_total', { ...atCaller, response_code: '200' }, 7);
    await counted('caller', 'istio_requests_total', { ...atCaller, response_code: '500' }, 3);
    const atServer = {
      reporter: 'destination',
      ...destination,
      source_principal: id('calling'),
      request_protocol: 'http',
      connection_security_policy: 'mutual_tls',
    };
    await counted('server', 'istio_requests_total', { ...atServer, response_code: '200' }, 7);
    await counted('server', 'istio_requests_total', { ...atServer, response_code: '500' }, 3);
    await counted('caller', 'istio_request_duration_milliseconds_count', atCaller, 10);
    await counted('server', 'istio_request_duration_milliseconds_count', atServer, 10);
    await counted('server', 'istio_response_bytes_count', atServer, 10);
    // Nobody is counted twice, under whatever labels.
    await counted('caller', 'istio_requests_total', { reporter: 'source' }, 10);
  });

  it('a caller without a sidecar is counted as one without an identity', async () => {
    for (let n = 0; n < 2; n++) expect((await client('plain').http(ipOf('server'), 8080)).status).toBe(200);
    const labels = { reporter: 'destination', connection_security_policy: 'none', source_principal: '', ...destination };
    await counted('server', 'istio_requests_total', { ...labels, destination_principal: '', response_code: '200' }, 2 + 2);
  });

  it('connections are counted where they arrive, gRPC calls at both ends', async () => {
    for (let n = 0; n < 4; n++) expect(await client('caller').tcp(server, 9000, { data: '12345\n', until: 6 })).toBe('12345\n');
    for (let n = 0; n < 2; n++) expect(await client('caller').grpc(server, 9080, 'hello', { host: 'server.shop:9080' })).toBe('hello');
    const atServer = { reporter: 'destination', source_principal: id('calling'), connection_security_policy: 'mutual_tls', ...destination };
    const tcp = { ...atServer, request_protocol: 'tcp' };
    await counted('server', 'istio_tcp_connections_opened_total', tcp, 4);
    await counted('server', 'istio_tcp_connections_closed_total', tcp, 4);
    await counted('server', 'istio_tcp_received_bytes_total', tcp, 24);
    await counted('server', 'istio_tcp_sent_bytes_total', tcp, 24);
    // Unlike Istio: only where they arrive.
    expect(await scrape('caller', 'istio_tcp_connections_opened_total')).toEqual([]);
    const grpc = { request_protocol: 'grpc', response_code: '200', grpc_response_status: '0' };
    await counted('caller', 'istio_requests_total', { reporter: 'source', ...source, ...destination, ...grpc }, 2);
    await counted('server', 'istio_requests_total', { ...atServer, ...grpc }, 2);
  });

  it('a request that never left is counted at the caller alone, with the flag that says why', async () => {
    mesh().withdraw('server');
    await eventually('no server is left', async () => (await call()).status === 503);
    const [sample] = await eventually('it is counted', async () => {
      const all = (await scrape('caller', 'istio_requests_total')).filter(({ labels }) => labels['response_code'] === '503');
      return all.length > 0 && all;
    });
    expect(sample?.labels).toMatchObject({
      ...source,
      source_principal: '',
      response_flags: 'UH',
      destination_service: 'server.shop.svc.cluster.local',
    });
    mesh().announce('server');
    await eventually('the server is back', async () => (await call()).status === 200);
  });

  /** Lines of the access log that hold a text. */
  const logged = (name: string, text: string): string[] =>
    mesh()
      .workload(name)
      .envoy.logTail(Number.MAX_SAFE_INTEGER)
      .split('\n')
      .filter((line) => line.includes(text));
  let paths = 0;
  /** Calls until the access log of a proxy has the request as `matches` wants it. */
  const logs = (name: string, matches: (line: string, path: string) => boolean): Promise<string> =>
    eventually(`the log of ${name}`, async () => {
      const path = `/log-${++paths}`;
      await call({ path });
      const [line] = await eventually(
        'the line',
        async () => {
          const lines = logged(name, path);
          return lines.length > 0 && lines;
        },
        1_000,
      );
      if (line === undefined || !matches(line, path)) throw new Error(`it is ${line}`);
      return line;
    });

  it('access logs are lines of text as Istio writes them, at both ends', async () => {
    await logs('caller', (line, path) => line.startsWith('[') && line.includes(`"GET ${path} HTTP/1.1" 200 - via_upstream - "-" 0 `));
    const path = `/log-${paths}`;
    const [atCaller = ''] = logged('caller', path);
    expect(atCaller).toContain(' outbound|80||server.shop.svc.cluster.local ');
    expect(atCaller).toContain(`"server.shop" "${ipOf('server')}:8080"`);
    const [atServer = ''] = await eventually('the line at the server', async () => {
      const lines = logged('server', path);
      return lines.length > 0 && lines;
    });
    expect(atServer).toContain(' inbound|8080|| ');
    expect(atServer).toContain(' outbound_.80_._.server.shop.svc.cluster.local ');
    // One request, one name for it at both ends.
    const requestId = /"([0-9a-f-]{36})"/.exec(atCaller)?.[1] ?? 'none';
    expect(atServer).toContain(requestId);
  });

  it('access logs become JSON, take a format of their own, and cease', async () => {
    mesh().configure('accessLogEncoding: JSON');
    for (const name of ['caller', 'server']) {
      const line = await logs(name, (text) => text.startsWith('{'));
      expect(JSON.parse(line)).toMatchObject({ method: 'GET', path: `/log-${paths}`, response_code: 200, authority: 'server.shop' });
    }
    mesh().configure('accessLogFormat: "own %REQ(:PATH)% %RESPONSE_CODE% %UPSTREAM_CLUSTER_RAW%"');
    for (const [name, cluster] of [
      ['caller', 'outbound|80||server.shop.svc.cluster.local'],
      ['server', 'inbound|8080||'],
    ] as const) {
      await logs(name, (line, path) => line === `own ${path} 200 ${cluster}`);
    }
    mesh().apply('mesh-config', meshConfig('').replace('/dev/stdout', '""'));
    await eventually('neither has an access log any more', async () => {
      const listeners = await Promise.all(
        ['caller', 'server'].map((name) => mesh().workload(name).envoy.admin('/config_dump?mask=dynamic_listeners')),
      );
      return listeners.every(({ body }) => !body.includes('StdoutAccessLog'));
    });
    const path = `/log-${++paths}`;
    expect((await call({ path })).status).toBe(200);
    mesh().configure('');
    await logs('caller', (line, later) => line.includes(`GET ${later} `));
    expect([logged('caller', path), logged('server', path)]).toEqual([[], []]);
  });
});
