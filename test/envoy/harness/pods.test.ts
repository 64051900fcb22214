/** The harness itself: redirection in pods, the applications and the load, with a plain Envoy configuration. */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Apps, type HttpEcho, setFault } from './apps.ts';
import { Client } from './client.ts';
import { Envoy, needsEnvoy } from './envoy.ts';
import { http } from './http.ts';
import { Load } from './load.ts';
import { type Pod, PodNetwork } from './pods.ts';
import { describeWithPods } from './suites.ts';

const originalDestination = {
  name: 'original',
  type: 'ORIGINAL_DST',
  lb_policy: 'CLUSTER_PROVIDED',
  connect_timeout: '1s',
};

/** Passes everything that was redirected to `port` on to where it was going, and marks HTTP responses. */
function passthrough(port: number, direction: string, cluster: object): object {
  return {
    name: direction,
    address: { socket_address: { address: '0.0.0.0', port_value: port } },
    use_original_dst: true,
    listener_filters: [
      { name: 'o', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst' } },
    ],
    filter_chains: [
      {
        filters: [
          {
            name: 'hcm',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
              stat_prefix: direction,
              http_filters: [
                { name: 'router', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' } },
              ],
              route_config: {
                virtual_hosts: [
                  {
                    name: 'all',
                    domains: ['*'],
                    routes: [{ match: { prefix: '/' }, route: cluster }],
                    response_headers_to_add: [{ header: { key: `x-${direction}`, value: 'yes' } }],
                  },
                ],
              },
            },
          },
        ],
      },
    ],
  };
}

function bootstrap(): object {
  return {
    admin: { address: { socket_address: { address: '0.0.0.0', port_value: 15000 } } },
    static_resources: {
      clusters: [
        originalDestination,
        {
          ...originalDestination,
          name: 'app',
          upstream_bind_config: { source_address: { address: '127.0.0.6', port_value: 0 } },
        },
      ],
      listeners: [passthrough(15001, 'outbound', { cluster: 'original' }), passthrough(15006, 'inbound', { cluster: 'app' })],
    },
  };
}

describeWithPods('pods', () => {
  needsEnvoy();
  let network: PodNetwork;
  let server: Pod;
  let client: Pod;
  let stack: AsyncDisposableStack;

  beforeAll(async () => {
    stack = new AsyncDisposableStack();
    network = stack.use(new PodNetwork());
    server = network.pod('server');
    client = network.pod('client');
    stack.use(await Apps.start([{ kind: 'http', port: 8080, version: 'v1' }], server));
    for (const pod of [server, client]) {
      stack.use(
        await Envoy.start({
          bootstrap: bootstrap(),
          admin: { address: pod.ip, port: 15000 },
          pod,
          name: pod.name,
          flags: ['--concurrency', '1'],
        }),
      );
    }
  });

  afterAll(async () => {
    await stack.disposeAsync();
  });

  it('redirect what comes in to 15006, where the original destination is known', async () => {
    const response = await http({ address: server.ip, port: 8080, path: '/x' });
    expect(response.headers).toMatchObject({ 'x-inbound': 'yes' });
    expect(JSON.parse(response.body)).toMatchObject({ version: 'v1', path: '/x', peer: '127.0.0.6' } satisfies Partial<HttpEcho>);
  });

  it('redirect what goes out to 15001, and not what the proxy itself sends', async () => {
    await using load = await Load.start({ address: server.ip, port: 8080, limitRequests: 200 }, client);
    const result = await load.finished();
    expect(result).toMatchObject({ sent: 200, ok: 200, failed: {}, onNewConnections: 100, versions: { v1: 200 } });
    const [file, ...args] = client.asApp(['curl', '-sSi', `http://${server.ip}:8080/`]);
    expect(execFileSync(file, args, { encoding: 'utf8' })).toMatch(/x-inbound: yes[^]*x-outbound: yes/);
  });

  it('run clients for HTTP, TCP, WebSocket and gRPC, and applications that speak first or misbehave', async () => {
    const plain = network.pod('plain', { redirect: false });
    await using apps = await Apps.start(
      [
        { kind: 'http', port: 8080, version: 'v2' },
        { kind: 'tcp-greeting', port: 9090, greeting: 'hello' },
        { kind: 'tcp-echo', port: 9091 },
        { kind: 'grpc', port: 9092 },
      ],
      plain,
    );
    await using caller = await Client.start(plain);
    expect(apps).toBeDefined();
    const answer = await caller.http(plain.ip, 8080, { path: '/p', host: 'reviews', headers: { 'x-user': 'ada' } });
    expect(JSON.parse(answer.body)).toMatchObject({ version: 'v2', path: '/p', headers: { host: 'reviews', 'x-user': 'ada' } });
    expect(await caller.tcp(plain.ip, 9090)).toBe('hello');
    expect(await caller.tcp(plain.ip, 9091, { data: 'ping', until: 4 })).toBe('ping');
    expect(await caller.websocket(plain.ip, 8080, 'over a socket')).toBe('over a socket');
    expect(await caller.grpc(plain.ip, 9092, 'over grpc')).toBe('over grpc');
    await setFault(plain.ip, 8080, { kind: 'status', status: 503, every: 2 });
    expect([(await caller.http(plain.ip, 8080)).status, (await caller.http(plain.ip, 8080)).status]).toEqual([503, 200]);
    await setFault(plain.ip, 8080, { kind: 'reset' });
    await expect(caller.http(plain.ip, 8080)).rejects.toThrow('ECONNRESET');
    await setFault(plain.ip, 8080, { kind: 'slow', delayMs: 5_000 });
    await expect(caller.http(plain.ip, 8080, { timeoutMs: 100 })).rejects.toThrow('timeout');
    await expect(caller.http(plain.ip, 1)).rejects.toThrow('ECONNREFUSED');
  });

  it('are gone with their network', () => {
    // Other test processes may have networks of their own.
    const own = new RegExp(`mz-?${process.pid}-?oth\\S*`, 'g');
    const found = (): string[] =>
      ['netns list', '-br link'].flatMap((args) => execFileSync('ip', args.split(' '), { encoding: 'utf8' }).match(own) ?? []).toSorted();
    {
      using other = new PodNetwork('other');
      other.pod('a');
      const prefix = `mz-${process.pid}-other`;
      expect(found()).toEqual([`${prefix}-a`, `${prefix}-hub`, expect.stringMatching(`^mz${process.pid}oth@`) as string]);
    }
    expect(found()).toEqual([]);
  });
});
