import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { CostLine, CostsAnswer } from '../admin/costs.ts';
import { freePorts } from '../cli/demo/free-ports.ts';
import { testFolder } from '../identity/testing/folder.ts';
import { DeltaProxy } from '../../test/harness/delta-proxy.ts';
import { routeType, virtualHostType } from '../wire/types.ts';
import { runDiscovery } from './discovery.ts';

const address = '127.0.0.1';
const services = 12;

function service(n: number): string {
  return `apiVersion: v1
kind: Service
metadata: { name: app-${n}, namespace: shop }
spec:
  clusterIP: 10.0.0.${n + 1}
  selector: { app: app-${n} }
  ports: [{ name: http, port: 80 }]
`;
}

function routes(seconds: number): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: app-0, namespace: shop }
spec:
  hosts: [app-0.shop.svc.cluster.local]
  http:
    - timeout: ${seconds}s
      route: [{ destination: { host: app-0.shop.svc.cluster.local } }]
`;
}

test('a VirtualService that changes is on top, with the proxies that were sent it', { timeout: 60_000 }, async () => {
  const [grpc = 0, secureGrpc = 0, monitoring = 0, http = 0] = await freePorts(4, address);
  const dir = join(testFolder(), 'mesh');
  mkdirSync(dir);
  writeFileSync(join(dir, 'services.yaml'), Array.from({ length: services }, (_, n) => service(n)).join('---\n'));
  writeFileSync(join(dir, 'routes.yaml'), routes(1));
  const stop = new AbortController();
  const running = runDiscovery(
    {
      instance: { namespace: 'istio-system', revision: 'default', replica: 'test', clusterId: 'Kubernetes' },
      config: { type: 'folder', dir },
      stateDir: testFolder(),
      grpc: { address, port: grpc },
      secureGrpc: { address, port: secureGrpc },
      monitoring: { address, port: monitoring },
      http: { address, port: http },
      streams: { maxStreams: 100, maxNewPerSecond: 100, maxAgeMs: Infinity, drainMs: 0 },
      logLevels: { default: 'silent', ca: 'silent', source: 'silent', ads: 'silent' },
      remoteClusterTimeoutMs: 1_000,
      writeStatus: true,
      certificateTtlMs: 3600_000,
      rotation: { renewalFraction: 0.2 },
      version: 'test',
    },
    stop.signal,
  );
  const costs = async (): Promise<CostsAnswer> => {
    const response = await fetch(`http://${address}:${monitoring}/debug/costs?by=bytes&n=3`);
    return (await response.json()) as CostsAnswer;
  };
  const eventually = <T>(check: () => Promise<T>): Promise<T> => vi.waitFor(check, { timeout: 25_000, interval: 100 });
  const proxies: DeltaProxy[] = [];
  try {
    await eventually(async () => expect((await fetch(`http://${address}:${http}/ready`)).status).toBe(200));
    for (const name of ['page', 'cart', 'db']) {
      const proxy = new DeltaProxy(`${address}:${grpc}`, {
        id: `sidecar~10.1.0.1~${name}.shop~shop.svc.cluster.local`,
        metadata: { NAME: name, NAMESPACE: 'shop', LABELS: { app: name }, CLUSTER_ID: 'Kubernetes' },
      });
      proxy.ask(routeType, '80');
      proxy.ask(virtualHostType);
      proxies.push(proxy);
    }
    const synced = async (): Promise<number> => {
      const all = (await (await fetch(`http://${address}:${monitoring}/debug/syncz`)).json()) as {
        readonly state: string;
        readonly resources: object;
      }[];
      return all.filter(({ state, resources }) => state === 'SYNCED' && Object.keys(resources).length === 4).length;
    };
    await eventually(async () => expect(await synced()).toBe(3));
    const before = await costs();
    expect(before.costs.map(({ object, changes, bytesSent }) => ({ object, changes, bytesSent }))).toEqual([
      { object: '(first load)', changes: services + 1, bytesSent: 0 },
    ]);
    expect(before.other.bytesSent).toBeGreaterThan(1_000);

    writeFileSync(join(dir, 'routes.yaml'), routes(20));
    const top = await eventually(async (): Promise<CostLine | undefined> => {
      const [first] = (await costs()).costs;
      expect(first).toMatchObject({ object: 'VirtualService/shop/app-0', proxies: 3, lastAckMs: expect.any(Number) as number });
      return first;
    });
    expect(top).toMatchObject({ changes: 1, refusals: 0 });
    expect(top?.translationMs).toBeGreaterThan(0);
    expect(top?.bytesSent).toBeGreaterThan(3 * ((top?.bytesEncoded ?? 0) / 2));
  } finally {
    for (const proxy of proxies) proxy[Symbol.dispose]();
    stop.abort();
    await running;
  }
});
