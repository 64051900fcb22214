import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { completionScript } from './completion.ts';
import { clusterType, routeType } from '../wire/types.ts';
import { discoveryOptions, type DiscoveryFlags } from './discovery.ts';
import { buildProgram, withoutExit } from './program.ts';
import { mizzen, type Ended } from './testing/mizzen.ts';

/** A port on which nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await once(server.close(), 'close');
  return port;
}

// The first use of a command loads what it needs, and other suites may have the processors.
vi.setConfig({ testTimeout: 60_000 });

test('the program runs as a process and its exit status says how it went', async () => {
  const run = (...args: readonly string[]): Promise<Ended> =>
    new Promise((resolve) => {
      execFile(process.execPath, ['src/main.ts', ...args], (error, out, err) =>
        resolve({ status: error === null ? 0 : Number(error.code), out, err }),
      );
    });
  const [version, wrong] = await Promise.all([run('--version'), run('proxy-config', 'cluster', 'page')]);
  expect(version).toMatchObject({ status: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string, err: '' });
  expect(wrong).toMatchObject({ status: 2, out: '' });
});

const status = {
  cluster_id: 'Kubernetes',
  proxy: 'page.shop',
  proxy_type: 'sidecar',
  connection_id: 'sidecar~1~page.shop~x-1',
  identity: 'spiffe://cluster.local/ns/shop/sa/page',
  state: 'ERROR',
  resources: {
    [clusterType]: { state: 'SYNCED', heldBack: [] },
    [routeType]: {
      state: 'ERROR',
      lastError: 'Only unique values',
      heldBack: [{ name: '9080', madeFrom: ['VirtualService/shop/x (x.yaml:1)'] }],
    },
  },
};
const answers: Readonly<Record<string, [number, unknown]>> = {
  '/debug/syncz': [200, [status]],
  '/version': [200, { version: '9.9.9', node: 'v24', envoy: '1.40' }],
  '/debug/config_dump?include_eds&explain&proxyID=page.shop': [200, { configs: [] }],
  '/debug/config_dump?include_eds&explain&proxyID=nobody': [404, { error: 'no proxy "nobody" is connected' }],
};
let api: Server;
let address: string;
let dir: string;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'mizzen-cli-'));
  api = createServer((request, response) => {
    const [code, body] = answers[request.url ?? ''] ?? [500, {}];
    response.writeHead(code).end(JSON.stringify(body));
  });
  api.listen(0, '127.0.0.1');
  await once(api, 'listening');
  address = `127.0.0.1:${(api.address() as AddressInfo).port}`;
});
afterAll(async () => {
  rmSync(dir, { recursive: true });
  api.closeAllConnections();
  await once(api.close(), 'close');
});

test('proxy-status shows each type and ends with 1 where a proxy has rejected something', async () => {
  const { status: code, out } = await mizzen('proxy-status', '--address', address);
  expect(code).toBe(1);
  expect(out).toBe(
    [
      'NAME       TYPE     CDS     LDS  EDS  RDS    VHDS  SDS  IDENTITY',
      'page.shop  sidecar  SYNCED  -    -    ERROR  -     -    spiffe://cluster.local/ns/shop/sa/page',
      '',
      'page.shop rejected RDS: Only unique values',
      '  held back: 9080, made from VirtualService/shop/x (x.yaml:1)',
      '',
    ].join('\n'),
  );
});

test('an unknown proxy ends with 2 and names those that are there, no answer with 3 and says what to check', async () => {
  expect(await mizzen('proxy-status', 'ratings', '--address', address)).toMatchObject({
    status: 2,
    err: 'mizzen: no proxy "ratings" is connected; connected are page.shop\n',
  });
  expect(await mizzen('proxy-config', 'all', 'nobody', '--address', address)).toMatchObject({ status: 2 });
  const silent = await mizzen('proxy-config', 'routes', 'page.shop', '--address', `127.0.0.1:${await closedPort()}`);
  expect(silent.status).toBe(3);
  expect(silent.err).toContain('does not answer (ECONNREFUSED); is `mizzen discovery` running');
});

test('a wrong command line ends with 2, --help with 0', async () => {
  expect((await mizzen('proxy-config', 'cluster', 'page')).status).toBe(2);
  expect((await mizzen('discover')).err).toContain('Did you mean discovery?');
  expect((await mizzen('discovery', '--config', '.', '--log-level', 'adz:debug')).err).toContain('"adz" is not a log scope');
  const help = await mizzen('discovery', '--help');
  expect(help).toMatchObject({ status: 0, err: '' });
});

test('version knows the control plane too', async () => {
  const { out } = await mizzen('version', '--remote', '--address', address, '-o', 'json');
  expect(JSON.parse(out)).toMatchObject([
    { component: 'mizzen', envoy: '1.40' },
    { component: 'control plane', version: '9.9.9' },
  ]);
});

test('validate names file, line and path, and ends with 1 on an error', async () => {
  const file = join(dir, 'x.yaml');
  writeFileSync(file, 'apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: x}\nspec:\n  host: a\n  subset: []\n');
  const warned = await mizzen('validate', file, '-o', 'json');
  expect(warned.status).toBe(0);
  expect(JSON.parse(warned.out)).toMatchObject({ problems: [{ reason: 'UnknownField', path: 'spec.subset', origin: { file, line: 6 } }] });
  writeFileSync(file, 'apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: x}\nspec:\n  host: 5\n');
  expect((await mizzen('validate', file)).status).toBe(1);
  expect((await mizzen('validate', join(dir, 'missing'))).status).toBe(2);
});

test('translate shows what a proxy would get, and with --explain from which lines', async () => {
  const routes = await mizzen(
    'translate',
    'deploy/samples/bookshop',
    '--proxy',
    'page-v1',
    '--interception-mode',
    'NONE',
    '--section',
    'routes',
  );
  expect(routes).toMatchObject({ status: 0, err: '' });
  expect(routes.out).toMatch(/^9080 .*\|v1\|reviews\S+ 80%, \S+\|v2\|reviews\S+ 20% .*reviews\.bookshop$/m);
  const gateway = await mizzen('translate', 'deploy/samples/bookshop', '--proxy', 'gateway.bookshop', '--explain');
  expect(gateway.out).toMatch(
    /^RDS +http\.18080\S* +.*VirtualService\/bookshop\/bookshop \(deploy\/samples\/bookshop\/gateway\.yaml:\d+\)$/m,
  );
  const yaml = await mizzen('translate', 'deploy/samples/bookshop', '--proxy', 'details-v1', '-o', 'yaml', '--section', 'endpoints');
  expect(yaml.out).toContain('"@type": type.googleapis.com/envoy.admin.v3.EndpointsConfigDump');
  expect(await mizzen('translate', 'deploy/samples/bookshop', '--proxy', 'nobody')).toMatchObject({
    status: 2,
    err: expect.stringContaining('there are details-v1.bookshop, gateway.bookshop') as string,
  });
});

test('every command has help with an example, and completes in three shells', () => {
  const program = withoutExit(buildProgram());
  for (const command of program.createHelp().visibleCommands(program)) {
    if (command.name() === 'help') continue;
    let help = '';
    command.configureOutput({ writeOut: (text) => (help += text) });
    command.outputHelp();
    expect(help, command.name()).toMatch(/Examples?:\n {2}.*mizzen/);
  }
  const bash = completionScript(program, 'bash');
  expect(bash).toContain('discovery) words="--config --state');
  expect(bash).toContain('proxy-config) words="listeners routes clusters endpoints secrets all --address');
  expect(completionScript(program, 'zsh')).toContain(`'discovery:run the control plane`);
  expect(completionScript(program, 'fish')).toContain(`complete -c mizzen -n '__fish_seen_subcommand_from discovery' -l config`);
});

test('bash takes the completion script and completes a command and a section', async () => {
  const script = join(dir, 'completion.bash');
  writeFileSync(script, completionScript(buildProgram(), 'bash'));
  const complete = (words: string, at: number): Promise<string> =>
    new Promise((resolve, reject) => {
      const line = `source ${script}; COMP_WORDS=(${words}); COMP_CWORD=${at}; _mizzen; echo "\${COMPREPLY[*]}"`;
      execFile('bash', ['--norc', '-c', line], (error, out) => (error === null ? resolve(out.trim()) : reject(error)));
    });
  expect(await complete('mizzen proxy-', 1)).toBe('proxy-status proxy-config');
  expect(await complete('mizzen proxy-config e', 2)).toBe('endpoints');
});

test('flags and environment become the options of the daemon', () => {
  const flags: DiscoveryFlags = {
    config: '/etc/mizzen',
    grpcAddress: { address: '127.0.0.1', port: 15010 },
    secureGrpcAddress: { address: '0.0.0.0', port: 15012 },
    monitoringAddress: { address: '0.0.0.0', port: 15014 },
    httpAddress: { address: '0.0.0.0', port: 8080 },
    certificateTtl: 20_000,
    rootRenewal: 0.2,
    maxStreams: 7,
    maxNewStreams: 8,
    maxStreamAge: 0,
    drainDuration: 9_000,
    status: false,
    memoryLimit: 2 ** 30,
    logLevel: { ads: 'debug' },
  };
  expect(discoveryOptions(flags, {}, '/home/me')).toMatchObject({
    config: { type: 'folder', dir: '/etc/mizzen' },
    stateDir: '/home/me/.local/state/mizzen',
    remoteClusterTimeoutMs: 10_000,
    writeStatus: false,
    certificateTtlMs: 20_000,
    rotation: { renewalFraction: 0.2 },
    streams: { maxStreams: 7, maxNewPerSecond: 8, maxAgeMs: Infinity, drainMs: 9_000, memoryLimitBytes: 2 ** 30 },
    logLevels: { ads: 'debug' },
  });
  expect(discoveryOptions({ ...flags, state: '/var/s', meshConfig: '/m.yaml' }, { MIZZEN_STATE: '/x' }, '/h')).toMatchObject({
    stateDir: '/var/s',
    meshConfigFile: '/m.yaml',
  });
});
