/** Who may call whom, by certificate and by policy, and what happens when a policy cannot be enforced. */
import { expect, it } from 'vitest';
import { TestRoot, type KeyAndCertificate } from '../harness/certificates.ts';
import type { Client, TaskAnswer, TlsOptions } from '../harness/client.ts';
import { needsEnvoy } from '../harness/envoy.ts';
import { describeWithPods } from '../harness/suites.ts';
import { eventually } from '../harness/wait.ts';
import { documents, service } from './manifests.ts';
import { useMesh } from './mesh.ts';
import { signedByMesh } from './workload-certificate.ts';

needsEnvoy();

const store = '10.96.0.20';
const legacy = '10.96.0.21';

const peerAuthentication = (mode: string): string => `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: istio-system }
spec: { mtls: { mode: ${mode} } }
`;

/** A policy of the store. */
const policy = (name: string, spec: string): string => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: shop }
spec:
  selector: { matchLabels: { app: store } }
${spec.replaceAll(/^/gm, '  ')}
`;

/** As an Istio proxy offers its certificate. */
const asMesh = ({ certificate, key }: KeyAndCertificate): TlsOptions => ({
  certificate,
  key,
  serverName: 'outbound_.80_._.store.shop.svc.cluster.local',
  alpn: ['istio-http/1.1', 'istio'],
});

/** The status, or the code of the fault when there is no answer. */
async function outcome(answer: Promise<TaskAnswer>): Promise<string> {
  return answer.then(
    ({ status }) => String(status),
    (fault: Error) => fault.message,
  );
}

describeWithPods('security', () => {
  const mesh = useMesh(() => ({
    name: 'sec',
    manifests: {
      'peer-authentication': peerAuthentication('STRICT'),
      services: documents(
        service('store', {
          clusterIp: store,
          ports: [
            { name: 'http', port: 80, targetPort: 8080 },
            { name: 'tcp-echo', port: 9000, targetPort: 9090 },
          ],
        }),
        service('legacy', { clusterIp: legacy, ports: [{ name: 'http', port: 80, targetPort: 8080 }] }),
      ),
    },
    workloads: {
      store: {
        apps: [
          { kind: 'http', port: 8080, version: 'store' },
          { kind: 'tcp-echo', port: 9090 },
        ],
      },
      friend: { client: true },
      stranger: { namespace: 'outside', client: true },
      plain: { proxy: 'none', client: true },
      legacy: { proxy: 'none', apps: [{ kind: 'http', port: 8080, version: 'legacy' }] },
    },
  }));

  const client = (name: string): Client => mesh().workload(name).client;
  const storeIp = (): string => mesh().workload('store').pod.ip;
  const call = (from: string, options: Parameters<Client['http']>[2] = {}): Promise<string> =>
    outcome(client(from).http(store, 80, { host: 'store.shop', ...options }));
  const direct = (tls?: TlsOptions): Promise<string> => outcome(client('plain').http(storeIp(), 8080, tls === undefined ? {} : { tls }));
  const tcp = (from: string): Promise<string> =>
    client(from)
      .tcp(store, 9000, { data: 'ping', until: 4 })
      .catch((fault: Error) => fault.message);
  const becomes = (what: string, ask: () => Promise<string>, expected: string | RegExp): Promise<string> =>
    eventually(`${what} gives ${String(expected)}`, async () => {
      const seen = await ask();
      if (typeof expected === 'string' ? seen === expected : expected.test(seen)) return seen;
      throw new Error(`it gives ${seen}`);
    });

  it('STRICT takes mesh certificates and refuses plaintext, other roots and other trust domains', async () => {
    await becomes('a workload of the mesh', () => call('friend'), '200');
    expect(await tcp('friend')).toBe('ping');
    expect(await direct()).toBe('ECONNRESET');
    const member = signedByMesh(mesh().state, 'spiffe://cluster.local/ns/shop/sa/friend');
    expect(await direct(asMesh(member))).toBe('200');
    const otherRoot = new TestRoot().leaf(['spiffe://cluster.local/ns/shop/sa/friend']);
    expect(await direct(asMesh(otherRoot))).toMatch(/TLSV1_ALERT_UNKNOWN_CA|UNKNOWN_CA|ECONNRESET/);
    const otherDomain = signedByMesh(mesh().state, 'spiffe://elsewhere.example/ns/shop/sa/friend');
    expect(await direct(asMesh(otherDomain))).toMatch(/CERTIFICATE|ALERT|ECONNRESET/);
    expect(await direct(asMesh({ certificate: '', key: '' }))).not.toBe('200');
  });

  it('a sidecar calls a workload without one in plaintext', async () => {
    const { status, body } = await client('friend').http(legacy, 80, { host: 'legacy.shop' });
    expect({ status, version: (JSON.parse(body) as { version: string }).version }).toEqual({ status: 200, version: 'legacy' });
  });

  it('PERMISSIVE takes plaintext and mutual TLS, and no foreign certificate', async () => {
    mesh().apply('peer-authentication', peerAuthentication('PERMISSIVE'));
    await becomes('a client without a sidecar', () => direct(), '200');
    const { status, body } = await client('friend').http(store, 80, { host: 'store.shop' });
    const { headers } = JSON.parse(body) as { headers: Record<string, string> };
    expect(status).toBe(200);
    expect(headers['x-forwarded-client-cert']).toContain('URI=spiffe://cluster.local/ns/shop/sa/friend');
    expect(await tcp('friend')).toBe('ping');
    const otherRoot = new TestRoot().leaf(['spiffe://cluster.local/ns/shop/sa/friend']);
    expect(await direct(asMesh(otherRoot))).not.toBe('200');
    mesh().apply('peer-authentication', peerAuthentication('STRICT'));
    await becomes('a client without a sidecar', () => direct(), 'ECONNRESET');
  });

  it('DENY by principal refuses that one, over HTTP and TCP', async () => {
    const deny = (principal: string): string =>
      policy('deny', `action: DENY\nrules: [{ from: [{ source: { principals: [${principal}] } }] }]`);
    mesh().apply('policy', deny('cluster.local/ns/outside/sa/stranger'));
    await becomes('the one denied', () => call('stranger'), '403');
    await becomes('the one denied, over TCP', () => tcp('stranger'), /^$|ECONNRESET/);
    expect([await call('friend'), await tcp('friend')]).toEqual(['200', 'ping']);
    mesh().remove('policy');
    await becomes('without the policy', () => call('stranger'), '200');
    await becomes('without the policy, over TCP', () => tcp('stranger'), 'ping');
  });

  it('ALLOW by namespace refuses all others, over HTTP and TCP', async () => {
    mesh().apply('policy', policy('allow', 'action: ALLOW\nrules: [{ from: [{ source: { namespaces: [shop] } }] }]'));
    await becomes('another namespace', () => call('stranger'), '403');
    await becomes('another namespace, over TCP', () => tcp('stranger'), /^$|ECONNRESET/);
    expect([await call('friend'), await tcp('friend')]).toEqual(['200', 'ping']);
  });

  it('ALLOW by method and path refuses the rest, and DENY wins', async () => {
    mesh().apply(
      'policy',
      documents(
        policy('allow', 'action: ALLOW\nrules: [{ to: [{ operation: { methods: [GET], paths: ["/public/*"] } }] }]'),
        policy('deny', 'action: DENY\nrules: [{ to: [{ operation: { paths: ["/public/secret"] } }] }]'),
      ),
    );
    await becomes('an allowed path', () => call('stranger', { path: '/public/a' }), '200');
    await becomes('a denied path', () => call('stranger', { path: '/public/secret' }), '403');
    expect(await call('stranger', { path: '/public/a', method: 'POST' })).toBe('403');
    expect(await call('stranger', { path: '/private' })).toBe('403');
    mesh().remove('policy');
    await becomes('without the policy', () => call('stranger'), '200');
  });

  it('DENY by a header refuses requests that have it', async () => {
    mesh().apply('policy', policy('header', 'action: DENY\nrules: [{ when: [{ key: "request.headers[x-token]", values: [bad] }] }]'));
    await becomes('a denied header', () => call('friend', { headers: { 'x-token': 'bad' } }), '403');
    expect([await call('friend', { headers: { 'x-token': 'good' } }), await call('friend')]).toEqual(['200', '200']);
    mesh().remove('policy');
    await becomes('without the policy', () => call('friend', { headers: { 'x-token': 'bad' } }), '200');
  });

  it.each([
    {
      what: 'an external authorizer',
      object: 'AuthorizationPolicy/shop/external',
      path: 'spec.action',
      yaml: policy('external', 'action: CUSTOM\nprovider: { name: checker }\nrules: [{ to: [{ operation: { paths: ["/admin"] } }] }]'),
    },
    {
      what: 'tokens of end users',
      object: 'RequestAuthentication/shop/tokens',
      path: 'spec.jwtRules',
      yaml: `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: tokens, namespace: shop }
