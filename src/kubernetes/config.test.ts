import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { connectCluster } from './config.ts';
import { createTokenReview } from './token-review.ts';

const folder = mkdtempSync(join(tmpdir(), 'mizzen-kubeconfig-'));
afterAll(() => rmSync(folder, { recursive: true }));

function kubeconfig(name: string, server: string): string {
  const path = join(folder, name);
  writeFileSync(
    path,
    `apiVersion: v1
kind: Config
clusters: [{ name: c, cluster: { server: "${server}", insecure-skip-tls-verify: true } }]
users: [{ name: u, user: { token: secret } }]
contexts: [{ name: x, context: { cluster: c, user: u } }]
current-context: x
`,
  );
  return path;
}

describe('connectCluster', () => {
  it('speaks to the server of the kubeconfig with its token', async () => {
    const server = createServer((request, response) => {
      response.writeHead(201).end(JSON.stringify({ status: { authenticated: request.headers.authorization === 'Bearer secret' } }));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { transport, server: named } = connectCluster({ kubeconfig: kubeconfig('good', url) });
    expect(named).toBe(url);
    expect(await createTokenReview(transport, 'a.b.c', ['istio-ca'], new AbortController().signal)).toEqual({ authenticated: true });
    server.close();
    await once(server, 'close');
    await expect(createTokenReview(transport, 'a.b.c', ['istio-ca'], new AbortController().signal)).rejects.toThrow(
      /^API server 127\.0\.0\.1:/,
    );
  });

  it('names the file that gives no access', () => {
    const missing = join(folder, 'missing');
    expect(() => connectCluster({ kubeconfig: missing })).toThrow(missing);
    expect(() => connectCluster({ kubeconfig: kubeconfig('odd', 'unix:/x') })).toThrow(/context "x" names no server/);
  });

  it('runs the program that a configuration names', async () => {
    const server = createServer((request, response) => {
      response.end(JSON.stringify({ authorization: request.headers.authorization ?? '' }));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const credential = join(folder, 'credential.json');
    const apiVersion = 'client.authentication.k8s.io/v1';
    writeFileSync(credential, JSON.stringify({ apiVersion, kind: 'ExecCredential', status: { token: 'from-program' } }));
    const path = kubeconfig('file', url);
    const exec = `exec: { apiVersion: ${apiVersion}, command: cat, args: [${credential}], interactiveMode: Never }`;
    writeFileSync(path, readFileSync(path, 'utf8').replace('token: secret', exec));
    const { transport } = connectCluster({ kubeconfig: path });
    const answer = await transport.request({ method: 'GET', path: '/' }, new AbortController().signal);
    expect(answer.body).toEqual({ authorization: 'Bearer from-program' });
    server.close();
  });

  it('uses the context that is asked for', () => {
    const path = kubeconfig('contexts', 'http://127.0.0.1:1');
    expect(connectCluster({ kubeconfig: path, context: 'x' }).server).toBe('http://127.0.0.1:1');
    expect(() => connectCluster({ kubeconfig: path, context: 'other' })).toThrow(/context "other" names no server/);
  });

  it('gives up an answer that is too large or too late', async () => {
    const server = createServer((request, response) => {
      if (request.url === '/large') response.end('x'.repeat(2000));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const path = kubeconfig('limits', `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const { transport } = connectCluster({ kubeconfig: path }, { maxAnswerBytes: 1000, timeoutMs: 50 });
    const signal = new AbortController().signal;
    await expect(transport.request({ method: 'GET', path: '/large' }, signal)).rejects.toThrow('larger than 1000 bytes');
    await expect(transport.request({ method: 'GET', path: '/late' }, signal)).rejects.toThrow('no whole answer in time');
    await expect(transport.stream({ method: 'GET', path: '/late' }, signal)).rejects.toThrow('no whole answer in time');
    server.closeAllConnections();
    server.close();
  });
});
