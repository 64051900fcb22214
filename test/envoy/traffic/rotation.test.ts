/** Short-lived certificates, a gateway's own, and the root of them all, replaced while requests pass. */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { stringify } from 'yaml';
import { TestRoot, type KeyAndCertificate } from '../harness/certificates.ts';
import { type Envoy, needsEnvoy } from '../harness/envoy.ts';
import { Load } from '../harness/load.ts';
import { describeWithPods } from '../harness/suites.ts';
import { eventually } from '../harness/wait.ts';
import { documents, service } from './manifests.ts';
import { mizzen, useMesh } from './mesh.ts';

needsEnvoy();

const host = 'store.example.com';
const vip = '10.96.0.10';
const replacements = 20;

/** Serial numbers by SPIFFE id of the certificates that the proxy holds now. */
async function ownSerials(envoy: Envoy): Promise<string[]> {
  interface Certificate {
    readonly serial_number: string;
    readonly subject_alt_names?: readonly { readonly uri?: string }[];
  }
  const { certificates } = JSON.parse((await envoy.admin('/certs')).body) as {
    certificates: readonly { readonly cert_chain?: readonly Certificate[] }[];
  };
  return certificates
    .flatMap(({ cert_chain: chain = [] }) => chain.slice(0, 1))
    .filter((leaf) => leaf.subject_alt_names?.some((name) => name.uri?.startsWith('spiffe://')))
    .map((leaf) => leaf.serial_number);
}

/** Connections that the proxy has opened to endpoints on this port, each with a handshake of its own. */
async function connectionsTo(envoy: Envoy, port: number): Promise<number> {
  const { body } = await envoy.admin('/clusters');
  return [...body.matchAll(/^[^:]*::[\d.]+:(\d+)::cx_total::(\d+)$/gm)]
    .filter(([, at]) => Number(at) === port)
    .reduce((sum, [, , count]) => sum + Number(count), 0);
}

function gatewaySecret({ certificate, key }: KeyAndCertificate): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'store-certificate', namespace: 'shop' },
    type: 'kubernetes.io/tls',
    stringData: { 'tls.crt': certificate, 'tls.key': key },
  });
}

const manifests = documents(
  service('reviews', { clusterIp: vip, ports: [{ name: 'http', port: 80, targetPort: 8080 }] }),
  `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
`,
  // Every other request needs a handshake between the proxies.
  `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews, namespace: shop }
spec:
  host: reviews
  trafficPolicy: { connectionPool: { http: { maxRequestsPerConnection: 2 } } }
`,
  `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: store, namespace: shop }
spec:
  selector: { app: gateway }
  servers:
    - port: { number: 8443, name: https, protocol: HTTPS }
      hosts: [${host}]
      tls: { mode: SIMPLE, credentialName: store-certificate }
`,
  `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: store, namespace: shop }
spec:
  hosts: [${host}]
  gateways: [store]
  http: [{ route: [{ destination: { host: reviews } }] }]
`,
);

describeWithPods('certificates that change under load', () => {
  const root = new TestRoot();
  const mesh = useMesh(() => ({
    name: 'rot',
    flags: ['--certificate-ttl', '20s', '--root-rotation-patience', '3s'],
    manifests: { mesh: manifests, secret: gatewaySecret(root.leaf([host])) },
    workloads: {
      client: {},
      'reviews-1': { serviceAccount: 'reviews', labels: { app: 'reviews' }, apps: [{ kind: 'http', port: 8080, version: '1' }] },
      'reviews-2': { serviceAccount: 'reviews', labels: { app: 'reviews' }, apps: [{ kind: 'http', port: 8080, version: '2' }] },
      gateway: { proxy: 'router' },
    },
  }));

  it('five rotations of 20 s certificates fail no request', async () => {
    const proxies = ['client', 'reviews-1', 'reviews-2'].map((name) => mesh().workload(name));
    const seen = new Map(proxies.map(({ name }) => [name, new Set<string>()]));
    await using load = await Load.start({ address: vip, port: 80, host: 'reviews.shop' }, mesh().workload('client').pod);
    await eventually(
      'six certificates each',
      async () => {
        for (const { name, envoy } of proxies) for (const serial of await ownSerials(envoy)) seen.get(name)?.add(serial);
        return [...seen.values()].every((serials) => serials.size >= 6);
      },
      120_000,
    );
    const result = await load.stop();
    console.log(
      `rotation: certificates ${[...seen].map(([name, serials]) => `${name} ${serials.size}`).join(', ')}; connections between proxies ${await connectionsTo(mesh().workload('client').envoy, 8080)}`,
    );
    expect(result.failed).toEqual({});
    expect(Object.keys(result.versions).sort()).toEqual(['1', '2']);
  });

  it('a root that is rotated fails no request, and proxies find the control plane by the new one', async () => {
    const roots = async (): Promise<X509Certificate[]> =>
      (await readFile(join(mesh().state, 'ca', 'root-cert.pem'), 'utf8'))
        .split(/(?<=-----END CERTIFICATE-----\n)/)
        .filter((pem) => pem !== '')
        .map((pem) => new X509Certificate(pem));
    const [old] = await roots();
    await using load = await Load.start({ address: vip, port: 80, host: 'reviews.shop' }, mesh().workload('client').pod);
    expect(await mizzen('ca', 'rotate', '--state', mesh().state)).toBe('staged\n');
    await eventually('both are trusted', async () => (await roots()).length === 2);
    await eventually('the old one is retired', async () => (await roots()).length === 1, 100_000);
    const [now] = await roots();
    expect(now?.fingerprint256).not.toBe(old?.fingerprint256);
    expect((await load.stop()).failed).toEqual({});
    expect(await mizzen('ca', 'status', '--state', mesh().state)).toMatch(/^staged -> distributed -> signing -> \[retired\]\n/);
    await mesh().discovery.restart();
    for (const name of ['client', 'reviews-1', 'reviews-2', 'gateway']) {
      const { envoy } = mesh().workload(name);
      await eventually(`${name} is connected again`, async () => (await envoy.stat('control_plane.connected_state')) === 1, 60_000);
    }
  });

  it('a gateway whose Secret is replaced fails no request', async () => {
    const gateway = mesh().workload('gateway');
    await using load = await Load.start({
      address: gateway.pod.ip,
      port: 8443,
      host,
      tls: { root: root.certificate, serverName: host },
    });
    for (let i = 0; i < replacements; i++) {
      const leaf = root.leaf([host]);
      mesh().apply('secret', gatewaySecret(leaf));
      const serial = new X509Certificate(leaf.certificate).serialNumber.toLowerCase();
      await eventually('the new certificate', async () => (await gateway.envoy.admin('/certs')).body.includes(serial));
      // Some requests with each.
      await delay(300);
    }
    const result = await load.stop();
    console.log(`gateway: ${result.certificates.length} certificates seen by clients`);
    expect(result.failed).toEqual({});
    expect(result.certificates.length).toBeGreaterThanOrEqual(replacements);
  });
});
