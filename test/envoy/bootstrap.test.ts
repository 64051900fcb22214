/** The bootstrap that `mizzen bootstrap` writes, with a real Envoy and a discovery server that asks for a token over TLS. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { ServerCredentials } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { bootstrapCommand } from '../../src/cli/bootstrap.ts';
import { envoyBinary } from '../../src/cli/download/envoy.ts';
import { AdsServer, type AdsStream } from './harness/ads.ts';
import { type KeyAndCertificate, TestRoot } from './harness/certificates.ts';
import { Envoy, needsEnvoy } from './harness/envoy.ts';
import { Folder, ProjectedVolume } from './harness/folder.ts';
import { http } from './harness/http.ts';
import { freePorts } from './harness/ports.ts';
import { staticCluster } from './harness/resources.ts';
import { eventually } from './harness/wait.ts';

const serverName = 'istiod.istio-system.svc';

function tls(server: KeyAndCertificate, clientRoot?: string): ServerCredentials {
  const pair = { private_key: Buffer.from(server.key), cert_chain: Buffer.from(server.certificate) };
  return ServerCredentials.createSsl(clientRoot === undefined ? null : Buffer.from(clientRoot), [pair], clientRoot !== undefined);
}

interface Ports {
  readonly admin: number;
  readonly prometheus: number;
  readonly readiness: number;
}

async function ports(): Promise<Ports> {
  const [admin = 0, prometheus = 0, readiness = 0] = await freePorts(3);
  return { admin, prometheus, readiness };
}

function reach(server: AdsServer, { admin, prometheus, readiness }: Ports): string[] {
  const sockets = ['--admin', `127.0.0.1:${admin}`, '--prometheus', `127.0.0.1:${prometheus}`, '--readiness', `127.0.0.1:${readiness}`];
  return ['--control-plane', `127.0.0.1:${server.port}`, ...sockets];
}

const files = (...args: string[]): string[] => args;

/** Runs the command as a user does, into `folder`, and returns the bootstrap. */
async function write(folder: Folder, ...args: string[]): Promise<unknown> {
  const base = ['--name', 'page-1', '--namespace', 'shop', '--ip', '127.0.0.1', '--dir', folder.path];
  await bootstrapCommand()
    .configureOutput({ writeErr: () => undefined })
    .parseAsync([...base, ...args], { from: 'user' });
  return parse(readFileSync(folder.at('bootstrap.yaml'), 'utf8'));
}

/** The next stream after ending `stream`, once Envoy has read what was just written. */
async function reconnected(server: AdsServer, stream: AdsStream): Promise<AdsStream> {
  stream.drop();
  return server.nextStream();
}

