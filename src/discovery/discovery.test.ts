import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { freePorts } from '../cli/demo/free-ports.ts';
import { testFolder } from '../identity/testing/folder.ts';
import { runDiscovery } from './discovery.ts';
import type { DiscoveryOptions } from './options.ts';

const address = '127.0.0.1';

async function options(): Promise<DiscoveryOptions & { readonly ports: readonly number[] }> {
  const ports = await freePorts(4, address);
  const [grpc = 0, secureGrpc = 0, monitoring = 0, http = 0] = ports;
  return {
    ports,
    instance: { namespace: 'istio-system', revision: 'default', replica: 'test', clusterId: 'Kubernetes' },
    config: { type: 'folder', dir: testFolder() },
    stateDir: testFolder(),
    grpc: { address, port: grpc },
    secureGrpc: { address, port: secureGrpc },
    monitoring: { address, port: monitoring },
    http: { address, port: http },
    streams: { maxStreams: 100, maxNewPerSecond: 100, maxAgeMs: Infinity, drainMs: 0 },
    logLevels: { default: 'silent', ca: 'silent', source: 'silent' },
    remoteClusterTimeoutMs: 1_000,
    writeStatus: true,
    certificateTtlMs: 3600_000,
    rotation: { renewalFraction: 0.2 },
    version: 'test',
  };
}

/** Ports of the list on which somebody listens. */
async function taken(ports: readonly number[]): Promise<number[]> {
  const found: number[] = [];
  for (const port of ports) {
    const server = createServer();
    const listening = once(server, 'listening');
    server.listen(port, address);
    await listening.then(
      () => once(server.close(), 'close'),
      () => found.push(port),
    );
  }
  return found;
}

test.each([1, 2, 3])('when port %i of four is taken, it says so and leaves none of the others open', async (at) => {
  const daemon = await options();
  const other = createServer().listen(daemon.ports[at], address);
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  await expect(runDiscovery(daemon, new AbortController().signal)).rejects.toThrow(new RegExp(`EADDRINUSE.*${address}:${port}`));
  expect(await taken(daemon.ports)).toEqual([port]);
  await once(other.close(), 'close');
});

test('a signal that has come before the start is complete stops it, and no port stays open', async () => {
  const daemon = await options();
  await runDiscovery(daemon, AbortSignal.abort());
  expect(await taken(daemon.ports)).toEqual([]);
});
