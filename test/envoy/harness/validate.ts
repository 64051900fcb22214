/** `envoy --mode validate` on listeners and clusters as they would come over ADS. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { BootstrapSchema } from '#gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import { Cluster_DiscoveryType, type Cluster } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { ApiConfigSource_ApiType, ApiVersion } from '#gen/envoy/config/core/v3/config_source_pb.js';
import type { Listener } from '#gen/envoy/config/listener/v3/listener_pb.js';

export interface Validation {
  readonly accepted: boolean;
  /** Envoy's last lines. */
  readonly output: string;
}

export async function validateConfig(
  envoy: string,
  resources: { readonly listeners: readonly Listener[]; readonly clusters: readonly Cluster[] },
): Promise<Validation> {
  const bootstrap = create(BootstrapSchema, {
    node: { id: 'sidecar~127.0.0.1~a.default~default.svc.cluster.local', cluster: 'a.default' },
    // Names the source of `ads`; nothing connects to it while validating.
    dynamicResources: {
      adsConfig: {
        apiType: ApiConfigSource_ApiType.DELTA_GRPC,
        transportApiVersion: ApiVersion.V3,
        grpcServices: [{ targetSpecifier: { case: 'envoyGrpc', value: { clusterName: 'xds-grpc' } } }],
      },
    },
    staticResources: {
      listeners: [...resources.listeners],
      clusters: [{ name: 'xds-grpc', clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC } }, ...resources.clusters],
    },
  });
  const dir = await mkdtemp(join(tmpdir(), 'mizzen-validate-'));
  try {
    const file = join(dir, 'bootstrap.pb');
    await writeFile(file, toBinary(BootstrapSchema, bootstrap));
    return await run(envoy, ['--mode', 'validate', '-c', file, '-l', 'error']);
  } finally {
    await rm(dir, { recursive: true });
  }
}

function run(envoy: string, args: readonly string[]): Promise<Validation> {
  return new Promise((resolve) => {
    execFile(envoy, args, { timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ accepted: error === null, output: (stdout + stderr).slice(-4000) });
    });
  });
}