describe('mizzen bootstrap', () => {
  needsEnvoy();

  it.for([
    { args: [], name: 'token over TLS' },
    { args: ['--plaintext', '--control-plane', '127.0.0.1:15010', '--protocol', 'sotw'], name: 'SotW over plaintext' },
    { args: ['--client-certificate', 'certificate.pem', '--client-key', 'key.pem'], name: 'client certificate' },
    { args: ['--type', 'router', '--label', 'answer=yes', '--locality', 'r1/z1/s1', '--network', 'n1'], name: 'router' },
  ])('is valid for Envoy: $name', async ({ args }) => {
    using folder = new Folder('bootstrap');
    const root = new TestRoot();
    const leaf = root.leaf(['client']);
    folder.write('root.pem', root.certificate);
    folder.write('token', 'token-1');
    folder.write('certificate.pem', leaf.certificate);
    folder.write('key.pem', leaf.key);
    const files = args.map((arg) => (arg.endsWith('.pem') ? folder.at(arg) : arg));
    await write(folder, '--root', folder.at('root.pem'), '--token', folder.at('token'), ...files);
    const run = promisify(execFile)(await envoyBinary(), ['--mode', 'validate', '-c', folder.at('bootstrap.yaml')]);
    await expect(run).resolves.toMatchObject({ stdout: expect.stringContaining('OK') as string });
  });

  it('fetches over TLS with the token, and sees another token and another root when their files are replaced', async () => {
    using folder = new Folder('bootstrap');
    const oldRoot = new TestRoot('old');
    const newRoot = new TestRoot('new');
    const [tokens, roots] = [new ProjectedVolume(folder.at('tokens')), new ProjectedVolume(folder.at('roots'))];
    tokens.update({ 'istio-token': 'token-1' });
    roots.update({ 'root-cert.pem': oldRoot.certificate });
    const chosen = await ports();
    const first = await AdsServer.start({ credentials: tls(oldRoot.leaf([serverName])) });
    const bootstrap = await write(
      folder,
      ...reach(first, chosen),
      ...files('--root', folder.at('roots/root-cert.pem'), '--token', folder.at('tokens/istio-token')),
    );
    await using envoy = await Envoy.start({ bootstrap, admin: { address: '127.0.0.1', port: chosen.admin } });

    const stream = await first.nextStream();
    expect(stream.authorization).toBe('Bearer token-1');
    await stream.subscription('CDS');
    expect(stream.nodeId).toBe('sidecar~127.0.0.1~page-1.shop~shop.svc.cluster.local');
    await stream.accept('CDS', [staticCluster('c')]);
    await stream.subscription('LDS');
    // Nothing listens for probes before the first configuration is there.
    await expect(http({ port: chosen.readiness, path: '/healthz/ready' })).rejects.toThrow('ECONNREFUSED');
    await stream.accept('LDS', []);
    await envoy.ready();
    await eventually('readiness answers', async () => (await http({ port: chosen.readiness, path: '/healthz/ready' })).status === 200);
    expect((await http({ port: chosen.prometheus, path: '/stats/prometheus' })).body).toContain('envoy_cluster_manager_cluster_added');
    expect((await http({ port: chosen.prometheus, path: '/quitquitquit', method: 'POST' })).status).toBe(404);

    const tokenUpdates = 'sds.token.update_success';
    const before = (await envoy.stat(tokenUpdates)) ?? 0;
    tokens.update({ 'istio-token': 'token-2' });
    let last = stream;
    await eventually(`token-2 is sent (${before} ${tokenUpdates})`, async () => {
      last = await reconnected(first, last);
      return last.authorization === 'Bearer token-2';
    });

    // The control plane moves to a root that Envoy does not know yet: refused, until the file has it.
    await first[Symbol.asyncDispose]();
    await using second = await AdsServer.start({ credentials: tls(newRoot.leaf([serverName])), port: first.port });
    await eventually('the new root is refused', async () => ((await envoy.stat('cluster.xds-grpc.ssl.fail_verify_error')) ?? 0) > 0);
    expect(second.streams).toEqual([]);
    roots.update({ 'root-cert.pem': oldRoot.certificate + newRoot.certificate });
    const after = await second.nextStream();
    expect(after.authorization).toBe('Bearer token-2');
  });

  it('refuses a control plane with another name under the right root', async () => {
    using folder = new Folder('bootstrap');
    const root = new TestRoot();
    folder.write('root.pem', root.certificate);
    folder.write('token', 'token-1');
    const chosen = await ports();
    await using server = await AdsServer.start({ credentials: tls(root.leaf(['somebody.else'])) });
    const bootstrap = await write(
      folder,
      ...reach(server, chosen),
      ...files('--root', folder.at('root.pem'), '--token', folder.at('token')),
    );
    await using envoy = await Envoy.start({ bootstrap, admin: { address: '127.0.0.1', port: chosen.admin } });
    await eventually('the name is refused', async () => ((await envoy.stat('cluster.xds-grpc.ssl.fail_verify_san')) ?? 0) > 0);
    expect(server.streams).toEqual([]);
  });

  it('shows its client certificate, and a new one when the files are replaced', async () => {
    using folder = new Folder('bootstrap');
    const root = new TestRoot();
    const stranger = new TestRoot('stranger');
    const identity = 'spiffe://cluster.local/ns/shop/sa/page';
    const pairs = new ProjectedVolume(folder.at('pair'));
    const wrong = stranger.leaf([identity]);
    pairs.update({ 'cert-chain.pem': wrong.certificate, 'key.pem': wrong.key });
    folder.write('root.pem', root.certificate);
    const chosen = await ports();
    await using server = await AdsServer.start({ credentials: tls(root.leaf([serverName]), root.certificate) });
    const bootstrap = await write(
      folder,
      ...reach(server, chosen),
      ...files('--root', folder.at('root.pem'), '--protocol', 'sotw'),
      ...files('--client-certificate', folder.at('pair/cert-chain.pem'), '--client-key', folder.at('pair/key.pem')),
    );
    await using envoy = await Envoy.start({ bootstrap, admin: { address: '127.0.0.1', port: chosen.admin } });
    await eventually('the connection was refused', async () => ((await envoy.stat('cluster.xds-grpc.upstream_cx_destroy')) ?? 0) > 0);
    expect(server.streams).toEqual([]);
    const right = root.leaf([identity]);
    pairs.update({ 'cert-chain.pem': right.certificate, 'key.pem': right.key });
    const stream = await server.nextStream();
    expect(stream.protocol).toBe('sotw');
    expect(stream.authorization).toBeUndefined();
  });
});
