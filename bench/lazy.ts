/**
 * What lazy mode saves a proxy and costs a request: one real Envoy beside meshes of several sizes, with and without it. Needs root, for network namespaces.
 *
 *   npx node bench/lazy.ts [SERVICES,SERVICES...]
 */
import { execFile } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { envoyBinary } from '../src/cli/download/envoy.ts';
import { Apps } from '../test/envoy/harness/apps.ts';
import { Child } from '../test/envoy/harness/child.ts';
import { Client } from '../test/envoy/harness/client.ts';
import { Discovery } from '../test/envoy/harness/discovery.ts';
import { Folder } from '../test/envoy/harness/folder.ts';
import { http } from '../test/envoy/harness/http.ts';
import { PodNetwork, whyNoPods } from '../test/envoy/harness/pods.ts';
import { eventually } from '../test/envoy/harness/wait.ts';
import { usageOf } from './target/usage.ts';

const main = join(import.meta.dirname, '..', 'src', 'main.ts');
const namespaces = 10;
/** Services that the proxy talks to. */
const used = 5;
/** A service that it does not talk to otherwise, for each first request that is measured. */
const firsts = 20;
const later = 300;

interface Figures {
  readonly services: number;
  readonly mode: 'eager' | 'lazy';
  readonly startMs: number;
  readonly rssMb: number;
  readonly clusters: number;
  readonly hosts: number;
  /** Sorted, of requests to services that nothing was sent to before. */
  readonly first: readonly number[];
  readonly laterMs: readonly number[];
  readonly unknownFirst: readonly number[];
}

function hostOf(i: number): string {
  return `svc-${i}.ns-${i % namespaces}`;
}

function addressOf(i: number): string {
  return `10.100.${Math.floor(i / 250)}.${(i % 250) + 1}`;
}

function manifests(services: number, server: string): string {
  const documents: string[] = [];
  for (let i = 0; i < services; i++) {
    const where = `metadata: { name: svc-${i}, namespace: ns-${i % namespaces} }`;
    documents.push(
      `apiVersion: v1\nkind: Service\n${where}\nspec: { clusterIP: ${addressOf(i)}, selector: { app: svc-${i} }, ports: [{ name: http, port: 80, targetPort: 8080 }] }`,
      `apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\n${where}\nspec: { address: ${server}, labels: { app: svc-${i} } }`,
    );
  }
  return documents.join('\n---\n');
}

async function measure(services: number, mode: Figures['mode']): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const network = stack.use(new PodNetwork('lzy'));
  const pod = network.pod('client');
  const server = network.pod('server', { redirect: false });
  stack.use(
    await Apps.start(
      [
        { kind: 'http', port: 8080, version: 'server' },
        { kind: 'http', port: 80, version: 'outside' },
      ],
      server,
    ),
  );
  const client = stack.use(await Client.start(pod));
  const folder = stack.use(new Folder('bench-lazy'));
  folder.write('config/mesh.yaml', manifests(services, server.ip));
  const discovery = stack.use(
    await Discovery.start({ config: folder.at('config'), state: folder.at('state'), log: folder.at('log'), address: network.testAddress }),
  );
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...[main, 'bootstrap', '--dir', folder.at('proxy'), '--name', 'client', '--namespace', 'ns-0', '--ip', pod.ip],
    ...['--label', 'app=client', ...(mode === 'lazy' ? ['--label', 'mizzen.io/lazy=true'] : [])],
    ...['--control-plane', `${network.testAddress}:${discovery.addresses.grpc}`, '--plaintext', '--admin', `${pod.ip}:15000`],
    ...['--concurrency', '1', '--drain-time', '5'],
  ]);
  chmodSync(folder.path, 0o755);
  const [, ...args] = stdout.trim().split(' ');
  const admin = async (path: string): Promise<string> => (await http({ address: pod.ip, port: 15000, path, timeoutMs: 30_000 })).body;
  const beganMs = performance.now();
  const envoy = stack.use(
    new Child({ command: pod.asProxy([await envoyBinary(), ...args, '-l', 'warning']), log: folder.at('proxy', 'envoy.log') }),
  );
  const ready = async (): Promise<boolean> => (await admin('/ready')).startsWith('LIVE');
  await eventually('Envoy has its configuration', ready, 120_000).catch((fault: unknown) => {
    throw new Error(`${(fault as Error).message}\n${envoy.tail(20)}`, { cause: fault });
  });
  const startMs = performance.now() - beganMs;

  const request = async (address: string, host: string): Promise<number> => {
    const sentMs = performance.now();
    const { status } = await client.http(address, 80, { host, timeoutMs: 30_000 });
    if (status !== 200) throw new Error(`${host} answered ${status}`);
    return performance.now() - sentMs;
  };
  // The client's own first request loads its code.
  for (let i = 0; i < used; i++) await request(addressOf(i), hostOf(i));
  const held = { clusters: Number(/: (\d+)/.exec(await admin('/stats?filter=cluster_manager.active_clusters'))?.[1]) };
  const dump = JSON.parse(await admin('/config_dump?resource=dynamic_route_configs')) as {
    readonly configs?: readonly { readonly route_config: { readonly virtual_hosts?: readonly unknown[] } }[];
  };
  const hosts = (dump.configs ?? []).reduce((sum, { route_config: table }) => sum + (table.virtual_hosts?.length ?? 0), 0);
  const { rssMb } = usageOf(envoy.pid ?? 0);
  const first: number[] = [];
  for (let i = 0; i < firsts; i++) first.push(await request(addressOf(used + i), hostOf(used + i)));
  const laterMs: number[] = [];
  for (let i = 0; i < later; i++) laterMs.push(await request(addressOf(i % used), hostOf(i % used)));
  const unknownFirst: number[] = [];
  for (let i = 0; i < firsts; i++) unknownFirst.push(await request(server.ip, `unknown-${i}.example`));
  const sorted = (times: readonly number[]): number[] => times.toSorted((a, b) => a - b);
  return {
    services,
    mode,
    startMs,
    rssMb,
    ...held,
    hosts,
    first: sorted(first),
    laterMs: sorted(laterMs),
    unknownFirst: sorted(unknownFirst),
  };
}

function quantile(sorted: readonly number[], q: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN).toFixed(1);
}

const why = whyNoPods();
if (why !== undefined) throw new Error(why);
console.log(
  '| services | mode | Envoy ready, ms | RSS, MB | clusters | virtual hosts | first request p50 / max, ms | later p50 / p99, ms | unknown host, first p50 / max, ms |',
);
console.log('| --- | --- | --- | --- | --- | --- | --- | --- | --- |');
for (const services of (process.argv[2] ?? '1000,4000').split(',').map(Number)) {
  for (const mode of ['eager', 'lazy'] as const) {
    const f = await measure(services, mode);
    const cells = [services, mode, f.startMs.toFixed(0), f.rssMb.toFixed(0), f.clusters, f.hosts];
    const times = [f.first, f.laterMs, f.unknownFirst].map((t, i) => `${quantile(t, 0.5)} / ${quantile(t, i === 1 ? 0.99 : 1)}`);
    console.log(`| ${[...cells, ...times].join(' | ')} |`);
  }
}