spec:
  selector: { matchLabels: { app: store } }
  jwtRules: [{ issuer: "https://issuer.example" }]
`,
    },
  ])('a policy that is not translated ($what) holds the workload back, and says so', async ({ object, path, yaml }) => {
    mesh().apply('policy', yaml);
    await becomes('any call', () => call('friend'), /^403$|^503$/);
    await becomes('any call over TCP', () => tcp('friend'), /^$|ECONN/);
    const problems = (await mesh().problems()).filter((problem) => problem.object === object);
    expect(problems).toContainEqual(expect.objectContaining({ path: expect.stringContaining(path) as string }));
    mesh().remove('policy');
    await becomes('without the policy', () => call('friend'), '200');
    await becomes('without the policy, over TCP', () => tcp('friend'), 'ping');
  });

  it('a proxy that claims another identity gets nothing, and the log names both', async () => {
    const thief = await mesh().add('thief', { claims: { serviceAccount: 'store' }, awaitReady: false });
    await eventually('the log names the thief', async () =>
      mesh()
        .discovery.fullLog()
        .split('\n')
        .some((line) => line.includes('proxy refused') && line.includes('ns/shop/sa/thief') && line.includes('store')),
    );
    expect(await thief.envoy.listenerStates()).toEqual({});
    expect((await thief.envoy.clusterStates()).active).toEqual({});
    expect((await thief.envoy.admin('/ready')).status).toBe(503);
    expect((await thief.envoy.admin('/certs')).body).not.toContain('spiffe://');
  });
});
